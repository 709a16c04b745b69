import pytest

from envcap.errors import RegistryError
from envcap.registry.auth import Challenge, choose_challenge
from envcap.registry.credentials import AuthFile, RegistryLogins
from envcap.registry.manifests import head_manifest, list_tags
from envcap.registry.settings import RegistrySettings, is_loopback
from envcap.registry.upload import upload_blob
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import LOGIN, blob, connect, ignore, logged_in, opener


def test_basic_is_sent_once_the_registry_has_asked_for_it() -> None:
    with serve(FakeRegistry(login=LOGIN)) as registry, connect(registry.host, logged_in(registry.host)) as connection:
        assert list_tags(connection, "x") == ()
        assert list_tags(connection, "x") == ()

    assert [asked.authorization[:6] for asked in registry.requests("GET", "/v2/x")] == ["", "Basic ", "Basic "]


def test_a_token_is_asked_for_once_a_scope_and_used_until_it_runs_out() -> None:
    with (
        serve(FakeRegistry(login=LOGIN, tokens=True)) as registry,
        connect(registry.host, logged_in(registry.host)) as connection,
    ):
        for _ in range(3):
            list_tags(connection, "lab/x")
        upload_blob(connection, "lab/x", blob(b"1"), opener(b"1"), count=ignore)

    assert [asked.path for asked in registry.requests("GET", "/token")] == [
        "/token?service=fake&scope=repository%3Alab%2Fx%3Apull",
        "/token?service=fake&scope=repository%3Alab%2Fx%3Apull%2Cpush",
    ]


def test_a_token_that_is_refused_early_is_asked_for_again() -> None:
    with (
        serve(FakeRegistry(login=LOGIN, tokens=True)) as registry,
        connect(registry.host, logged_in(registry.host)) as connection,
    ):
        list_tags(connection, "x")
        registry.issued[:] = ["forgotten"]
        list_tags(connection, "x")

    assert len(registry.requests("GET", "/token")) == 2


def test_an_identity_token_is_exchanged_in_a_form_and_never_in_a_url() -> None:
    with serve(FakeRegistry(login=LOGIN, tokens=True)) as registry:
        file = AuthFile(auths={registry.host: {"identitytoken": "identity"}})
        settings = RegistrySettings(logins=RegistryLogins(files=(file,)))
        with connect(registry.host, settings) as connection:
            assert list_tags(connection, "x") == ()

    assert [asked.path for asked in registry.requests("POST")] == ["/token"]


def test_without_a_login_the_refusal_says_how_to_log_in() -> None:
    with (
        serve(FakeRegistry(login=LOGIN)) as registry,
        connect(registry.host) as connection,
        pytest.raises(RegistryError) as caught,
    ):
        list_tags(connection, "x")

    assert caught.value.message == (
        f"{registry.host} answered 401 Unauthorized to GET /v2/x/tags/list (UNAUTHORIZED: unauthorized)"
    )
    assert caught.value.hint == f"log in with `docker login {registry.host}` or `podman login {registry.host}`"


@pytest.mark.parametrize("tokens", [False, True])
def test_a_wrong_login_is_refused_without_repeating_it(tokens: bool) -> None:  # noqa: FBT001
    with (
        serve(FakeRegistry(login=LOGIN, tokens=tokens)) as registry,
        connect(registry.host, logged_in(registry.host, "someone:canary-password")) as connection,
        pytest.raises(RegistryError) as caught,
    ):
        list_tags(connection, "x")

    assert "answered 401" in caught.value.message
    assert "canary" not in caught.value.message + caught.value.hint
    assert "someone" not in caught.value.message


