"""Hashing a whole remote file, where its index gives no sha256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from envcap.digest import CHUNK_SIZE
from envcap.lazy import lazy_module
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session, status_error
from envcap.sources.location import path_of_file_url
from envcap.sources.ranges import IDENTITY

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")


def hash_file(session: Session, url: str, *, size: int, meter: Meter) -> str:
    """Hash a file of known size, on a server or on this machine, and give 64 hex digits.

    Raises:
        AnswerError: It can't be had, or has another size.
    """
    sha256 = hashlib.sha256()
    total = 0
    if url.startswith("file:"):
        try:
            with path_of_file_url(url).open("rb") as file:
                while chunk := file.read(CHUNK_SIZE):
                    sha256.update(chunk)
                    total += len(chunk)
        except OSError as error:
            raise AnswerError(f"A local file can't be read: {error.strerror}", reason="unreachable") from error
    else:
        with session.open(url, headers=IDENTITY) as response:
            if response.status_code != httpx.codes.OK:
                raise status_error(response)
            for chunk in session.chunks(response, limit=size, meter=meter):
                sha256.update(chunk)
                total += len(chunk)
    if total != size:
        raise AnswerError(f"{scrub_url(url)} sent {total} bytes (expected {size})", reason="broken")
    return sha256.hexdigest()
