"""Reading a few parts of a large remote file: range requests, in as few round trips as possible.

A wheel's central directory and its RECORD lie at its end, so the first request asks for a tail that holds both.
A server that ignores ranges sends the whole file, which then goes to a temporary file, bounded by its size.
Source: RFC 9110, section 14 (range requests) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from envcap.archives.access import FileReader, RandomAccess
from envcap.lazy import lazy_module
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session, status_error
from envcap.sources.location import path_of_file_url

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

LARGEST_SPOOL: Final = 1 << 30
"""Bytes of a file that is fetched whole because its server knows no ranges."""

IDENTITY: Final = {"Accept-Encoding": "identity"}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z")


class HttpReader:
    """Random access to a remote file. What was read is kept, so each byte is asked for once.

    Attributes:
        size: Length in bytes, as the server says.
    """

    def __init__(self, session: Session, url: str, first: httpx.Response, *, meter: Meter) -> None:
        """Take over the answer to the first range request, which must reach to the end of the file.

        Raises:
            AnswerError: The answer is not the range it claims to be.
        """
        self._session = session
        self._url = url
        self._meter = meter
        self._lock = threading.Lock()
        self._validator = _validator(first)
        start, end, self.size = _content_range(first)
        if end != self.size:
            raise AnswerError(f"{scrub_url(url)} answered with another range than asked", reason="garbage")
        self._parts = [(start, _body(session, first, end - start, meter))]

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer than `length` only at the end of the file.

        Raises:
            AnswerError: The server fails, or the file changed meanwhile.
        """
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        with self._lock:
            for start, data in self._parts:
                if start <= offset and end <= start + len(data):
                    return data[offset - start : end - start]
            # The central directory of a large wheel may begin before the tail that is there already.
            tail, known = self._parts[0]
            if offset < tail <= end:
                data = self._fetch(offset, tail) + known
                self._parts[0] = (offset, data)
                return data[: end - offset]
            data = self._fetch(offset, end)
            self._parts.append((offset, data))
            return data

    def _fetch(self, start: int, end: int) -> bytes:
        headers = {**IDENTITY, "Range": f"bytes={start}-{end - 1}"}
        if self._validator:
            headers["If-Range"] = self._validator
        with self._session.open(self._url, headers=headers) as response:
            if response.status_code == httpx.codes.OK:
                raise AnswerError(f"{scrub_url(self._url)} changed while it was read", reason="garbage")
            if response.status_code != httpx.codes.PARTIAL_CONTENT:
                raise status_error(response)
            if _content_range(response) != (start, end, self.size):
                raise AnswerError(f"{scrub_url(self._url)} answered with another range than asked", reason="garbage")
            return _body(self._session, response, end - start, self._meter)


@contextmanager
def open_remote(
    session: Session, url: str, *, tail: int, meter: Meter, size: int = -1, spool_limit: int = LARGEST_SPOOL
) -> Iterator[RandomAccess]:
    """Open a file for random access: remote by ranges, local (`file:`) as it is.

    Args:
        session: Where to ask.
        url: `https`, `http` or `file`.
        tail: Bytes at the end that the first request asks for.
        meter: Counts what was received.
        size: Bytes, where an index said so; the file must have as many. Else -1.
        spool_limit: Most bytes of a file that is fetched whole because its server knows no ranges.

    Raises:
        AnswerError: It can't be had, is no file of that size, or is too large to be fetched whole.
        ArchiveError: A local file can't be opened.
    """
    if url.startswith("file:"):
        with FileReader(path_of_file_url(url)) as local:
            yield local
        return
    # Some servers know no suffix ranges, so the range is said in full where the size is known.
    wanted = f"bytes={max(0, size - tail)}-{size - 1}" if size > 0 else f"bytes=-{tail}"
    with session.open(url, headers={**IDENTITY, "Range": wanted}) as response:
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            reader = HttpReader(session, url, response, meter=meter)
        elif response.status_code != httpx.codes.OK:
            raise status_error(response)
        else:
            with _spooled(session, response, size if size >= 0 else spool_limit, spool_limit, meter) as whole:
                _check_size(url, whole.size, size)
                yield whole
            return
    _check_size(url, reader.size, size)
    yield reader


@contextmanager
def _spooled(
    session: Session, response: httpx.Response, limit: int, spool_limit: int, meter: Meter
) -> Iterator[FileReader]:
    """Stream a whole answer into a temporary file without a name."""
    length = response.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0  # noqa: PLR2004 - below 2**63
    if max(announced, limit if limit != spool_limit else 0) > spool_limit:
        raise AnswerError(
            f"{scrub_url(str(response.url))} knows no ranges, and is too large to be fetched whole", reason="too-large"
        )
    with tempfile.TemporaryFile() as file:
        for chunk in session.chunks(response, limit=limit, meter=meter):
            file.write(chunk)
        file.flush()
        if announced and file.tell() != announced:
            raise AnswerError(f"{scrub_url(str(response.url))} broke off", reason="broken")
        yield FileReader(file.fileno())


def _check_size(url: str, found: int, expected: int) -> None:
    if expected >= 0 and found != expected:
        raise AnswerError(
            f"{scrub_url(url)} has {found} bytes (expected {expected}, as its index says)", reason="garbage"
        )


def _content_range(response: httpx.Response) -> tuple[int, int, int]:
    """Read `Content-Range` as first byte, byte after the last, and size of the whole."""
    match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    numbers = tuple(int(number) for number in match.groups()) if match else ()
    if len(numbers) != 3 or not numbers[0] <= numbers[1] < numbers[2]:  # noqa: PLR2004 - its three numbers
        raise AnswerError(f"{scrub_url(str(response.url))} answered with a senseless range", reason="garbage")
    return numbers[0], numbers[1] + 1, numbers[2]


def _body(session: Session, response: httpx.Response, expected: int, meter: Meter) -> bytes:
    data = b"".join(session.chunks(response, limit=expected, meter=meter))
    if len(data) != expected:
        raise AnswerError(
            f"{scrub_url(str(response.url))} sent {len(data)} bytes (expected {expected})", reason="broken"
        )
    return data


def _validator(response: httpx.Response) -> str:
    """Give a strong ETag or the time of last change: what `If-Range` may hold."""
    etag = str(response.headers.get("etag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("last-modified", ""))
