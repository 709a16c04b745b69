"""Reading a bundle: hostile until checked. Its lock is checked here, every artifact when it is copied out.

The index and the lock's manifest are read strictly (sizes, digests, no name twice, one lock); what they say of
artifacts is compared with the archive, and believed for nothing: an artifact is looked up by the sha256 that the lock
pins.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from envcap.archives.access import FileReader, RandomAccess
from envcap.archives.held import Region
from envcap.blobs import LockFolder
from envcap.bundle.contents import EMPTY_TYPE, LOCK_ARTIFACT, LOCK_LAYER
from envcap.bundle.tar_index import TarIndex, index_tar, looks_like_tar
from envcap.digest import Digest
from envcap.errors import EnvcapError, LockfileError
from envcap.lockfile.document import MAX_TEXT, read_lockfile
from envcap.lockfile.model import Lockfile
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from envcap.strict_json import StrictJsonError, parse_object

MAX_MANIFEST: Final = 4 << 20
"""Bytes of an index or manifest: what registries accept."""

_BLOCK: Final = 512
_HINT: Final = "get the bundle again from where it was made"


class BundleFiles:
    """The artifacts of a bundle, by hash; see `Held`."""

    def __init__(self, tar: TarIndex, name: str) -> None:
        self._tar = tar
        self._name = name

    @property
    def shown(self) -> str:
        """What messages may say of it."""
        return f"the bundle {self._name}"

    def reader(self, sha256: str) -> Region | None:
        """Open the bytes that go by a sha256; see `Held`."""
        return self._tar.open(f"blobs/sha256/{sha256}")


def is_bundle(path: Path) -> bool:
    """Tell whether a path is a regular file that begins as a tar does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return looks_like_tar(file.read(_BLOCK))
    except OSError:
        return False  # whoever reads it as a lock says why it can't be read


def open_bundle(path: Path) -> LockFolder:
    """Read the lock of a bundle. The file stays open, so that what is read later is of the same file.

    Raises:
        LockfileError: It is no bundle, is damaged, or its lock can't be read.
    """
    name = path.name
    try:
        reader = FileReader(path)
    except EnvcapError as error:
        raise LockfileError(error.message, hint="check the file's rights") from None
    try:
        tar = index_tar(reader, name=name)
        return LockFolder(path=path, lockfile=_read_lockfile(tar, name), bundle=BundleFiles(tar, name))
    except EnvcapError as error:
        reader.close()
        raise LockfileError(
            f"{path} is no bundle that can be used: {error.message}", hint=error.hint or _HINT
        ) from None


def _read_lockfile(tar: TarIndex, name: str) -> Lockfile:
    layout = _object(_read(tar, "oci-layout", name, limit=_BLOCK), f"{name}: oci-layout")
    if layout.get("imageLayoutVersion") != "1.0.0":
        raise LockfileError(f"{name}: expected an OCI layout of version 1.0.0", hint=_HINT)
    try:
        return read_lockfile(_read_lock(tar, name).decode())
    except UnicodeDecodeError:
        raise LockfileError(f"{name}: its lock is not UTF-8 text", hint=_HINT) from None


def _read_lock(tar: TarIndex, name: str) -> bytes:
    manifest = _object(_checked(tar, _lock_row(tar, name), name, MAX_MANIFEST), f"{name}: the lock's manifest")
    media_type, kind = manifest.get("mediaType"), manifest.get("artifactType")
    if media_type != MEDIA_TYPE_MANIFEST or kind != LOCK_ARTIFACT or "manifests" in manifest:
        raise LockfileError(f"{name}: the lock's manifest is none of {LOCK_ARTIFACT}", hint=_HINT)
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or config.get("mediaType") != EMPTY_TYPE or not isinstance(layers, list):
        raise LockfileError(f"{name}: the lock's manifest lacks its empty config or its layers", hint=_HINT)
    for row in (config, *layers):
        _check_row(tar, row, name)
    if not layers or layers[0].get("mediaType") != LOCK_LAYER:
        raise LockfileError(f"{name}: the first layer of the lock's manifest is not the lock", hint=_HINT)
    if any(row.get("mediaType") == LOCK_LAYER for row in layers[1:]):
        raise LockfileError(f"{name}: the lock's manifest has several locks", hint=_HINT)
    return _checked(tar, layers[0], name, MAX_TEXT)


