"""Writing a bundle: one pass from the store into the file, the same bytes for the same lock.

The descriptors come from the lock, so nothing is hashed to write them; each blob is hashed once, while it is copied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from envcap.bundle.contents import EMPTY, Piece, bundle_index, lock_manifest
from envcap.bundle.read import is_bundle
from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.lockfile.document import write_lockfile
from envcap.lockfile.model import Lockfile
from envcap.oci.image import BlobSource, Image
from envcap.oci.layout import (
    LAYOUT,
    Progress,
    blob_path,
    check_tar_place,
    docker_manifest_json,
    file_header,
    new_tar,
    write_faults,
)
from envcap.ustar import padding, trailer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle is to hold.

    Attributes:
        lockfile: The lock.
        pieces: What it pins, from `bundle_pieces`.
        blobs: Has the bytes of the pieces.
        image: The rebuilt image, or None.
        tag: Name of the image.
    """

    lockfile: Lockfile
    pieces: Sequence[Piece]
    blobs: BlobSource
    image: Image | None = None
    tag: str = ""

    @property
    def lock(self) -> bytes:
        """The text of the lockfile."""
        return write_lockfile(self.lockfile).encode()

    @property
    def manifest(self) -> bytes:
        """The lock's manifest; its digest names the bundle's content."""
        return lock_manifest(self.lock, self.pieces)


def check_bundle_place(path: Path) -> None:
    """Replace nothing but an older bundle: a slip of `--output` must not cost a lock.

    Raises:
        SinkError: Something else is there.
    """
    check_tar_place(path)
    with write_faults(path):
        if path.exists() and path.stat().st_size and not is_bundle(path):
            raise SinkError(
                f"{path} is there and no bundle (expected a new file, or an older bundle to replace)",
                hint="choose another `--output`",
            )


def write_bundle(bundle: Bundle, path: Path, *, progress: Progress) -> None:
    """Write a bundle; the file appears whole or not at all.

    Raises:
        SinkError: The file can't be written.
        StoreError: A blob of the store is missing or damaged.
    """
    check_bundle_place(path)
    with new_tar(path) as file:
        stream_bundle(bundle, file, progress=progress)


def stream_bundle(bundle: Bundle, file: BinaryIO, *, progress: Progress) -> None:
    """Write a bundle to an open file: what describes it first, then each blob once, in a fixed order.

    Raises:
        StoreError: A blob of the store is missing or damaged.
    """
    written = 0
    small = _small_files(bundle)
    for name, data in small.items():
        block = file_header(name, len(data)) + data + padding(len(data))
        file.write(block)
        written += len(block)
    large = {digest: row for digest, row in _large_files(bundle).items() if blob_path(digest) not in small}
    for number, (digest, (size, what, source)) in enumerate(large.items()):
        header, filling = file_header(blob_path(digest), size), padding(size)
        file.write(header)
        source.copy_to(digest, file)
        file.write(filling)
        written += len(header) + size + len(filling)
        progress(what, number + 1, len(large))
    file.write(trailer(written))


def _small_files(bundle: Bundle) -> dict[str, bytes]:
    lock, manifest, image = bundle.lock, bundle.manifest, bundle.image
    files = {
        "oci-layout": LAYOUT,
        "index.json": bundle_index(manifest, image, tag=bundle.tag),
        **({"manifest.json": docker_manifest_json(image, tag=bundle.tag)} if image else {}),
    }
    blobs = [manifest, EMPTY, lock, *([image.manifest, image.config] if image else [])]
    return files | {blob_path(Digest.of(data)): data for data in blobs}


def _large_files(bundle: Bundle) -> dict[Digest, tuple[int, str, BlobSource]]:
    """Give size, what it is and where it comes from, by digest: each is written once."""
    return dict(_rows(bundle))


def _rows(bundle: Bundle) -> Iterator[tuple[Digest, tuple[int, str, BlobSource]]]:
    for piece in bundle.pieces:
        yield Digest(piece.sha256), (piece.size, piece.title, bundle.blobs)
    if bundle.image:
        for layer in bundle.image.layers:
            yield layer.digest, (layer.size, layer.what, bundle.image.blobs)
