"""Small images made by hand, and the layers, archives and blobs to break them with."""

import hashlib
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.oci.contents import FoundImage, open_image
from envcap.oci.image import ConfigSettings, Image, Layer, image_config
from tests.archives.tar_builder import END, file, header

SETTINGS = ConfigSettings(
    environment={"PATH": "/bin", "LANG": "C.UTF-8"}, cmd=("/bin/bash",), labels={"org.example.a": "1"}
)


@dataclass(frozen=True, slots=True)
class MemoryBlobs:
    """Blobs in memory; one that is missing fails as the store does."""

    blobs: Mapping[Digest, bytes]

    def open(self, digest: Digest) -> BinaryIO:
        if digest not in self.blobs:
            raise StoreError(f"Missing object {digest}")
        return BytesIO(self.blobs[digest])

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        destination.write(self.open(digest).read())


def directory(name: bytes, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> bytes:
    return header(name, kind=b"5", mode=mode, uid=uid, gid=gid)


def symlink(name: bytes, target: bytes, *, uid: int = 0) -> bytes:
    return header(name, kind=b"2", link=target, mode=0o777, uid=uid)


def hardlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"1", link=target)


def tar(*members: bytes) -> bytes:
    return b"".join(members) + END


def layer_of(
    tar_bytes: bytes, what: str = "a layer", pack: Callable[[bytes], bytes] | None = None
) -> tuple[Layer, bytes]:
    blob = (pack or compress)(tar_bytes)
    layer = Layer(diff_id=Digest.of(tar_bytes), digest=Digest.of(blob), size=len(blob), what=what)
    return layer, blob


def compress(data: bytes) -> bytes:
    """Make one gzip member of stored blocks: the same bytes with every zlib (RFC 1951, 3.2.4; RFC 1952, 2.3)."""
    blocks = [data[start : start + 65535] for start in range(0, len(data), 65535)] or [b""]
    stored = b"".join(
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + stored + struct.pack("<II", zlib.crc32(data), len(data))


def make_image(*tars: bytes, epoch: int = 0, settings: ConfigSettings = SETTINGS) -> Image:
    rows = [layer_of(data, f"layer {number}") for number, data in enumerate(tars)]
    layers = tuple(layer for layer, _ in rows)
    return Image(
        platform="linux/amd64",
        config=image_config("linux/amd64", [layer.diff_id for layer in layers], settings, epoch=epoch),
        layers=layers,
        blobs=MemoryBlobs({layer.digest: blob for layer, blob in rows}),
    )


SMALL = make_image(
    tar(
        directory(b"bin/"),
        file(b"bin/tool", b"#!/bin/sh\n"),
        symlink(b"bin/sh", b"tool"),
        hardlink(b"bin/again", b"bin/tool"),
    ),
    tar(directory(b"etc/"), file(b"etc/motd", b"hello\n")),
)


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


def read_image(path: Path) -> FoundImage:
    """Open an image whose bytes are not needed any more."""
    with open_image(path) as found:
        return found


def layout_folder(
    folder: Path,
    layers: Sequence[bytes],
    diff_ids: Sequence[str],
    *,
    change: Callable[[dict[str, object]], object] | None = None,
) -> Path:
    """Write a layout by hand from blobs as they are; `change` edits the manifest before it is hashed."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": list(diff_ids)}}).encode()
    manifest: dict[str, object] = {
        "config": put_blob(blobs, config),
        "layers": [put_blob(blobs, layer) for layer in layers],
    }
    if change is not None:
        change(manifest)
    row = put_blob(blobs, json.dumps(manifest).encode())
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"manifests": [row]}))
    return folder


def put_blob(blobs: Path, data: bytes) -> dict[str, object]:
    sha256 = hashlib.sha256(data).hexdigest()
    (blobs / sha256).write_bytes(data)
    return {"digest": f"sha256:{sha256}", "size": len(data)}


def docker_archive(path: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write a tar in the form of `docker save`; a text is a symlink's target."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, BytesIO(content))
    return path
