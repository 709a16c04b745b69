"""An image that somebody gives us, read with distrust: a layout folder, a layout tar, or docker's own archive.

Every blob is checked against the digest that names it before anything of it is believed; nothing is written.
Source: OCI image-spec, image-layout.md; docker image specification v1.2 for `manifest.json`.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from envcap.archives.access import FileReader, RegionStream
from envcap.archives.decompress import decompress
from envcap.archives.limits import ArchiveLimits
from envcap.archives.tar_stream import TarStream
from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import EnvcapError, SinkError

_LIMITS = ArchiveLimits(members=1_000_000, total=1 << 40)
_MAX_JSON = 16 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_KINDS = {"0": "file", "\0": "file", "1": "hardlink", "2": "symlink", "5": "directory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One path of an image, as far as it can be compared."""

    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLayer:
    """A layer of an image: the digest that its manifest names (none in docker's archives), and its bytes."""

    digest: Digest | None
    open: Callable[[], BinaryIO]


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


class _Files(Protocol):
    def names(self) -> Mapping[str, object]: ...

    def open(self, name: str) -> BinaryIO: ...


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[FoundImage]:
    """Open a layout folder or an archive of an image.

    Raises:
        SinkError: There is no image, or a blob is not what its digest says.
    """
    if path.is_dir():
        yield _read_image(_Folder(path), str(path))
        return
    if not path.is_file():
        raise SinkError(f"There is no image at {path}", hint="give a layout folder, a layout tar, or `docker:NAME`")
    with FileReader(path) as reader:
        yield _read_image(_Tar(reader, path.name), str(path))


def read_files(layer: FoundLayer, *, name: str) -> tuple[Digest, dict[str, FileFacts]]:
    """Read a layer to its end: the digest of its tar, and what each path in it is.

    Raises:
        SinkError: The blob is not what its digest says, or no tar.
    """
    hashed = _Hashing(layer.open())
    with hashed.file:
        try:
            stream = _Hashing(decompress(hashed, _suffix(hashed), name=name))  # type: ignore[arg-type]  # reads only
            files = dict(_members(stream, name))
            while stream.read(CHUNK_SIZE):
                pass
            while hashed.read(CHUNK_SIZE):
                pass
        except EnvcapError as error:
            raise SinkError(f"{name} can't be read: {error.message}") from None
    if layer.digest is not None and hashed.digest() != layer.digest:
        raise SinkError(f"{name} is damaged (expected {layer.digest}, found {hashed.digest()})")
    return stream.digest(), files


def merge_layers(layers: list[dict[str, FileFacts]]) -> dict[str, FileFacts]:
    """Apply layers on each other, whiteouts included (OCI image-spec, layer.md, "Whiteouts")."""
    merged: dict[str, FileFacts] = {}
    for layer in layers:
        for path in layer:
            parent, _, name = path.rpartition("/")
            start = f"{parent}/" if parent else ""
            if name == ".wh..wh..opq":
                _remove_below(merged, start)
            elif name.startswith(".wh."):
                gone = start + name.removeprefix(".wh.")
                merged.pop(gone, None)
                _remove_below(merged, f"{gone}/")
        merged |= {path: facts for path, facts in layer.items() if not path.rpartition("/")[2].startswith(".wh.")}
    return merged


def _remove_below(files: dict[str, FileFacts], start: str) -> None:
    for path in [path for path in files if path.startswith(start)]:
        del files[path]


def _members(stream: "_Hashing", name: str) -> Iterator[tuple[str, FileFacts]]:
    tar = TarStream(stream, name=name, limits=_LIMITS, compressed_size=None)  # type: ignore[arg-type]  # reads only
    for member in tar.members():
        sha256 = _Sha256()
        tar.copy_data(member.size, sha256)  # type: ignore[arg-type]  # writes only
        kind = _KINDS.get(member.kind, f"type {member.kind}")
        path = member.name.removeprefix("./").strip("/")
        if path and path != ".":
            yield (
                path,
                FileFacts(
                    kind=kind,
                    mode=member.mode,
                    uid=member.uid,
                    gid=member.gid,
                    size=member.size,
                    sha256=sha256.hexdigest() if kind == "file" else "",
                    target=member.link.removeprefix("./") if kind == "hardlink" else member.link,
                ),
            )


class _Sha256:
    """Takes a member's bytes and keeps only their hash."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


class _Hashing:
    """Hashes what is read through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._sha256 = hashlib.sha256()
        self._peeked = b""

    def read(self, size: int = -1) -> bytes:
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        data = self.file.read(size)
        self._sha256.update(data)
        return data

    def peek(self, size: int) -> bytes:
        self._peeked = self.read(size)
        return self._peeked

    def digest(self) -> Digest:
        return Digest(self._sha256.hexdigest())


