"""Whether a place has a file: a folder is looked into, a server asked by HEAD (RFC 9110, section 9.3.2)."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envcap.errors import SourceError
from envcap.secrets.urls import scrub_url
from envcap.sources.http import Session
from envcap.sources.location import path_of_file_url

_ABSENT: Final = frozenset({404, 410})
_OK: Final = 200


class Presence(enum.Enum):
    """What a place said."""

    THERE = "there"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a place said, and in which words.

    Attributes:
        presence: Whether it has the file.
        said: One clause.
    """

    presence: Presence
    said: str = ""


def ask(url: str, *, size: int, session: Session) -> Answer:
    """Ask a place for a file by name and size; its bytes are not read.

    Args:
        url: `https`, `http` or `file`; may hold a token.
        size: Bytes that it should have.
        session: Where servers are asked.
    """
    if url.startswith("file:"):
        return _look(path_of_file_url(url), size)
    where = scrub_url(url)
    try:
        with session.open(url, method="HEAD", headers={"Accept-Encoding": "identity"}) as response:
            status, length = response.status_code, response.headers.get("content-length", "")
    except SourceError as error:
        return Answer(presence=Presence.UNKNOWN, said=error.message)
    if status in _ABSENT:
        return Answer(presence=Presence.ABSENT, said=f"{where} answered {status}")
    if status != _OK:
        return Answer(presence=Presence.UNKNOWN, said=f"{where} answered {status}")
    if length.isascii() and length.isdigit() and int(length[:19]) != size:
        return Answer(presence=Presence.ABSENT, said=f"{where} has {length[:19]} bytes (expected {size})")
    return Answer(presence=Presence.THERE, said=where)


def _look(path: Path, size: int) -> Answer:
    try:
        found = path.stat().st_size if path.is_file() else -1
    except OSError as error:
        return Answer(presence=Presence.UNKNOWN, said=f"a folder can't be read: {error.strerror}")
    said = "a folder of this machine"
    return Answer(presence=Presence.THERE if found == size else Presence.ABSENT, said=said)
