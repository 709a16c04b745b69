"""Hand-packed tars: every header field can be made to lie."""

BLOCK = 512


def header(
    name: bytes = b"./a.txt",
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    link: bytes = b"",
    magic: bytes = b"ustar  \0",
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """Make one header block; numbers given as bytes are written as they are."""
    fields = [
        name.ljust(100, b"\0"),
        _number(mode, 8),
        _number(uid, 8),
        _number(gid, 8),
        _number(size, 12),
        _number(0, 12),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        magic,
        bytes(80),
        prefix,
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    assert len(block) == BLOCK
    if checksum is None:
        checksum = b"%06o\0 " % sum(block)
    return block[:148] + checksum + block[156:]


def _number(value: int | bytes, width: int) -> bytes:
    text = value if isinstance(value, bytes) else b"%0*o" % (width - 1, value)
    return text.ljust(width, b"\0")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def file(name: bytes = b"./a.txt", data: bytes = b"hello", **fields: bytes) -> bytes:
    return header(name, size=len(data), **fields) + padded(data)


def extension(kind: bytes, data: bytes) -> bytes:
    return header(b"././@LongLink", kind=kind, size=len(data)) + padded(data)


def pax(kind: bytes = b"x", **records: str) -> bytes:
    return extension(kind, b"".join(pax_record(key.replace("__", "."), value) for key, value in records.items()))


def pax_record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n".encode()
    length = len(text)
    while len(str(length)) + len(text) != length:
        length = len(str(length)) + len(text)
    return str(length).encode() + text


END = bytes(2 * BLOCK)
