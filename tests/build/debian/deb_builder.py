"""Small Debian packages and shared libraries, made byte by byte for tests."""

import io
import lzma
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BytesReader:
    """Random access to bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


AR_MAGIC = b"!<arch>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A member of a data archive; `kind` is tarfile's type byte."""

    data: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    uid: int = 0
    gid: int = 0


def file(data: bytes | str, mode: int = 0o644) -> Node:
    return Node(data=data.encode() if isinstance(data, str) else data, mode=mode)


def folder(mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> Node:
    return Node(kind=tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)


def link(target: str) -> Node:
    return Node(kind=tarfile.SYMTYPE, mode=0o777, target=target)


def hardlink(target: str) -> Node:
    return Node(kind=tarfile.LNKTYPE, target=f"./{target}")


def make_deb(
    control: Mapping[str, str],
    files: Mapping[str, Node],
    *,
    scripts: Mapping[str, str] | None = None,
    md5sums: str = "",
    conffiles: str = "",
) -> bytes:
    """Build a .deb (deb(5)): parents of the files are added as `dpkg-deb` does; the given order is kept."""
    fields = {"Version": "1.0-1", "Architecture": "amd64", "Maintainer": "A <a@example.org>", **control}
    text = "".join(f"{key}: {value}\n" for key, value in fields.items()) + "Description: a test\n"
    parts = {"control": text, "md5sums": md5sums, "conffiles": conffiles, **(scripts or {})}
    control_tar = _tar({name: file(content, 0o755) for name, content in parts.items() if content})
    data_tar = _tar(_with_parents(files))
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": lzma.compress(control_tar, preset=0),
        "data.tar.xz": lzma.compress(data_tar, preset=0),
    }
    return AR_MAGIC + b"".join(_ar_member(name, data) for name, data in members.items())


def _with_parents(files: Mapping[str, Node]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for path, node in files.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in files and ".." not in parts and parent:
                nodes.setdefault(parent, folder())
        nodes[path] = node
    return nodes


def _tar(nodes: Mapping[str, Node]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, node in {"": folder(), **nodes}.items():
            member = tarfile.TarInfo(f"./{path}")
            member.type, member.mode, member.linkname = node.kind, node.mode, node.target
            member.uid, member.gid, member.size = node.uid, node.gid, len(node.data)
            tar.addfile(member, io.BytesIO(node.data))
    return buffer.getvalue()


def _ar_member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def make_library(soname: str = "", *, machine: int = 62, isa_level: int | None = None, bits: int = 2) -> bytes:
    """Build a minimal ELF64 shared object: a PT_LOAD over all of it, a PT_DYNAMIC, perhaps a property note."""
    note = b""
    if isa_level is not None:
        note = struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0008002, 4, 1 << isa_level, 0)
    segments = 3 if note else 2
    dynamic_at = 64 + 56 * segments
    strings = b"\0" + soname.encode() + b"\0"
    tags = [(14, 1)] if soname else []  # DT_SONAME
    strings_at = dynamic_at + 16 * (len(tags) + 2)
    note_at = (strings_at + len(strings) + 7) // 8 * 8
    size = note_at + len(note)
    address = 0x10000
    tags += [(5, address + strings_at), (0, 0)]  # DT_STRTAB, DT_NULL
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    ident = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, segments, 64, 0, 0)
    headers = [
        struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x1000),
        struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, *[address + dynamic_at] * 2, *[len(dynamic)] * 2, 8),
    ]
    if note:
        headers.append(struct.pack("<IIQQQQQQ", 0x6474E553, 4, note_at, *[address + note_at] * 2, *[len(note)] * 2, 8))
    return (header + b"".join(headers) + dynamic + strings).ljust(note_at, b"\0") + note