def _suffix(file: _Hashing) -> str:
    head = file.peek(4)
    if head.startswith(_GZIP):
        return ".gz"
    return ".zst" if head.startswith(_ZSTD) else ""


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Mapping[str, object]:
        return {name: None for name in ("index.json", "manifest.json") if (self._root / name).is_file()}

    def open(self, name: str) -> BinaryIO:
        try:
            return os.fdopen(os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except OSError as error:
            raise SinkError(f"{name} of the image can't be read: {error.strerror}") from None


class _Tar:
    """Random access to the members of an uncompressed tar."""

    def __init__(self, reader: FileReader, name: str) -> None:
        self._reader = reader
        self._members: dict[str, tuple[int, int, str]] = {}
        stream = RegionStream(reader, 0, reader.size)
        position = _Position(stream)
        tar = TarStream(position, name=name, limits=_LIMITS, compressed_size=None)  # type: ignore[arg-type]  # reads only
        try:
            for member in tar.members():
                path = member.name.removeprefix("./")
                self._members[path] = (position.offset, member.size, member.link if member.kind == "2" else "")
                tar.copy_data(member.size, _Sink())  # type: ignore[arg-type]  # writes only
        except EnvcapError as error:
            raise SinkError(f"{name} is no image archive: {error.message}") from None

    def names(self) -> Mapping[str, object]:
        return self._members

    def open(self, name: str) -> BinaryIO:
        if name not in self._members:
            raise SinkError(f"The image's archive lacks {name!r}")
        offset, size, link = self._members[name]
        if link:  # docker before 25 writes a repeated layer as a link to the first
            target = os.path.normpath(os.path.join(os.path.dirname(name), link))  # noqa: PTH118, PTH120  # a name, not a path
            offset, size, link = self._members.get(target, (0, 0, link))
            if link:
                raise SinkError(f"The image's archive links {name!r} to {target!r}, which is no file")
        return RegionStream(self._reader, offset, size)  # type: ignore[return-value]  # reads only


class _Position:
    def __init__(self, file: RegionStream) -> None:
        self._file = file
        self.offset = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size) or b""
        self.offset += len(data)
        return data


class _Sink:
    def write(self, data: bytes) -> int:
        return len(data)


def _read_image(files: _Files, where: str) -> FoundImage:
    names = files.names()
    if "index.json" in names:
        return _read_layout(files, where)
    if "manifest.json" in names:
        return _read_docker(files, where)
    raise SinkError(
        f"{where} is no image (expected `index.json` or `manifest.json`)",
        hint="give an OCI layout, the tar of one, or what `docker save` writes",
    )


def _read_layout(files: _Files, where: str) -> FoundImage:
    manifests = _json(files, "index.json", where).get("manifests")
    if not isinstance(manifests, list) or len(manifests) != 1:
        raise SinkError(f"{where}: expected one image in index.json")
    digest = _digest(manifests[0], where)
    manifest = _json_bytes(_checked(files, digest, where), where)
    config = _checked(files, _digest(manifest.get("config"), where), where)
    rows = manifest.get("layers")
    digests = [_digest(row, where) for row in rows] if isinstance(rows, list) else []
    layers = tuple(FoundLayer(digest=layer, open=_opener(files, f"blobs/sha256/{layer.hex}")) for layer in digests)
    return FoundImage(config=config, manifest=digest, diff_ids=_diff_ids(config, where), layers=layers)


def _read_docker(files: _Files, where: str) -> FoundImage:
    images = _parsed(files, "manifest.json", where)
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise SinkError(f"{where}: expected one image in manifest.json")
    with files.open(str(images[0].get("Config"))) as file:
        config = file.read(_MAX_JSON)
    names = images[0].get("Layers")
    layers = tuple(FoundLayer(digest=None, open=_opener(files, str(name))) for name in names or [])
    return FoundImage(config=config, manifest=None, diff_ids=_diff_ids(config, where), layers=layers)


def _opener(files: _Files, name: str) -> Callable[[], BinaryIO]:
    return lambda: files.open(name)


def _checked(files: _Files, digest: Digest, where: str) -> bytes:
    with files.open(f"blobs/sha256/{digest.hex}") as file:
        data = file.read(_MAX_JSON)
    if Digest.of(data) != digest:
        raise SinkError(f"{where}: a blob is damaged (expected {digest}, found {Digest.of(data)})")
    return data


def _diff_ids(config: bytes, where: str) -> tuple[Digest, ...]:
    rootfs = _json_bytes(config, where).get("rootfs")
    rows = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(rows, list):
        raise SinkError(f"{where}: the config names no layers")
    return tuple(Digest.parse(str(row)) for row in rows)


def _digest(descriptor: object, where: str) -> Digest:
    if not isinstance(descriptor, dict):
        raise SinkError(f"{where}: expected a descriptor, found {type(descriptor).__name__}")
    return Digest.parse(str(descriptor.get("digest")))


def _json(files: _Files, name: str, where: str) -> dict[str, object]:
    table = _parsed(files, name, where)
    if not isinstance(table, dict):
        raise SinkError(f"{where}: expected an object in {name}")
    return table


def _parsed(files: _Files, name: str, where: str) -> object:
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
