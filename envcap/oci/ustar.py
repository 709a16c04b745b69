"""The few tar bytes that an archive of blobs needs: regular files with short names, mode 0644, time 0 (POSIX ustar)."""

_BLOCK = 512
_RECORD = 10240
_MAX_OCTAL_SIZE = 0o77777777777


def tar_file_header(name: str, size: int) -> bytes:
    """Write the header of a regular file. Names here are ASCII and shorter than 100 bytes.

    A blob of 8 GiB or more is written in base 256, which GNU tar, Go and docker read.
    """
    length = b"%011o\0" % size if size <= _MAX_OCTAL_SIZE else (1 << 95 | size).to_bytes(12, "big")
    head = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + length + b"00000000000\0"
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    return b"%s%06o\0 %s" % (head, sum(head) + 8 * ord(" ") + sum(tail), tail)


def tar_padding(size: int) -> bytes:
    """Zeros up to a whole block."""
    return bytes(-size % _BLOCK)


def tar_trailer(size: int) -> bytes:
    """Two zero blocks, then zeros up to a whole record."""
    return bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD)
