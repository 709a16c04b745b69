"""An image as an OCI image layout in a folder, filled while the image is still being built.

Layers are copied as they become known, beside those that are being built; what is known only at the end is written
then, and one rename publishes it all. Without that nothing is left behind.
Source: OCI image-spec, image-layout.md.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from envcap.digest import Digest  # noqa: TC001
from envcap.oci.image import BlobSource, Image, Layer
from envcap.oci.layout import (
    LAYOUT,
    Progress,
    blob_path,
    check_layout_place,
    index_json,
    write_faults,
)
from envcap.staging import sync_folder, synced_file

_FOLDER_MODE = 0o755
_WRITERS = 4
"""Layers copied at a time: one is hashed while another waits for the disk."""


def write_layout(image: Image, folder: Path, *, tag: str = "", progress: Progress) -> None:
    """Write a layout folder; an existing layout is replaced, anything else is left alone.

    Raises:
        SinkError: The folder holds something else, or can't be written.
        StoreError: A blob of the store is damaged.
    """
    with new_layout(folder, image.blobs) as layout:
        layout.publish(image, tag=tag, progress=progress)


class NewLayout:
    """A layout that is being filled; made by `new_layout`."""

    def __init__(self, staging: Path, target: Path, blobs: BlobSource, pool: ThreadPoolExecutor) -> None:
        self._staging = staging
        self._target = target
        self._blobs = blobs
        self._pool = pool
        self._copies: dict[Digest, Future[None]] = {}

    def add(self, layer: Layer) -> None:
        """Begin to copy a layer, unless that was done; what goes wrong is raised by `publish`."""
        if layer.digest not in self._copies:
            self._copies[layer.digest] = self._pool.submit(self._copy, layer)

    def publish(self, image: Image, *, tag: str = "", progress: Progress) -> None:
        """Copy what is missing, write config, manifest and index, and give the folder its name.

        Raises:
            SinkError: The folder can't be written.
            StoreError: A blob of the store is damaged.
        """
        check_layout_place(self._target)  # again: building took its time
        with write_faults(self._target):
            layers = list({layer.digest: layer for layer in image.layers}.values())
            for layer in layers:
                self.add(layer)
            for number, layer in enumerate(layers):
                self._copies[layer.digest].result()
                progress(layer.what, number + 1, len(layers))
            files = {
                blob_path(image.image_id): image.config,
                blob_path(image.descriptor.digest): image.manifest,
                "oci-layout": LAYOUT,
                "index.json": index_json(image, tag=tag),
            }
            for name, data in files.items():
                with synced_file(self._staging / name) as file:
                    file.write(data)
            sync_folder(self._staging / "blobs" / "sha256")
            sync_folder(self._staging)
            self._staging.chmod(_FOLDER_MODE)
            _replace(self._staging, self._target)
            sync_folder(self._target.parent)

    def _copy(self, layer: Layer) -> None:
        with synced_file(self._staging / blob_path(layer.digest)) as file:
            self._blobs.copy_to(layer.digest, file)


@contextlib.contextmanager
def new_layout(folder: Path, blobs: BlobSource) -> Iterator[NewLayout]:
    """Make a layout beside its place, so that one rename publishes it whole.

    Args:
        folder: Where it will be.
        blobs: Where the bytes of its layers are.

    Raises:
        SinkError: The folder holds something else, or can't be written.
    """
    check_layout_place(folder)
    with write_faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with write_faults(folder):
            for path in (staging / "blobs", staging / "blobs" / "sha256"):
                path.mkdir()
                path.chmod(_FOLDER_MODE)  # whatever the umask
        with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
            try:
                yield NewLayout(staging, folder, blobs, pool)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # gone already, if it was published


def _replace(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    # Moved aside first: a kill in between leaves the old or the new layout whole, and never half of one.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        folder.rename(Path(aside) / "old")
        staging.rename(folder)
