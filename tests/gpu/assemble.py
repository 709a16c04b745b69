"""Writes fat binaries, offload bundles and the libraries that hold them, by hand: no compiler is needed."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import zstandard

PTX, CUBIN, LTO = 1, 2, 8
SPECIFIC, FAMILY = 0x100000, 0x200000
LZ4, ZSTD = 0x2000, 0x8000
BUNDLE_MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"


def library(sections: Mapping[str, bytes], *, stripped: bool = False, align: int = 4096) -> bytes:
    """Write a 64-bit ELF file with sections; stripped, it holds their content and doesn't say where."""
    names, offsets = b"\0", []
    for name in (*sections, ".shstrtab"):
        offsets.append(len(names))
        names += name.encode() + b"\0"
    body, table = bytearray(64), [bytes(64)]
    for offset, data in zip(offsets, (*sections.values(), names), strict=True):
        body += bytes(-len(body) % align)
        table.append(struct.pack("<IIQQQQIIQQ", offset, 1, 2, 0, len(body), len(data), 0, 0, 8, 0))
        body += data
    place = len(body)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    rows = (0, 0, 0) if stripped else (64, len(table), len(table) - 1)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 0 if stripped else place, 0, 64, 56, 0, *rows)
    return head + bytes(body[64:]) + (b"" if stripped else b"".join(table))


def cubin(*sections: str) -> bytes:
    """Write machine code with sections of these names; without any it has nothing that a program can use."""
    return library(dict.fromkeys((".strtab", ".symtab", ".nv.callgraph", *sections), b"\1" * 32), align=4)


KERNEL = cubin(".text._Z1kPf")
PTX_TEXT = b".version 9.0\n.target sm_90\n.visible .entry k() { ret; }\n"


def entry(  # the fields of the format
    kind: int,
    arch: int,
    payload: bytes = KERNEL,
    *,
    isa: tuple[int, int] = (9, 0),
    flags: int = 0,
    header: int = 64,
) -> bytes:
    """Write one piece of code; `flags` say how it is compressed and what suffix its target has."""
    full = len(payload) if flags & (LZ4 | ZSTD) else 0
    if flags & LZ4:
        payload = lz4(payload)
    elif flags & ZSTD:
        payload = zstandard.ZstdCompressor().compress(payload)
    packed = len(payload) if full else 0
    payload += bytes(-len(payload) % 8)
    version = isa if kind == PTX else (1, 8)
    head = struct.pack(
        "<HHIQIIHHIIIQQQ", kind, 0x101, header, len(payload), packed, 0, version[1], version[0], arch, 0, 0,
        flags | 0x11, 0, full,
    )  # fmt: skip
    return head + bytes(header - len(head)) + payload


def container(*entries: bytes) -> bytes:
    """Write a container, padded as the linker pads it."""
    body = b"".join(entries)
    data = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body
    return data + bytes(-len(data) % 8)


def lz4(data: bytes) -> bytes:
    """Compress into one LZ4 block: runs of one byte become matches, the rest is literal."""
    out, at, literals = bytearray(), 0, bytearray()
    while at < len(data):
        run = len(data[at:]) - len(data[at:].lstrip(data[at : at + 1]))
        if run > 20 and at + run + 5 < len(data):
            literals.append(data[at])
            out += _sequence(bytes(literals), run - 1)
            literals.clear()
            at += run
        else:
            literals.append(data[at])
            at += 1
    return bytes(out + _sequence(bytes(literals), 0))


def _sequence(literals: bytes, match: int) -> bytes:
    """Write literals, then a match of `match` bytes one byte back; 0 for the last sequence, which has none."""
    extra = match - 4 if match else 0
    token = min(len(literals), 15) << 4 | min(extra, 15)
    tail = (b"\1\0" + _more(extra)) if match else b""
    return bytes([token]) + _more(len(literals)) + literals + tail


def _more(length: int) -> bytes:
    if length < 15:
        return b""
    full, rest = divmod(length - 15, 255)
    return b"\xff" * full + bytes([rest])


def bundle(identifiers: Sequence[str], code: bytes = b"code") -> bytes:
    """Write an offload bundle as clang does: a table, then the code of each target on a page of its own."""
    table = BUNDLE_MAGIC + struct.pack("<Q", len(identifiers))
    size = len(table) + sum(24 + len(identifier) for identifier in identifiers)
    body, place = bytearray(), -(-size // 4096) * 4096
    for identifier in identifiers:
        data = b"" if identifier.startswith("host-") else code
        table += struct.pack("<QQQ", place + len(body), len(data), len(identifier)) + identifier.encode()
        body += data + bytes(-len(data) % 4096)
    return table + bytes(place - size) + bytes(body)


def hip(*targets: str) -> bytes:
    """Write the bundle of a HIP translation unit."""
    return bundle(["host-x86_64-unknown-linux-gnu-", *(f"hipv4-amdgcn-amd-amdhsa--{target}" for target in targets)])


def compressed(data: bytes, *, version: int = 3, method: str = "zstd") -> bytes:
    """Compress a bundle as clang does, `CCOB`."""
    packed = zlib.compress(data) if method == "zlib" else zstandard.ZstdCompressor().compress(data)
    number = 0 if method == "zlib" else 1
    if version == 1:
        return struct.pack("<4sHHIQ", b"CCOB", 1, number, len(data), 0) + packed
    form = "<4sHHIIQ" if version == 2 else "<4sHHQQQ"
    return struct.pack(form, b"CCOB", version, number, struct.calcsize(form) + len(packed), len(data), 0) + packed


def pages(*parts: bytes) -> bytes:
    """Put each part at the start of a page."""
    data = bytearray()
    for part in parts:
        data += bytes(-len(data) % 4096) + part
    return bytes(data)


def spirv(*instructions: tuple[int, int]) -> bytes:
    """Write a SPIR-V module of instructions (opcode, count of words)."""
    words = [0x07230203, 0x10000, 0, 10, 0]
    for opcode, count in instructions:
        words += [count << 16 | opcode, *([1] * (count - 1))]
    return struct.pack(f"<{len(words)}I", *words)
