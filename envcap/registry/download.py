"""Blobs from a registry: streamed, counted and hashed; what broke off goes on where it stopped.

Source: OCI distribution-spec 1.1, "Pulling blobs"; RFC 9110, 14 (ranges).
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from envcap.digest import Digest
from envcap.errors import DigestError, RegistryError
from envcap.oci.image import Descriptor
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.auth import pull_scope
from envcap.registry.connection import TRIES, Connection
from envcap.registry.request import raw_chunks
from envcap.store.blobs import BlobStore
from envcap.store.writer import BlobWriter

MAX_SMALL: Final = 16 << 20
MOST_BREAKS: Final = 1000
"""Connections that may break off in one blob: a registry that sends a byte with each would never be done with."""
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/(?:[0-9]{1,15}|\*)\Z")
_PARTIAL: Final = 206

Count = Callable[[int], None]
"""Told of bytes that were moved."""


class _Destination(Protocol):
    def write(self, data: bytes, /) -> int:
        """Append bytes."""


def fetch_blob(
    connection: Connection, repository: str, descriptor: Descriptor, blobs: BlobStore, *, count: Count
) -> None:
    """Have a blob in the store: as it is there, or from the registry; it appears whole and right, or not at all.

    Raises:
        RegistryAnswerError: The registry doesn't have it or doesn't answer.
        RegistryError: It sends other bytes.
        StoreError: The disk is full or fails.
    """

    def produce(writer: BlobWriter) -> None:
        _stream(connection, repository, descriptor, writer, count)

    try:
        blobs.ensure(descriptor.digest, produce, size=descriptor.size, check=True)
    except DigestError as error:
        raise _other_bytes(connection, repository, error) from None


def read_blob(connection: Connection, repository: str, descriptor: Descriptor) -> bytes:
    """Read a small blob (a config) into memory.

    Raises:
        RegistryAnswerError: The registry doesn't have it or doesn't answer.
        RegistryError: It is large, or the registry sends other bytes.
    """
    if descriptor.size > MAX_SMALL:
        raise RegistryError(
            f"{connection.host}/{repository} has a config of {descriptor.size} bytes (expected at most {MAX_SMALL})"
        )
    kept = _Memory()
    _stream(connection, repository, descriptor, kept, lambda _count: None)
    data = bytes(kept.data)
    if (found := Digest.of(data)) != descriptor.digest:
        raise _other_bytes(
            connection, repository, DigestError(f"expected {descriptor.digest}, found {found} of {len(data)} bytes")
        )
    return data


class _Memory:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)


def stream_blob(connection: Connection, repository: str, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield a blob's bytes, as many as its descriptor says; only whoever hashes them knows whether they are it.

    Raises:
        RegistryAnswerError: The registry doesn't have it or doesn't answer.
        RegistryError: It sends fewer or more bytes.
    """
    done, failures, breaks = 0, 0, 0
    while True:
        try:
            for chunk in _chunks(connection, repository, descriptor, done):
                done += len(chunk)
                failures = 0
                yield chunk
        except RegistryAnswerError as error:
            failures, breaks = failures + 1, breaks + 1
            if not error.is_transient or failures == TRIES or breaks == MOST_BREAKS:
                raise
            connection.pause(failures - 1, error.retry_after)
        if done == descriptor.size:
            return


def _stream(
    connection: Connection, repository: str, descriptor: Descriptor, destination: _Destination, count: Count
) -> None:
    for chunk in stream_blob(connection, repository, descriptor):
        destination.write(chunk)
        count(len(chunk))


def _chunks(connection: Connection, repository: str, descriptor: Descriptor, start: int) -> Iterator[bytes]:
    """Yield a blob's bytes from one on."""
    what = f"{connection.host} sent {{}} of {descriptor.digest} in {repository}"
    with connection.open(
        "GET",
        f"/v2/{repository}/blobs/{descriptor.digest}",
        scope=pull_scope(repository),
        accept=(200, _PARTIAL) if start else (200,),
        headers={"Range": f"bytes={start}-{descriptor.size - 1}"} if start else {},
        repeat=False,  # `_stream` does, from where it stopped
    ) as response:
        skip = start
        if response.status_code == _PARTIAL:
            match = _RANGE.match(response.headers.get("content-range", ""))
            if match is None or int(match[1]) != start:
                raise RegistryError(what.format("another part than was asked for"))
            skip = 0
        expected = descriptor.size - start + skip
        said = response.headers.get("content-length", "")
        if said and said != str(expected):
            raise RegistryError(_wrong_size(what, response.headers.get("content-type", ""), said, expected))
        received = 0
        for chunk in raw_chunks(response, connection.host):
            received += len(chunk)
            if received > expected:
                raise RegistryError(what.format(f"more than the {expected} bytes"))
            if received > skip:
                yield chunk[max(0, len(chunk) - (received - skip)) :]
        if received < expected:
            # A body without a length that just ends: trying again would only bring the same.
            raise RegistryError(_wrong_size(what, response.headers.get("content-type", ""), str(received), expected))


def _wrong_size(what: str, content_type: str, found: str, expected: int) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    page = f" of {kind[:40]}" if kind.startswith("text/") and kind.isprintable() else ""
    return what.format(f"{found[:20]} bytes{page} (expected {expected})")


def _other_bytes(connection: Connection, repository: str, error: DigestError) -> RegistryError:
    return RegistryError(
        f"{connection.host} sent other bytes for a blob of {repository}: {error.message}",
        hint="the registry's storage is damaged: publish it again from where it was made, to another repository",
    )
