"""Which package holds a shared library: `Contents-<arch>.gz`, read once into a table of sonames.

Asked only where names and dependencies don't tell: it is as large as the package index itself. Counted are files in
the folders that the dynamic linker searches by itself (ld.so(8)), and, for libraries with alternatives
(`libblas.so.3`), files one folder below, marked with a `/`: there a link set up by the package's maintainer
script leads to them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from envcap.sources.debian_table import Table, write_table

FORMAT: Final = "debian-contents-1"
TRIPLETS: Final = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_NO_RUNTIME: Final = ("-dev", "-dbg", "-dbgsym", "-cross", "-doc")


class LibraryContents:
    """The shared libraries of one suite and architecture."""

    def __init__(self, data: bytes) -> None:
        self._table = Table(data)

    def holders(self, soname: str) -> tuple[str, ...]:
        """Return the packages with a file of this name where the linker finds it, sorted."""
        return tuple(sorted({name for name in self._table.find(soname) if not name.endswith("/")}))

    def alternatives(self, soname: str) -> tuple[str, ...]:
        """Return the packages with a file of this name one folder below, sorted."""
        return tuple(sorted({name[:-1] for name in self._table.find(soname) if name.endswith("/")}))


def parse_contents(chunks: Iterable[bytes], *, architecture: str) -> bytes:
    """Turn an uncompressed `Contents` file into a table for `LibraryContents`.

    Args:
        chunks: Its bytes, in order; lines of a path, spaces, and sections and packages with commas between.
        architecture: `amd64` or `arm64`.
    """
    triplet = TRIPLETS[architecture].encode()
    line = re.compile(
        rb"^(?:usr/)?lib/(?:" + triplet + rb"/)?((?:[^/\s]+/)?)([^/\s]+\.so(?:\.[^/\s]+)?)[ \t]+(\S+)$", re.MULTILINE
    )
    rows: set[tuple[str, str]] = set()
    for block in _whole_lines(chunks):
        for folder, name, holders in line.findall(block):
            if folder == triplet + b"/":
                continue
            mark = "/" if folder else ""
            for holder in holders.decode("utf-8", "replace").split(","):
                package = holder.rpartition("/")[2]
                if not package.endswith(_NO_RUNTIME):
                    rows.add((name.decode("utf-8", "replace"), package + mark))
    return write_table(rows)


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        block, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + block
            rest = tail
        else:
            rest += chunk
    yield rest