def test_a_login_is_not_shown_to_a_token_server_elsewhere() -> None:
    with serve(FakeRegistry()) as thief, serve(FakeRegistry(login=LOGIN, tokens=True)) as registry:
        registry.realm = f"{thief.url}/token"
        with connect(registry.host, logged_in(registry.host)) as connection, pytest.raises(RegistryError) as caught:
            list_tags(connection, "x")

    assert caught.value.message == f"{registry.host} wants its login to be sent to another host: {thief.url}/token"
    assert caught.value.hint == f"if that is its token server, allow it: `ENVCAP_TOKEN_REALMS={thief.host}`"
    assert thief.asked == []


def test_a_login_is_shown_to_a_token_server_that_the_user_allowed() -> None:
    with (
        serve(FakeRegistry(login=LOGIN, tokens=True)) as realm,
        serve(FakeRegistry(login=LOGIN, tokens=True)) as registry,
    ):
        registry.realm, registry.issued = f"{realm.url}/token", realm.issued
        settings = logged_in(registry.host, realms=frozenset({realm.host}))
        with connect(registry.host, settings) as connection:
            assert list_tags(connection, "x") == ()

    assert len(realm.requests("GET", "/token")) == 1


def test_without_a_login_a_token_server_elsewhere_may_be_asked() -> None:
    with serve(FakeRegistry()) as realm, serve(FakeRegistry(login=LOGIN, tokens=True)) as registry:
        registry.realm = f"{realm.url}/token"
        with connect(registry.host) as connection, pytest.raises(RegistryError, match="answered 401"):
            list_tags(connection, "x")

    assert [asked.authorization for asked in realm.requests("GET", "/token")] == [""]


@pytest.mark.parametrize(
    "realm", ["file:///etc/passwd", "https://u:p@realm.example.org/t", "ftp://x/", "nonsense", "http://[::1"]
)
def test_a_realm_that_is_no_url_to_ask_is_refused(realm: str) -> None:
    with (
        serve(FakeRegistry(login=LOGIN, tokens=True, realm=realm)) as registry,
        connect(registry.host, logged_in(registry.host)) as connection,
        pytest.raises(RegistryError, match="names a token server that is no URL"),
    ):
        list_tags(connection, "x")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"token": ""}', b'{"token": "a\\r\\nX: y"}', b'{"token": 3}', b"<html>", b'{"token":"\xc3\xa4"}']
)
def test_a_token_that_is_none_is_refused(body: bytes) -> None:
    with serve(FakeRegistry(login=LOGIN, tokens=True)) as registry:
        registry.fail("GET", "/token", Fault(body=body))
        with (
            connect(registry.host, logged_in(registry.host)) as connection,
            pytest.raises(RegistryError, match=r"is none|answered no JSON"),
        ):
            list_tags(connection, "x")


def test_a_right_to_read_elsewhere_is_asked_for_with_a_mount() -> None:
    with (
        serve(FakeRegistry(login=LOGIN, tokens=True)) as registry,
        connect(registry.host, logged_in(registry.host)) as connection,
    ):
        upload_blob(connection, "b", blob(b"1"), opener(b"1"), mounts=("a",), count=ignore)

    assert any("repository%3Ab%3Apull%2Cpush&scope=repository%3Aa%3Apull" in asked.path for asked in registry.asked)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Bearer realm="https://r/t",service="s"'], Challenge(scheme="bearer", realm="https://r/t", service="s")),
        (['Basic realm="x"', 'Bearer realm="https://r/t"'], Challenge(scheme="bearer", realm="https://r/t")),
        (["BASIC"], Challenge(scheme="basic")),
        (["Bearer"], None),
        (["Negotiate"], None),
        (["Bearer " + "a=" * 100_000], None),
        (['Bearer realm="' + "\\" * 5000], None),
        ([], None),
    ],
)
def test_a_challenge_is_chosen(headers: list[str], expected: Challenge | None) -> None:
    assert choose_challenge(headers) == expected


def test_nothing_is_there_for_a_tag_that_nobody_put() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        assert head_manifest(connection, "x", "1") is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.1:5000", False),
        ("registry.example.org", False),
    ],
)
def test_loopback_is_what_is_spelt_so(host: str, expected: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) == expected
