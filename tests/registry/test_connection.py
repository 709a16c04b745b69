"""Answers that lead elsewhere, fail, or take too long."""

import time
from pathlib import Path

import pytest
import trustme

from envcap.errors import RegistryError
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.download import read_blob
from envcap.registry.manifests import list_tags
from envcap.registry.settings import RegistrySettings
from envcap.registry.upload import upload_blob
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import LOGIN, Pauses, blob, connect, ignore, logged_in, opener

DATA = b"a blob"


def with_blob(**others: object) -> FakeRegistry:
    registry = FakeRegistry(**others)  # type: ignore[arg-type]
    registry.add_blob("x", DATA)
    return registry


def test_a_busy_registry_is_asked_again_when_it_says() -> None:
    pauses = Pauses()
    with serve(FakeRegistry()) as registry, connect(registry.host, pauses=pauses) as connection:
        registry.fail(
            "GET", "tags", Fault(status=429, headers={"Retry-After": "7"}), Fault(status=503), Fault(drop=True)
        )
        assert list_tags(connection, "x") == ()

    assert pauses.seconds == [7.0, 0.5, 1.0]


def test_a_registry_that_asks_for_a_day_is_not_waited_for_so_long() -> None:
    pauses = Pauses()
    with serve(FakeRegistry()) as registry, connect(registry.host, pauses=pauses) as connection:
        registry.fail("GET", "tags", Fault(status=429, headers={"Retry-After": "86400"}))
        list_tags(connection, "x")

    assert pauses.seconds == [60.0]


def test_a_registry_that_always_fails_is_named_with_its_answer() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(
            ("GET", "tags", Fault(status=500, body=b'{"errors":[{"code":"UNKNOWN","message":"disk\\u001b[2J full"}]}'))
        )
        with pytest.raises(RegistryAnswerError) as caught:
            list_tags(connection, "x")

    assert caught.value.message == (
        f"{registry.host} answered 500 Internal Server Error to GET /v2/x/tags/list (UNKNOWN: disk [2J full)"
    )
    assert len(registry.requests("GET", "tags")) == 5


def test_a_refusal_is_not_tried_again() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("GET", "tags", Fault(status=403, body=b"<html>no</html>")))
        with pytest.raises(RegistryAnswerError, match=r"answered 403 Forbidden to GET /v2/x/tags/list$"):
            list_tags(connection, "x")

    assert len(registry.requests("GET", "tags")) == 1


def test_a_login_that_is_refused_is_told_from_one_that_is_missing() -> None:
    with serve(FakeRegistry(login=LOGIN)) as registry:
        hints = []
        for settings in (RegistrySettings(), logged_in(registry.host, "researcher:canary-of-yesterday")):
            with connect(registry.host, settings) as connection, pytest.raises(RegistryAnswerError) as caught:
                list_tags(connection, "x")
            assert (caught.value.status, "canary" in str(caught.value)) == (401, False)
            hints.append(caught.value.hint)
    log_in = f"log in with `docker login {registry.host}` or `podman login {registry.host}`"
    assert hints == [log_in, f"the login for it on this machine is refused: {log_in}"]


def test_a_registry_that_takes_no_pushes_is_named_as_such() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("POST", "uploads", Fault(status=405)))
        with pytest.raises(RegistryAnswerError, match="answered 405 Method Not Allowed to POST") as caught:
            upload_blob(connection, "x", blob(DATA), opener(DATA), count=ignore)
    assert caught.value.hint == "it takes no pushes now (read-only), or something else than a registry answers there"


def test_a_registry_that_is_not_there_is_named() -> None:
    with connect("127.0.0.1:1") as connection, pytest.raises(RegistryAnswerError) as caught:
        list_tags(connection, "x")

    assert caught.value.message.startswith("127.0.0.1:1 can't be reached: ")


def test_a_redirect_to_a_storage_host_is_followed_without_the_login() -> None:
    with serve(with_blob()) as storage, serve(with_blob(login=LOGIN)) as registry:
        target = f"{storage.url}/v2/x/blobs/{blob(DATA).digest}"
        registry.always.append(("GET", "/blobs/", Fault(status=307, headers={"Location": target})))
        with connect(registry.host, logged_in(registry.host)) as connection:
            assert read_blob(connection, "x", blob(DATA)) == DATA

    assert [asked.authorization for asked in storage.asked] == [""]


def test_a_redirect_on_the_registry_itself_keeps_the_login() -> None:
    with serve(with_blob(login=LOGIN)) as registry:
        registry.add_blob("y", DATA)
        target = f"/v2/y/blobs/{blob(DATA).digest}"
        with connect(registry.host, logged_in(registry.host)) as connection:
            list_tags(connection, "x")
            registry.fail("GET", "/v2/x/blobs/", Fault(status=307, headers={"Location": target}))
            assert read_blob(connection, "x", blob(DATA)) == DATA


