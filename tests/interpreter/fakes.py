"""A small hand-made Python: its files, what it says of itself, and ELF files with chosen dynamic tags."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from envcap.environment import InterpreterFacts


def build_elf(
    *, needed: Sequence[str] = (), runpath: str = "", loader: str = "/lib64/ld-linux-x86-64.so.2", rodata: bytes = b""
) -> bytes:
    """Build an ELF64 file with PT_LOAD, PT_INTERP and PT_DYNAMIC (System V gABI, chapters 4 and 5)."""
    strings = b"\0"
    tags: list[tuple[int, int]] = []
    for tag, text in [*((1, name) for name in needed), *([(29, runpath)] if runpath else [])]:
        tags.append((tag, len(strings)))
        strings += text.encode() + b"\0"
    start = 64 + 3 * 56
    interp = loader.encode() + b"\0"
    dynamic = start + len(interp)
    table = dynamic + 16 * (len(tags) + 3)
    tags += [(5, table), (10, len(strings)), (0, 0)]
    body = interp + b"".join(struct.pack("<qQ", *tag) for tag in tags) + strings + rodata
    size = start + len(body)
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    rows = [(1, 0, size), (3, start, len(interp)), (2, dynamic, 16 * len(tags))]
    heads = b"".join(struct.pack("<IIQQQQQQ", kind, 4, at, at, at, length, length, 1) for kind, at, length in rows)
    return header + heads + body


def build_python(
    prefix: Path,
    *,
    files: Mapping[str, bytes] | None = None,
    stdlib: str = "lib/python3.11",
    executable: bytes = b"",
    **changes: object,
) -> InterpreterFacts:
    """Lay a tree of a Python below a prefix, and return what it would say."""
    name = stdlib.rpartition("/")[2]
    tree = {
        f"bin/{name}": executable or build_elf(),
        f"{stdlib}/os.py": b"# os\n",
        f"{stdlib}/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so": build_elf(needed=["libssl.so.3"]),
        **(files or {}),
    }
    for path, data in tree.items():
        file = prefix / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if path.startswith("bin/"):
            file.chmod(0o755)
    said: dict[str, object] = {
        "executable": prefix / "bin" / name,
        "implementation": "cpython",
        "version": "3.11.7",
        "build": "main, Dec  4 2023, GCC 12.2.0",
        "soabi": "cpython-311-x86_64-linux-gnu",
        "tags": "cp311-cp311",
        "prefix": prefix,
        "base_prefix": prefix,
        "paths": {"stdlib": str(prefix / stdlib), "platstdlib": str(prefix / stdlib)},
        "markers": {"platform_machine": "x86_64"},
        "glibc": "2.36",
        "config": {"CONFIG_ARGS": f"'--prefix={prefix}'"},
    } | changes
    return InterpreterFacts(**said)  # type: ignore[arg-type]  # the fields are as above
