"""An image as an OCI image layout: a folder, or a tar that podman, skopeo and docker all load.

The tar also holds docker's `manifest.json` (docker image save format), which names the same blobs; docker before 25
reads nothing else. Nothing is half-written: a folder gets its `index.json` last, a tar its name.
Source: OCI image-spec, image-layout.md.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.image import MEDIA_TYPE_INDEX, Image, Layer
from envcap.ustar import MAX_OCTAL_SIZE, extended_header, header_block, padding, trailer

LAYOUT = canonical_json({"imageLayoutVersion": "1.0.0"})
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644
_WRITERS = 4
_OWN_NAMES = frozenset({"oci-layout", "index.json", "manifest.json", "blobs"})

Progress = Callable[[str, int, int], None]


def index_json(image: Image, *, tag: str) -> bytes:
    """Write the layout's index: one manifest, its platform, and a name if there is one."""
    system, _, architecture = image.platform.partition("/")
    descriptor = image.descriptor.to_json() | {"platform": {"os": system, "architecture": architecture}}
    if tag:
        descriptor["annotations"] = {
            "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
            "io.containerd.image.name": tag,
        }
    return canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [descriptor]})


def docker_manifest_json(image: Image, *, tag: str) -> bytes:
    """Write docker's own list of an archive's images, naming the blobs of the layout."""
    entry: dict[str, object] = {
        "Config": blob_path(image.image_id),
        "Layers": [blob_path(layer.digest) for layer in image.layers],
        "RepoTags": [tag] if tag else None,
    }
    return canonical_json([entry])


def blob_path(digest: Digest) -> str:
    """Name a blob inside a layout."""
    return f"blobs/sha256/{digest.hex}"


def check_layout_place(folder: Path) -> None:
    """Replace nothing but what can be seen to be a layout, and nothing through a symlink.

    Raises:
        SinkError: Something else is there.
    """
    with _faults(folder):
        _check_parent(folder)
        if folder.is_symlink():
            raise SinkError(f"{folder} is a symlink (expected a new folder)", hint="choose another `--output`")
        if not folder.exists():
            return
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if names and not ("oci-layout" in names and names <= _OWN_NAMES):
        raise SinkError(
            f"{folder} is not empty and not an OCI layout (expected a new folder, or an older layout to replace)",
            hint="choose another `--output`",
        )


def check_tar_place(path: Path) -> None:
    """Replace nothing but a file.

    Raises:
        SinkError: Something else is there.
    """
    with _faults(path):
        _check_parent(path)
        if path.exists() and not path.is_file():
            raise SinkError(f"{path} is there and no regular file", hint="choose another `--output`")


def _check_parent(path: Path) -> None:
    """Find out before the work whether a file could be made at its end."""
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_layout(image: Image, folder: Path, *, tag: str = "", progress: Progress) -> None:
    """Write a layout folder; an existing layout is replaced, anything else is left alone.

    Raises:
        SinkError: The folder holds something else, or can't be written.
        StoreError: A blob of the store is damaged.
    """
    check_layout_place(folder)
    with _faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Built beside the target, so that one rename publishes it whole.
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _fill(image, staging, tag, progress)
            staging.chmod(_FOLDER_MODE)
            _replace(staging, folder)
            _sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def write_tar(image: Image, path: Path, *, tag: str = "", progress: Progress) -> None:
    """Write a tar of the layout; the file appears whole or not at all.

    Raises:
        SinkError: The file can't be written.
        StoreError: A blob of the store is damaged.
    """
    check_tar_place(path)
    with _faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                stream_tar(image, file, tag=tag, progress=progress)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(_FILE_MODE)
            Path(name).rename(path)
            _sync_folder(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def stream_tar(image: Image, file: BinaryIO, *, tag: str, progress: Progress) -> None:
    """Write the tar of a layout to an open file: small files first, then the layers, in a fixed order.

    Raises:
        StoreError: A blob of the store is damaged.
    """
    small = {
        "oci-layout": LAYOUT,
        "index.json": index_json(image, tag=tag),
        "manifest.json": docker_manifest_json(image, tag=tag),
        blob_path(image.image_id): image.config,
        blob_path(image.descriptor.digest): image.manifest,
    }
    written = 0
    for name, data in small.items():
        block = _file_header(name, len(data)) + data + padding(len(data))
        file.write(block)
        written += len(block)
    layers = list({layer.digest: layer for layer in image.layers}.values())
    for number, layer in enumerate(layers):
        header = _file_header(blob_path(layer.digest), layer.size)
        file.write(header)
        image.blobs.copy_to(layer.digest, file)
        file.write(padding(layer.size))
        written += len(header) + layer.size + len(padding(layer.size))
        progress(layer.what, number + 1, len(layers))
    file.write(trailer(written))


def _file_header(name: str, size: int) -> bytes:
    if size <= MAX_OCTAL_SIZE:
        return header_block(name.encode(), size=size)
    return extended_header([(b"size", b"%d" % size)]) + header_block(name.encode())


def _fill(image: Image, folder: Path, tag: str, progress: Progress) -> None:
    blobs = folder / "blobs" / "sha256"
    for path in (blobs.parent, blobs):
        path.mkdir()
        path.chmod(_FOLDER_MODE)  # whatever the umask
    layers = list({layer.digest: layer for layer in image.layers}.values())
    # Several at a time: one is hashed while another waits for the disk.
    with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
        copies = [pool.submit(_copy_layer, image, layer, blobs) for layer in layers]
        try:
            for number, (copy, layer) in enumerate(zip(copies, layers, strict=True)):
                copy.result()
                progress(layer.what, number + 1, len(layers))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for digest, data in ((image.image_id, image.config), (image.descriptor.digest, image.manifest)):
        with _new_file(blobs / digest.hex) as file:
            file.write(data)
    for name, data in (("oci-layout", LAYOUT), ("index.json", index_json(image, tag=tag))):
        with _new_file(folder / name) as file:
            file.write(data)
    _sync_folder(blobs)
    _sync_folder(folder)


def _copy_layer(image: Image, layer: Layer, blobs: Path) -> None:
    with _new_file(blobs / layer.digest.hex) as file:
        image.blobs.copy_to(layer.digest, file)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), _FILE_MODE)
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    # Moved aside first: a kill in between leaves the old or the new layout whole, and never half of one.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        folder.rename(Path(aside) / "old")
        staging.rename(folder)


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{path} can't be written: {error.strerror or error}", hint="check the folder's rights and the space left"
        ) from None
