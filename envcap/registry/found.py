"""An image in a registry as one that is checked: config and manifest by digest, layers read as they are asked for.

A layer whose blob the store has is read there; both are hashed by whoever reads them.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import DigestError, RegistryError
from envcap.oci.contents import FoundImage
from envcap.oci.image import Descriptor
from envcap.oci.layers import FoundLayer
from envcap.registry.connection import Connection
from envcap.registry.download import stream_blob
from envcap.registry.reference import Reference
from envcap.registry.strict_json import read_json
from envcap.registry.transfer import fetch_image
from envcap.store.blobs import BlobStore

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def find_image(connection: Connection, reference: Reference, blobs: BlobStore, *, platform: str) -> FoundImage:
    """Read what names an image; its layers are streamed when they are opened.

    Args:
        connection: To the registry.
        reference: What to read.
        blobs: Where a layer may be already.
        platform: `os/architecture`, to choose from an index.

    Raises:
        RegistryError: There is none, or the registry answers wrongly.
    """
    remote = fetch_image(connection, reference, platform=platform)
    name = reference.repository
    return FoundImage(
        config=remote.config,
        manifest=remote.manifest.descriptor.digest,
        diff_ids=_diff_ids(remote.config, str(reference)),
        layers=tuple(
            FoundLayer(
                digest=row.descriptor.digest,
                size=row.descriptor.size,
                open=_opener(connection, name, row.descriptor, blobs),
            )
            for row in remote.document.layers
        ),
    )


def _opener(
    connection: Connection, repository: str, descriptor: Descriptor, blobs: BlobStore
) -> Callable[[], BinaryIO]:
    return partial(_open, connection, repository, descriptor, blobs)


def _open(connection: Connection, repository: str, descriptor: Descriptor, blobs: BlobStore) -> BinaryIO:
    if blobs.has(descriptor.digest, size=descriptor.size):
        return blobs.open(descriptor.digest)
    return io.BufferedReader(_Streamed(connection, repository, descriptor), CHUNK_SIZE)


def _diff_ids(config: bytes, what: str) -> tuple[Digest, ...]:
    rootfs = read_json(config, f"{what}: config").get("rootfs")
    rows = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(rows, list):
        raise RegistryError(f"{what}: the config names no layers")
    try:
        return tuple(Digest.parse(str(row)) for row in rows)
    except DigestError as error:
        raise RegistryError(f"{what}: {error.message}") from None


class _Streamed(io.RawIOBase):
    """A blob as a file that is read once; nothing is asked before the first read."""

    def __init__(self, connection: Connection, repository: str, descriptor: Descriptor) -> None:
        super().__init__()
        self._chunks = stream_blob(connection, repository, descriptor)
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._ready:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._ready = memoryview(chunk)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._chunks.close()  # type: ignore[attr-defined]  # a generator: it gives its connection back
        super().close()