def test_redirects_in_a_circle_end() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("GET", "tags", Fault(status=302, headers={"Location": "/v2/x/tags/list"})))
        with pytest.raises(RegistryError) as caught:
            list_tags(connection, "x")

    assert caught.value.message == f"{registry.host} redirects GET /v2/x/tags/list more than 5 times"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://storage.example.org/x", "gopher://x/"])
def test_a_redirect_to_what_is_not_http_is_refused(location: str) -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("GET", "tags", Fault(status=302, headers={"Location": location})))
        with pytest.raises(RegistryError, match=r"sends us to .* which is not asked"):
            list_tags(connection, "x")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(
    authority: trustme.CA, folder: Path, host: str, settings: RegistrySettings | None = None
) -> RegistrySettings:
    place = folder / "certs.d" / host
    place.mkdir(parents=True)
    authority.cert_pem.write_to_path(str(place / "ca.crt"))
    logins = settings.logins if settings else RegistrySettings().logins
    return RegistrySettings(authorities=(folder / "certs.d",), logins=logins, timeout=5)


def test_a_registrys_own_authority_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        serve(FakeRegistry(), certificate=authority.issue_cert("127.0.0.1")) as registry,
        connect(registry.host, trusting(authority, tmp_path, registry.host)) as connection,
    ):
        assert list_tags(connection, "x") == ()
        assert connection.base == registry.url


def test_a_certificate_that_nobody_vouches_for_is_refused_and_not_asked_without_tls(authority: trustme.CA) -> None:
    with (
        serve(FakeRegistry(), certificate=authority.issue_cert("127.0.0.1")) as registry,
        connect(registry.host) as connection,
        pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED") as caught,
    ):
        list_tags(connection, "x")

    assert caught.value.hint == f"put the registry's CA certificate into /etc/docker/certs.d/{registry.host}/ca.crt"
    assert registry.asked == []


def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        serve(FakeRegistry(), certificate=authority.issue_cert("other.example.org")) as registry,
        connect(registry.host, trusting(authority, tmp_path, registry.host)) as connection,
        pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        list_tags(connection, "x")


def test_nothing_leads_away_from_https(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        serve(FakeRegistry()) as thief,
        serve(FakeRegistry(), certificate=authority.issue_cert("127.0.0.1")) as registry,
    ):
        registry.always.append(("GET", "tags", Fault(status=302, headers={"Location": f"{thief.url}/v2/x/tags/list"})))
        with (
            connect(registry.host, trusting(authority, tmp_path, registry.host)) as connection,
            pytest.raises(RegistryError, match="sends us away from https"),
        ):
            list_tags(connection, "x")

    assert thief.asked == []


def test_no_login_goes_to_a_token_server_without_tls(authority: trustme.CA, tmp_path: Path) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    with (
        serve(FakeRegistry()) as thief,
        serve(FakeRegistry(login=LOGIN, tokens=True), certificate=certificate) as registry,
    ):
        registry.realm = f"{thief.url}/token"
        settings = trusting(authority, tmp_path, registry.host, logged_in(registry.host))
        with (
            connect(registry.host, settings) as connection,
            pytest.raises(RegistryError, match="names a token server without TLS"),
        ):
            list_tags(connection, "x")

    assert thief.asked == []


@pytest.mark.parametrize("method", ["tags", "blobs"])
def test_an_answer_that_trickles_is_broken_off(method: str) -> None:
    with serve(with_blob()) as registry:
        registry.always.append(("GET", method, Fault(drip=0.01)))
        started = time.monotonic()
        with (
            connect(registry.host, RegistrySettings(timeout=0.2)) as connection,
            pytest.raises(RegistryAnswerError, match=r"broke off GET .*: sends too slowly"),
        ):
            list_tags(connection, "x") if method == "tags" else read_blob(connection, "x", blob(DATA))

    assert time.monotonic() - started < 15


def test_a_compressed_answer_that_nobody_asked_for_is_refused() -> None:
    with serve(with_blob()) as registry, connect(registry.host) as connection:
        registry.fail("GET", "/blobs/", Fault(headers={"Content-Encoding": "gzip"}))
        with pytest.raises(RegistryError, match="with the encoding 'gzip'"):
            read_blob(connection, "x", blob(DATA))

    assert {asked.headers["accept-encoding"] for asked in registry.requests("GET", "/v2/x")} == {"identity"}


def test_an_endless_list_is_refused() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("GET", "tags", Fault(body=b" " * (5 << 20))))
        with pytest.raises(RegistryError, match="sent more than 4194304 bytes in answer to GET /v2/x/tags/list"):
            list_tags(connection, "x")


def test_all_pages_of_tags_are_read() -> None:
    registry = FakeRegistry()
    for number in range(10):
        registry.add_manifest("x", f"t{number}", b"{}", "a/b")
    with serve(registry), connect(registry.host) as connection:
        assert list_tags(connection, "x") == tuple(f"t{number}" for number in range(10))


def test_what_is_no_tag_is_left_out_of_a_list() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.fail("GET", "tags", Fault(body=b'{"tags": ["a", "../../b", "", 3, "c\\nd"]}'))
        assert list_tags(connection, "x") == ("a",)
