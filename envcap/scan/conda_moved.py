"""Finds where a conda prefix without Python's scripts lay before it was moved, and proves it by a package's own hash.

A shell script of R or a library of a tool names its prefix anywhere, and nothing says where. So each path in such a
file is tried: with the right one put back to the placeholder, the file has the hash that its record has for it.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator

from envcap.conda.placeholder import original_candidates
from envcap.environment import CondaPath, CondaRecord
from envcap.recipe import CONDA_ROOT
from envcap.scan.reader import TreeReader

_FILES = 6
_LARGEST = 4 << 20
_LONGEST = 4096
_NAMED = 20_000
_TRIED = 200
_PROVED = 32
_LEVELS = 24
_IMAGE = f"/{CONDA_ROOT}".encode()
# Absolute paths, up to a space or with spaces in them; each pattern ends where it likes, so that none goes back.
_PATHS = (re.compile(rb"/[^\0-\x20\"':;,=()<>]{1,1024}"), re.compile(rb"/[^\0-\x1f\"':;,=<>]{1,1024}"))
_NULS = re.compile(rb"\0{2,}")


def find_former_prefix(reader: TreeReader, own: bytes, records: Iterable[CondaRecord]) -> tuple[str, ...]:
    """Find the prefix that the files name where it is not the one they lie in; nothing if they name that one.

    Args:
        reader: Reads the prefix.
        own: Where it lies.
        records: Say which files name it; texts are looked at first, and the smallest.
    """
    files = reader.tree.files
    rows = [
        row
        for record in records
        for row in record.paths
        if row.placeholder and row.sha256 and row.path in files and files[row.path].size <= _LARGEST
    ]
    for row in sorted(rows, key=lambda row: (row.binary, files[row.path].size, row.path))[:_FILES]:
        data = reader.read(row.path, limit=_LARGEST)
        if data is None:
            continue
        if own in data:
            return ()
        for path in _likely(data, row):
            if _is_proved(data, row, path):
                return (os.fsdecode(path),)
    return ()


def _likely(data: bytes, row: CondaPath) -> Iterator[bytes]:
    """Give those paths that lengths don't rule out: hashing is dear."""
    named = _named_in_strings(data, len(row.placeholder)) if row.binary else _named_in_text(data)
    tried = itertools.islice(_unique((_IMAGE, *itertools.islice(named, _NAMED))), _TRIED)
    return itertools.islice((path for path in tried if _fits(data, row, path)), _PROVED)


def _unique(paths: Iterable[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for path in paths:
        if path not in seen:
            seen.add(path)
            yield path


def _named_in_text(data: bytes) -> Iterator[bytes]:
    for pattern in _PATHS:
        for match in pattern.finditer(data):
            yield from _with_parents(match[0])


def _named_in_strings(data: bytes, room: int) -> Iterator[bytes]:
    """Give the paths in those C strings of a binary that the NULs of a replaced placeholder follow."""
    for nuls in _NULS.finditer(data):
        start = data.rfind(b"\0", max(0, nuls.start() - _LONGEST), nuls.start()) + 1
        text = data[start : nuls.start()]
        for match in _PATHS[1].finditer(text):
            yield from (path for path in _with_parents(match[0]) if room - len(path) <= len(nuls[0]))


def _with_parents(path: bytes) -> Iterator[bytes]:
    """Give a path and the folders above it, without the root."""
    parts = path.rstrip(b"/").split(b"/")[:_LEVELS]
    return (b"/".join(parts[:length]) for length in range(2, len(parts) + 1))


def _fits(data: bytes, row: CondaPath, path: bytes) -> bool:
    """Tell by lengths alone whether a path may be the prefix: a binary keeps its length, a text grows with each."""
    expected = len(data) if row.binary else len(data) + data.count(path) * (len(row.placeholder) - len(path))
    # An installer may have written another first line, which makes a text longer.
    return row.size < 0 or expected == row.size or data.startswith(b"#!")


def _is_proved(data: bytes, row: CondaPath, path: bytes) -> bool:
    found = original_candidates(data, (path,), row.placeholder.encode(), binary=row.binary)
    return any(hashlib.sha256(one).hexdigest() == row.sha256 for one in found)
