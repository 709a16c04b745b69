"""Asking one place: by HEAD, and never for a byte of the file."""

from pathlib import Path

import pytest

from envcap.doctor.presence import Presence, ask
from envcap.sources.http import Session
from envcap.sources.settings import IndexSettings
from tests.sources.index_server import Fault, Index, serve

FILE = "thing-1.0-py3-none-any.whl"


def session_for(index: Index, *, offline: bool = False) -> Session:
    return Session(IndexSettings(indexes=()), mirrors=[index.url], offline=offline, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("fault", "presence", "said"),
    [
        (Fault(), Presence.THERE, ""),
        (Fault(status=404), Presence.ABSENT, "answered 404"),
        (Fault(status=410), Presence.ABSENT, "answered 410"),
        (Fault(status=403), Presence.UNKNOWN, "answered 403"),
        (Fault(status=405), Presence.UNKNOWN, "answered 405"),
        (Fault(status=503), Presence.UNKNOWN, "answered 503"),
        (Fault(body=b"other"), Presence.ABSENT, "has 5 bytes (expected 4)"),
        (Fault(redirect="/elsewhere"), Presence.ABSENT, "answered 404"),
        (Fault(redirect=f"/files/{FILE}"), Presence.UNKNOWN, "redirects more than 5 times"),
        (Fault(redirect="http://169.254.169.254/x"), Presence.UNKNOWN, "an address of this machine or network"),
    ],
)
def test_what_a_server_says_is_understood(fault: Fault, presence: Presence, said: str) -> None:
    index = Index()
    index.add("thing", FILE, b"data")
    index.always[f"/files/{FILE}"] = fault
    with serve(index), session_for(index) as session:
        answer = ask(f"{index.url}/files/{FILE}", size=4, session=session)
    assert answer.presence is presence
    assert said in answer.said
    assert {request.method for request in index.requests} == {"HEAD"}


def test_a_server_that_is_not_there_is_unknown() -> None:
    with serve(Index()) as index:
        pass
    with session_for(index) as session:
        assert ask(f"{index.url}/x", size=4, session=session).presence is Presence.UNKNOWN


def test_offline_nobody_is_asked() -> None:
    index = Index()
    with serve(index), session_for(index, offline=True) as session:
        assert ask(f"{index.url}/x", size=4, session=session).presence is Presence.UNKNOWN
    assert index.requests == []


def test_a_token_is_not_repeated() -> None:
    index = Index()
    with serve(index), session_for(index) as session:
        url = f"{index.url}/t/se-cr-et/x?token=s3cr3t".replace("http://", "http://user:pa55@")
        said = ask(url, size=4, session=session).said
    assert not any(secret in said for secret in ("se-cr-et", "s3cr3t", "pa55"))


def test_a_folder_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(b"data")
    with Session(IndexSettings(indexes=())) as session:
        found = [
            ask((tmp_path / name).as_uri(), size=size, session=session).presence
            for name, size in (("a.deb", 4), ("a.deb", 5), ("b.deb", 4), ("", 4))
        ]
    assert found == [Presence.THERE, Presence.ABSENT, Presence.ABSENT, Presence.ABSENT]
