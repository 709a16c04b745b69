"""Asking servers: retries, redirects, and credentials that never leave their host."""

from pathlib import Path

import pytest
import trustme

from envcap.errors import SourceError
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.guard import check_url, is_inner_host
from envcap.sources.http import LONGEST_PAUSE, OFFLINE_HINT, REDIRECTS, TRIES, Session
from envcap.sources.settings import IndexSettings, find_index_settings
from tests.sources.index_server import Fault, Index, serve


def settings_for(*urls: str) -> IndexSettings:
    environ = {"PIP_INDEX_URL": urls[0], "PIP_EXTRA_INDEX_URL": " ".join(urls[1:]), "PIP_TIMEOUT": "2"}
    return find_index_settings(environ, Path("/nonexistent"), Path("/"), root=Path("/nonexistent"))


def get(session: Session, url: str, *, limit: int = 1000) -> bytes:
    return session.get(url, limit=limit, meter=Meter()).data


def with_user(index: Index, secret: str) -> str:
    return index.simple.replace("://", f"://me:{secret}@")


def test_transient_failures_are_tried_again_after_a_bounded_pause() -> None:
    pauses: list[float] = []
    with serve(Index()) as index, Session(settings_for(index.simple), sleep=pauses.append) as session:
        index.pages["/a"] = ("text/plain", b"there")
        index.faults["/a"] = [Fault(status=503, headers={"Retry-After": "86400"}), Fault(status=429)]
        assert get(session, f"{index.url}/a") == b"there"
        assert len(index.requests) == TRIES
    assert pauses[0] == LONGEST_PAUSE
    assert 0 < pauses[1] < LONGEST_PAUSE


def test_a_body_that_breaks_off_is_read_again() -> None:
    with serve(Index()) as index, Session(settings_for(index.simple), sleep=lambda _: None) as session:
        index.pages["/a"] = ("text/plain", b"there")
        index.faults["/a"] = [Fault(cut=2)]
        assert get(session, f"{index.url}/a") == b"there"
        index.always["/a"] = Fault(cut=2)
        with pytest.raises(AnswerError) as caught:
            get(session, f"{index.url}/a")
    assert caught.value.reason == "broken"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_other_statuses_are_told(status: int) -> None:
    with serve(Index()) as index, Session(settings_for(index.simple), sleep=lambda _: None) as session:
        index.always["/a"] = Fault(status=status)
        with pytest.raises(AnswerError) as caught:
            get(session, f"{index.url}/a")
    assert (caught.value.reason, caught.value.status) == ("status", status)
    assert caught.value.is_absence is (status in {404, 410})


def test_a_body_larger_than_its_limit_is_not_read() -> None:
    with serve(Index()) as index, Session(settings_for(index.simple)) as session:
        index.pages["/a"] = ("text/plain", b"x" * 1001)
        with pytest.raises(AnswerError) as caught:
            get(session, f"{index.url}/a")
    assert caught.value.reason == "too-large"


def test_a_body_that_trickles_is_given_up() -> None:
    times = iter(range(0, 10_000, 60))
    with serve(Index()) as index:
        index.pages["/a"] = ("text/plain", b"slow")
        settings = settings_for(index.simple)
        with (
            Session(settings, sleep=lambda _: None, clock=lambda: float(next(times))) as session,
            pytest.raises(AnswerError, match="slowly") as caught,
        ):
            get(session, f"{index.url}/a")
    assert caught.value.reason == "broken"


def test_credentials_go_to_their_own_host_and_survive_no_redirect() -> None:
    with serve(Index()) as own, serve(Index()) as other:
        settings = settings_for(with_user(own, "canary"), other.simple)
        with Session(settings) as session:
            own.faults["/a"] = [Fault(redirect=f"{other.url}/b")]
            other.pages["/b"] = ("text/plain", b"there")
            assert get(session, f"{own.url}/a") == b"there"
        assert own.requests[0].headers["authorization"].startswith("Basic ")
        assert "authorization" not in other.requests[0].headers


def test_a_redirect_back_to_the_own_host_gets_its_credentials_again() -> None:
    with serve(Index()) as own:
        with Session(settings_for(with_user(own, "canary"))) as session:
            own.faults["/a"] = [Fault(redirect="/b")]
            own.pages["/b"] = ("text/plain", b"there")
            get(session, f"{own.url}/a")
        assert all("authorization" in request.headers for request in own.requests)


def test_no_error_shows_a_secret() -> None:
    with serve(Index()) as index:
        url = with_user(index, "canary")
    with Session(settings_for(url), sleep=lambda _: None) as session, pytest.raises(AnswerError) as caught:
        get(session, url + "/a?token=canary")
    assert caught.value.reason == "unreachable"
    assert "canary" not in str(caught.value) + repr(caught.value)


def test_cookies_are_not_kept() -> None:
    with serve(Index()) as index, Session(settings_for(index.simple)) as session:
        index.pages["/a"] = ("text/plain", b"")
        index.faults["/a"] = [Fault(status=404, headers={"Set-Cookie": "id=1; Path=/"})]
        with pytest.raises(AnswerError):
            get(session, f"{index.url}/a")
        get(session, f"{index.url}/a")
        assert "cookie" not in index.requests[1].headers


