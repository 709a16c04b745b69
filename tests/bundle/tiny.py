"""A lock whose few files are made up here, its bundle as bytes, and ways to break the bundle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from envcap.bundle.contents import Piece, bundle_pieces
from envcap.bundle.write import Bundle, stream_bundle
from envcap.digest import Digest
from envcap.lockfile.model import Artifact, CapturedFile, CondaPackage, Lockfile
from tests.archives.tar_builder import END, file
from tests.lockfile.small import SMALL
from tests.oci.images import MemoryBlobs, silent

INTERPRETER, WHEEL, DEB, CONDA, KEPT, PATCH = (
    b"interpreter" * 99, b"wheel" * 200, b"deb" * 300, b"conda" * 10, b"abc", b"print(1)\n",
)  # fmt: skip


def tiny_lock() -> Lockfile:
    package = SMALL.packages[0]
    wheels = tuple(_as(artifact, WHEEL) for artifact in package.artifacts)
    edited = replace(package.patches[1], sha256=Digest.of(PATCH).hex, size=len(PATCH))
    return replace(
        SMALL,
        interpreter=replace(SMALL.interpreter, artifacts=(_as(SMALL.interpreter.artifacts[0], INTERPRETER),)),
        packages=(replace(package, artifacts=wheels, patches=(package.patches[0], edited, package.patches[2])),),
        conda=(
            CondaPackage(
                name="zlib",
                version="1.3",
                build="h1_0",
                channel="conda-forge",
                subdir="linux-64",
                file="zlib-1.3-h1_0.conda",
                size=len(CONDA),
                sha256=Digest.of(CONDA).hex,
            ),
        ),
        system=(replace(SMALL.system[0], sha256=Digest.of(DEB).hex, size=len(DEB)),),
        captured=(CapturedFile(path="etc/tool.toml", sha256=Digest.of(KEPT).hex, size=len(KEPT)),),
    )


def _as(artifact: Artifact, data: bytes) -> Artifact:
    return replace(artifact, sha256=Digest.of(data).hex, size=len(data))


BLOBS = MemoryBlobs({Digest.of(data): data for data in (INTERPRETER, WHEEL, DEB, CONDA, KEPT, PATCH)})


def tiny_bundle(pieces: tuple[Piece, ...] | None = None) -> Bundle:
    lock = tiny_lock()
    return Bundle(lockfile=lock, pieces=bundle_pieces(lock) if pieces is None else pieces, blobs=BLOBS)


def bundle_bytes(bundle: Bundle) -> bytes:
    out = BytesIO()
    stream_bundle(bundle, out, progress=silent)
    return out.getvalue()


def members_of(bundle: Bundle) -> dict[str, bytes]:
    """Give the files of a bundle, to be changed and packed again."""
    return _unpack(bundle_bytes(bundle))


def _unpack(data: bytes) -> dict[str, bytes]:
    files, position = {}, 0
    while name := data[position : position + 100].rstrip(b"\0").decode():
        size = int(data[position + 124 : position + 135], 8)
        files[name] = data[position + 512 : position + 512 + size]
        position += 512 + size + -size % 512
    return files


def pack(members: Mapping[str, bytes], path: Path) -> Path:
    path.write_bytes(b"".join(file(name.encode(), data) for name, data in members.items()) + END)
    return path


Json = dict[str, object]


def with_manifest(edit: Callable[[Json], object]) -> dict[str, bytes]:
    """Change the lock's manifest, and the index that names it."""
    bundle = tiny_bundle()
    members = members_of(bundle)
    del members[f"blobs/sha256/{Digest.of(bundle.manifest).hex}"]
    table = json.loads(bundle.manifest)
    edit(table)
    return with_raw_manifest(members, json.dumps(table).encode())


def with_raw_manifest(members: dict[str, bytes], manifest: bytes) -> dict[str, bytes]:
    index = json.loads(members["index.json"])
    index["manifests"][0] |= {"digest": str(Digest.of(manifest)), "size": len(manifest)}
    members["index.json"] = json.dumps(index).encode()
    members[f"blobs/sha256/{Digest.of(manifest).hex}"] = manifest
    return members
