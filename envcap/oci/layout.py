"""An image as an OCI image layout: its files, and the tar of them that podman, skopeo and docker all load.

The tar also holds docker's `manifest.json` (docker image save format), which names the same blobs; docker before 25
reads nothing else. Nothing is half-written: the tar gets its name last. The folder is `oci/layout_folder.py`.
Source: OCI image-spec, image-layout.md.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.image import MEDIA_TYPE_INDEX, Image
from envcap.staging import new_file
from envcap.ustar import MAX_OCTAL_SIZE, extended_header, header_block, padding, trailer

LAYOUT = canonical_json({"imageLayoutVersion": "1.0.0"})
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
    with write_faults(folder):
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
    with write_faults(path):
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


def write_tar(image: Image, path: Path, *, tag: str = "", progress: Progress) -> None:
    """Write a tar of the layout; the file appears whole or not at all.

    Raises:
        SinkError: The file can't be written.
        StoreError: A blob of the store is damaged.
    """
    check_tar_place(path)
    with new_tar(path) as file:
        stream_tar(image, file, tag=tag, progress=progress)


@contextlib.contextmanager
def new_tar(path: Path) -> Iterator[BinaryIO]:
    """Give a tar to write; it gets its name last, so that it appears whole or not at all.

    Raises:
        SinkError: It can't be written.
    """
    with write_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as file:
            yield file


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
        block = file_header(name, len(data)) + data + padding(len(data))
        file.write(block)
        written += len(block)
    layers = list({layer.digest: layer for layer in image.layers}.values())
    for number, layer in enumerate(layers):
        header = file_header(blob_path(layer.digest), layer.size)
        file.write(header)
        image.blobs.copy_to(layer.digest, file)
        file.write(padding(layer.size))
        written += len(header) + layer.size + len(padding(layer.size))
        progress(layer.what, number + 1, len(layers))
    file.write(trailer(written))


def file_header(name: str, size: int) -> bytes:
    """Write the header of one file of a layout's tar; PAX only where the size needs it."""
    if size <= MAX_OCTAL_SIZE:
        return header_block(name.encode(), size=size)
    return extended_header([(b"size", b"%d" % size)]) + header_block(name.encode())


@contextlib.contextmanager
def write_faults(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `SinkError` that names the place."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{path} can't be written: {error.strerror or error}", hint="check the folder's rights and the space left"
        ) from None
