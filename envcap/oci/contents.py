"""An image that somebody gives us, read with distrust: a layout folder, a layout tar, or docker's own archive.

Every blob is checked against the digest that names it before anything of it is believed; nothing is written.
Source: OCI image-spec, image-layout.md; docker image specification v1.2 for `manifest.json`.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from envcap.archives.access import FileReader
from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.files import Files, FolderFiles, TarFiles, checked_name, refusals
from envcap.oci.layers import FoundLayer

_MAX_JSON = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image that was found.

    Attributes:
        config: The config's bytes.
        manifest: Digest of the manifest, or None for docker's archives, which have none.
        diff_ids: What the config says of its layers.
        layers: Lowest first.
    """

    config: bytes
    manifest: Digest | None
    diff_ids: tuple[Digest, ...]
    layers: tuple[FoundLayer, ...]

    @property
    def image_id(self) -> Digest:
        """Digest of the config."""
        return Digest.of(self.config)


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[FoundImage]:
    """Open a layout folder or an archive of an image.

    Raises:
        SinkError: There is no image, or a blob is not what its digest says.
    """
    with contextlib.ExitStack() as stack:
        with refusals(str(path)):
            image = _open(path, stack)
        yield image


@contextlib.contextmanager
def open_archive(file: BinaryIO, *, name: str) -> Iterator[FoundImage]:
    """Open an archive of an image that is open as a file with a descriptor.

    Args:
        file: Stays the caller's to close.
        name: For messages.

    Raises:
        SinkError: As `open_image`.
    """
    with refusals(name):
        image = _read_image(TarFiles(FileReader(file.fileno()), name), name)
    yield image


def _open(path: Path, stack: contextlib.ExitStack) -> FoundImage:
    if path.is_dir():
        return _read_image(FolderFiles(path), str(path))
    if not path.is_file():
        raise SinkError(f"There is no image at {path}", hint="give a layout folder, a layout tar, or `docker:NAME`")
    return _read_image(TarFiles(stack.enter_context(FileReader(path)), path.name), str(path))


def _read_image(files: Files, where: str) -> FoundImage:
    names = files.names()
    if "index.json" in names:
        return _read_layout(files, where)
    if "manifest.json" in names:
        return _read_docker(files, where)
    raise SinkError(
        f"{where} is no image (expected `index.json` or `manifest.json`)",
        hint="give an OCI layout, the tar of one, or what `docker save` writes",
    )


def _read_layout(files: Files, where: str) -> FoundImage:
    manifests = _json(files, "index.json", where).get("manifests")
    if isinstance(manifests, list):
        # Other artifacts say what they are (OCI image-spec 1.1, descriptor.md): the lock in a bundle is one.
        manifests = [row for row in manifests if not (isinstance(row, dict) and row.get("artifactType"))]
    if not isinstance(manifests, list) or len(manifests) != 1:
        hint = "" if manifests else "if this is a bundle, make it with `envcap bundle --image`"
        raise SinkError(f"{where}: expected one image in index.json", hint=hint)
    digest, _ = _descriptor(manifests[0], where)
    manifest = _json_bytes(_checked(files, manifests[0], where), where)
    config = _checked(files, manifest.get("config"), where)
    rows = manifest.get("layers")
    if not isinstance(rows, list):
        raise SinkError(f"{where}: the manifest names no layers")
    layers = tuple(_layer(files, row, where) for row in rows)
    return FoundImage(config=config, manifest=digest, diff_ids=_diff_ids(config, where), layers=layers)


def _layer(files: Files, row: object, where: str) -> FoundLayer:
    digest, size = _descriptor(row, where)
    return FoundLayer(digest=digest, open=_opener(files, f"blobs/sha256/{digest.hex}"), size=size)


def _read_docker(files: Files, where: str) -> FoundImage:
    images = _parsed(files, "manifest.json", where)
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise SinkError(f"{where}: expected one image in manifest.json")
    with files.open(str(images[0].get("Config"))) as file:
        config = file.read(_MAX_JSON)
    names = images[0].get("Layers") or []
    if not isinstance(names, list):
        raise SinkError(f"{where}: manifest.json names no layers")
    layers = tuple(FoundLayer(digest=None, open=_opener(files, checked_name(str(name)))) for name in names)
    return FoundImage(config=config, manifest=None, diff_ids=_diff_ids(config, where), layers=layers)


def _opener(files: Files, name: str) -> Callable[[], BinaryIO]:
    return lambda: files.open(name)


def _checked(files: Files, descriptor: object, where: str) -> bytes:
    digest, size = _descriptor(descriptor, where)
    with files.open(f"blobs/sha256/{digest.hex}") as file:
        data = file.read(_MAX_JSON)
    if Digest.of(data) != digest:
        raise SinkError(f"{where}: a blob is damaged (expected {digest}, found {Digest.of(data)})")
    if len(data) != size:
        raise SinkError(f"{where}: a descriptor says {size} bytes of {digest}, which has {len(data)}")
    return data


def _diff_ids(config: bytes, where: str) -> tuple[Digest, ...]:
    rootfs = _json_bytes(config, where).get("rootfs")
    rows = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(rows, list):
        raise SinkError(f"{where}: the config names no layers")
    return tuple(Digest.parse(str(row)) for row in rows)


def _descriptor(descriptor: object, where: str) -> tuple[Digest, int]:
    """Read digest and size of a descriptor (OCI image-spec, descriptor.md: both are required)."""
    if not isinstance(descriptor, dict):
        raise SinkError(f"{where}: expected a descriptor, found {type(descriptor).__name__}")
    size = descriptor.get("size")
    if not isinstance(size, int):
        raise SinkError(f"{where}: a descriptor without a size")
    return Digest.parse(str(descriptor.get("digest"))), size


def _json(files: Files, name: str, where: str) -> dict[str, object]:
    table = _parsed(files, name, where)
    if not isinstance(table, dict):
        raise SinkError(f"{where}: expected an object in {name}")
    return table


def _parsed(files: Files, name: str, where: str) -> object:
    with files.open(name) as file:
        return _load(file.read(_MAX_JSON), where)


def _json_bytes(data: bytes, where: str) -> dict[str, object]:
    table = _load(data, where)
    if not isinstance(table, dict):
        raise SinkError(f"{where}: expected a JSON object, found {type(table).__name__}")
    return table


def _load(data: bytes, where: str) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SinkError(f"{where}: not valid JSON: {error}") from None
    return value
