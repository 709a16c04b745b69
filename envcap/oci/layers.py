"""What is in the layers of an image: each path's facts, checked against the digests that name the layer."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from envcap.archives.decompress import decompress
from envcap.archives.tar_stream import TarStream
from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import SinkError
from envcap.oci.files import LIMITS, refusals

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
    """A layer of an image: the digest and size that its manifest names (none in docker's archives), and its bytes."""

    digest: Digest | None
    open: Callable[[], BinaryIO]
    size: int | None = None


def read_files(layer: FoundLayer, *, name: str) -> tuple[Digest, dict[str, FileFacts]]:
    """Read a layer to its end: the digest of its tar, and what each path in it is.

    Raises:
        SinkError: The blob is not what its digest says, or no tar.
    """
    with refusals(name), layer.open() as file:
        hashed = _Hashing(file)
        stream = _Hashing(decompress(hashed, _suffix(hashed), name=name))  # type: ignore[arg-type]  # reads only
        files = dict(_members(stream, name))
        while stream.read(CHUNK_SIZE) or hashed.read(CHUNK_SIZE):
            pass
    if layer.digest is not None and hashed.digest() != layer.digest:
        raise SinkError(f"{name} is damaged (expected {layer.digest}, found {hashed.digest()})")
    if layer.size is not None and hashed.size != layer.size:
        raise SinkError(f"{name}: the manifest says {layer.size} bytes, found {hashed.size}")
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
            elif path in merged and merged[path].kind == "directory" != layer[path].kind:
                _remove_below(merged, f"{path}/")  # a file in the place of a folder takes its content away
        merged |= {path: facts for path, facts in layer.items() if not path.rpartition("/")[2].startswith(".wh.")}
    return merged


def _remove_below(files: dict[str, FileFacts], start: str) -> None:
    for path in [path for path in files if path.startswith(start)]:
        del files[path]


def _members(stream: "_Hashing", name: str) -> Iterator[tuple[str, FileFacts]]:
    tar = TarStream(stream, name=name, limits=LIMITS, compressed_size=None)  # type: ignore[arg-type]  # reads only
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
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._peeked = b""

    def read(self, size: int = -1) -> bytes:
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        data = self.file.read(size)
        self.size += len(data)
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
