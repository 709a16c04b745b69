"""Looks through a stream of bytes for a credential, in bounded memory; what is found does not depend on the chunks."""

from collections.abc import Iterable
from dataclasses import dataclass

from envcap.secrets.places import LARGEST_PLACE, Place, places_of
from envcap.secrets.shapes import ANCHORS, LONGEST, SHAPES

_BACK = 1
"""Bytes before a match that its pattern looks at."""


@dataclass(frozen=True, slots=True, order=True)
class FoundSecret:
    """A credential in a file. It says where and of which kind, never the credential itself.

    Attributes:
        line: Number of its line, from 1.
        kind: Such as `a GitHub token`.
    """

    line: int
    kind: str


def find_secret(name: str, chunks: Iterable[bytes]) -> FoundSecret | None:
    """Find the first credential of a file: one with a known shape or, if there is none, one that its name tells of.

    Args:
        name: The file's name or path: it tells where tools keep passwords.
        chunks: Its bytes in order.
    """
    places = places_of(name.rpartition("/")[2])
    head = bytearray()
    window = b""
    lines = 0  # before the window
    start = 0  # in the window: what lies before was searched
    for chunk in chunks:
        if places and len(head) < LARGEST_PLACE:
            head += chunk[: LARGEST_PLACE - len(head)]
        window += chunk
        # A match that begins near the end may go on in the next chunk.
        end = len(window) - LONGEST
        if end <= start:
            continue
        if (found := _search(window, start, end)) is not None:
            return _shaped(found, lines, window)
        cut = end - _BACK
        lines += window.count(b"\n", 0, cut)
        window, start = window[cut:], _BACK
    found = _search(window, start, len(window))
    return _shaped(found, lines, window) if found is not None else _placed(places, bytes(head))


def _shaped(found: tuple[int, str], lines: int, window: bytes) -> FoundSecret:
    return FoundSecret(1 + lines + window.count(b"\n", 0, found[0]), found[1])


def _placed(places: tuple[Place, ...], head: bytes) -> FoundSecret | None:
    matches = ((place.kind, place.pattern.search(head)) for place in places)
    found = [FoundSecret(1 + head.count(b"\n", 0, match.end() - 1), kind) for kind, match in matches if match]
    return min(found, default=None)


def _search(window: bytes, start: int, end: int) -> tuple[int, str] | None:
    """Find the first match that begins in a part of the window: its offset and kind."""
    anchor = ANCHORS.search(window, start)
    while anchor is not None and (at := anchor.start()) < end:
        for shape in SHAPES:
            if window.startswith(shape.anchor, at):
                match = shape.pattern.match(window, at)
                if match is not None and shape.is_real(match[0]):
                    return at, shape.kind
        anchor = ANCHORS.search(window, at + 1)
    return None
