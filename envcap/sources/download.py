"""Streaming a pinned file from a server: resumed where the connection breaks, stopped where it grows too long.

Source: RFC 9110, sections 13.1.5 (If-Range), 14.2 (Range), 15.3.7 (206); notes/security.md, T25. The caller hashes what
is written, so a resumed file that was changed meanwhile is found out in any case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from envcap.lazy import lazy_module
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session, status_error
from envcap.sources.ranges import IDENTITY

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

MOST_RESUMPTIONS: Final = 1000
MOST_IDLE: Final = 3
"""Broken connections in a row that brought nothing new, before a server is given up."""


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take bytes."""


def download(session: Session, url: str, sink: Sink, *, size: int, meter: Meter) -> None:
    """Stream a file of known size.

    Args:
        session: Where to ask.
        url: `https` or `http`.
        sink: Takes the bytes, in order.
        size: Bytes that the file must have.
        meter: Counts what was received.

    Raises:
        AnswerError: It can't be had whole, or has another size.
    """
    received, idle, validator, last = 0, 0, "", ""
    for _ in range(MOST_RESUMPTIONS):
        before = received
        headers = {**IDENTITY, **({"Range": f"bytes={received}-"} if received else {})}
        if received and validator:
            headers["If-Range"] = validator
        with session.open(url, headers=headers) as response:
            skip = _bytes_to_skip(response, received, size)
            validator = validator or _validator(response)
            try:
                for chunk in session.chunks(response, limit=size - received + skip, meter=meter):
                    fresh = chunk[skip:]
                    skip = max(0, skip - len(chunk))
                    sink.write(fresh)
                    received += len(fresh)
            except AnswerError as error:
                if error.reason != "broken":
                    raise
                last = error.message
        if received == size:
            return
        idle = 0 if received > before else idle + 1
        if idle == MOST_IDLE:
            break
        session.pause(idle)
    raise AnswerError(
        last or f"{scrub_url(url)} sent {received} bytes (expected {size})",
        reason="broken",
        hint="run it again: the network or the server breaks off",
    )


def _bytes_to_skip(response: httpx.Response, received: int, size: int) -> int:
    """Check that an answer continues the file, or begins it anew; tell how much of it is there already."""
    where = scrub_url(str(response.url))
    if response.status_code == httpx.codes.PARTIAL_CONTENT and received:
        found = re.match(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})\Z", response.headers.get("content-range", ""))
        if found is None or (int(found[1]), int(found[2])) != (received, size):
            raise AnswerError(f"{where} continued with another range than asked", reason="garbage")
        return 0
    if response.status_code != httpx.codes.OK:
        raise status_error(response)
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:19]) != size:
        raise AnswerError(f"{where} has {length[:19]} bytes (expected {size})", reason="garbage")
    return received


def _validator(response: httpx.Response) -> str:
    etag = str(response.headers.get("etag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("last-modified", ""))