def test_endless_redirects_end() -> None:
    with serve(Index()) as index, Session(settings_for(index.simple)) as session:
        index.always["/a"] = Fault(redirect="/a")
        with pytest.raises(AnswerError, match="redirects more than"):
            get(session, f"{index.url}/a")
        assert len(index.requests) == REDIRECTS + 1


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/a", "http://169.254.169.254/latest", "http://[::1]/"]
)
def test_a_redirect_inward_or_to_another_scheme_is_refused(target: str) -> None:
    with serve(Index()) as index, Session(settings_for(index.simple)) as session:
        index.always["/a"] = Fault(redirect=target)
        with pytest.raises(AnswerError) as caught:
            get(session, f"{index.url}/a")
    assert caught.value.reason == "refused"


def test_a_server_that_never_answers_is_not_asked_for_ever() -> None:
    with serve(Index()) as index:
        pass
    pauses: list[float] = []
    with Session(settings_for(index.simple), sleep=pauses.append) as session:
        for _ in range(10):
            with pytest.raises(AnswerError):
                get(session, f"{index.url}/a")
        assert not session.is_reached(index.url)
    assert len(pauses) == 3 * TRIES


def test_offline_asks_nobody() -> None:
    with serve(Index()) as index:
        with Session(settings_for(index.simple), offline=True) as session, pytest.raises(AnswerError) as caught:
            get(session, f"{index.url}/a")
        assert not index.requests
    assert caught.value.hint == OFFLINE_HINT


def test_a_certificate_that_is_not_there_is_an_error_of_its_own() -> None:
    environ = {"PIP_CERT": "/nonexistent/ca.pem"}
    settings = find_index_settings(environ, Path("/nonexistent"), Path("/"), root=Path("/nonexistent"))
    with pytest.raises(SourceError, match="CA bundle"):
        _ = Session(settings).client


INNER = [
    "localhost",
    "a.localhost",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "10.1.2.3",
    "169.254.169.254",
    "::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "::ffff:127.0.0.1",
]


@pytest.mark.parametrize("host", INNER)
def test_spellings_of_inner_addresses_are_known(host: str) -> None:
    assert is_inner_host(host)


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "8.8.8.8", "2606:4700::1111"])
def test_public_hosts_are_not_inner(host: str) -> None:
    assert not is_inner_host(host)


def test_an_inner_host_may_be_asked_if_the_configuration_names_it() -> None:
    check_url("http://10.0.0.5/simple", known_hosts={"10.0.0.5"})
    with pytest.raises(AnswerError):
        check_url("http://10.0.0.6/simple", known_hosts={"10.0.0.5"})


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_the_host_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serve(Index(), certificate=authority.issue_cert("127.0.0.1")) as index:
        index.pages["/a"] = ("text/plain", b"there")
        for more, works in (
            ({}, False),
            ({"PIP_CERT": str(tmp_path / "ca.pem")}, True),
            ({"PIP_TRUSTED_HOST": "127.0.0.1"}, True),
            ({"PIP_TRUSTED_HOST": "example.org"}, False),
        ):
            environ = {"PIP_INDEX_URL": index.simple, **more}
            settings = find_index_settings(environ, Path("/nonexistent"), Path("/"), root=Path("/nonexistent"))
            with Session(settings, sleep=lambda _: None) as session:
                if works:
                    assert get(session, f"{index.url}/a") == b"there"
                    continue
                with pytest.raises(AnswerError) as caught:
                    get(session, f"{index.url}/a")
                assert "CERTIFICATE_VERIFY_FAILED" in caught.value.message


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    with serve(Index(), certificate=authority.issue_cert("127.0.0.1")) as index, serve(Index()) as plain:
        index.always["/a"] = Fault(redirect=f"{plain.url}/a")
        environ = {"PIP_INDEX_URL": index.simple, "PIP_TRUSTED_HOST": "127.0.0.1"}
        settings = find_index_settings(environ, Path("/nonexistent"), Path("/"), root=Path("/nonexistent"))
        with Session(settings, sleep=lambda _: None) as session, pytest.raises(AnswerError, match="away from https"):
            get(session, f"{index.url}/a")
        assert not plain.requests


def test_a_proxy_is_asked_and_bypassed_as_the_variables_say() -> None:
    with serve(Index()) as proxy, serve(Index()) as index:
        proxy.pages[f"{index.url}/a"] = ("text/plain", b"by proxy")
        index.pages["/a"] = ("text/plain", b"directly")
        for bypass, answer in (("", b"by proxy"), ("127.0.0.1", b"directly"), ("*", b"directly")):
            environ = {"PIP_INDEX_URL": index.simple, "http_proxy": proxy.url, "no_proxy": bypass}
            settings = find_index_settings(environ, Path("/nonexistent"), Path("/"), root=Path("/nonexistent"))
            with Session(settings) as session:
                assert get(session, f"{index.url}/a") == answer