def _lock_row(tar: TarIndex, name: str) -> Mapping[str, object]:
    """Find the descriptor of the lock's manifest in the index.

    The descriptor may lack the type, as those of older tools do; then the only manifest is taken.
    """
    index = _object(_read(tar, "index.json", name, limit=MAX_MANIFEST), f"{name}: index.json")
    rows = index.get("manifests")
    if index.get("mediaType", MEDIA_TYPE_INDEX) != MEDIA_TYPE_INDEX or "layers" in index or not isinstance(rows, list):
        raise LockfileError(f"{name}: index.json is no index of an OCI layout", hint=_HINT)
    tables = [row for row in rows if isinstance(row, dict)]
    found = [row for row in tables if row.get("artifactType") == LOCK_ARTIFACT] or (tables if len(tables) == 1 else [])
    if len(found) != 1:
        what = "several locks" if found else "no lock"
        raise LockfileError(
            f"{name} holds {what} (expected one manifest of type {LOCK_ARTIFACT})",
            hint="give a file that `envcap bundle` wrote, or a lock's folder",
        )
    return found[0]


def _check_row(tar: TarIndex, row: object, name: str) -> None:
    digest, size = _descriptor(row, name)
    reader = tar.open(f"blobs/sha256/{digest.hex}")
    if reader is None or reader.size != size:
        found = "nothing" if reader is None else f"{reader.size} bytes"
        raise LockfileError(f"{name}: expected {size} bytes of {digest}, found {found}", hint=_HINT)


def _checked(tar: TarIndex, row: Mapping[str, object], name: str, limit: int) -> bytes:
    _check_row(tar, row, name)
    digest, _ = _descriptor(row, name)
    data = _read(tar, f"blobs/sha256/{digest.hex}", name, limit=limit)
    if Digest.of(data) != digest:
        raise LockfileError(f"{name}: a blob is damaged (expected {digest}, found {Digest.of(data)})", hint=_HINT)
    return data


def _descriptor(row: object, name: str) -> tuple[Digest, int]:
    """Read digest and size (OCI image-spec, descriptor.md); content from elsewhere or in line is refused."""
    if not isinstance(row, dict) or "urls" in row or "data" in row:
        raise LockfileError(f"{name}: a descriptor that is none, or leads elsewhere", hint=_HINT)
    size, digest = row.get("size"), row.get("digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(digest, str):
        raise LockfileError(f"{name}: a descriptor without digest or size", hint=_HINT)
    return Digest.parse(digest), size


def _read(tar: TarIndex, member: str, name: str, *, limit: int) -> bytes:
    reader: RandomAccess | None = tar.open(member)
    if reader is None:
        raise LockfileError(f"{name} lacks {member}", hint="give a file that `envcap bundle` wrote")
    if reader.size > limit:
        raise LockfileError(f"{name}: {member} has {reader.size} bytes (expected at most {limit})", hint=_HINT)
    return reader.read_at(0, reader.size)


def _object(data: bytes, where: str) -> dict[str, object]:
    """Parse a JSON object strictly: no name twice (two readers would see two values), in whatever case."""
    try:
        table = parse_object(data, limit=len(data))
    except StrictJsonError as error:
        raise LockfileError(f"{where} is not strict JSON: {error}", hint=_HINT) from None
    _refuse_twins(table, where)
    return table


def _refuse_twins(value: object, where: str) -> None:
    """Refuse names that differ in case alone: Go's reader takes `Layers` for `layers`."""
    if isinstance(value, dict):
        if len({name.casefold() for name in value}) != len(value):
            raise LockfileError(f"{where} names a key twice, in two cases", hint=_HINT)
        for item in value.values():
            _refuse_twins(item, where)
    elif isinstance(value, list):
        for item in value:
            _refuse_twins(item, where)
