"""A table of sorted text lines that is searched by bisection: a parsed index that opens without being parsed again.

A line is a key, a tab and a value. Opening a table of 25 MB costs the reading of its bytes; a look-up touches a
few dozen lines. It needs no format of its own: `grep` reads it, and a damaged cache can't run code (no pickle).
"""

import re
from collections.abc import Iterable
from typing import Protocol


class IndexCache(Protocol):
    """Keeps parsed indexes between runs; may forget at any time, but never changes what it keeps."""

    def get(self, key: str) -> bytes | None:
        """Recall a table, or None."""

    def put(self, key: str, data: bytes) -> None:
        """Keep a table."""


def write_table(rows: Iterable[tuple[str, str]]) -> bytes:
    """Write rows, in the order of their bytes.

    Args:
        rows: Keys and values, without line breaks; no tab in a key.
    """
    lines = [f"{key}\t{value}\n".encode() for key, value in rows]
    lines.sort()
    return b"".join(lines)


class Table:
    """A table in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def count(self, pattern: bytes) -> int:
        """Count the places where a regular expression matches, by reading through the whole table."""
        return sum(1 for _ in re.finditer(pattern, self._data))

    def find(self, key: str) -> list[str]:
        """Return the values of a key, in the order of their bytes; empty where there is none."""
        wanted = f"{key}\t".encode()
        data, low, high = self._data, 0, len(self._data)
        while low < high:
            middle = (low + high) // 2
            start = data.rfind(b"\n", low, middle) + 1 or low
            end = data.find(b"\n", middle) + 1 or high
            if data[start : start + len(wanted)] < wanted:
                low = end
            else:
                high = start
        values = []
        while data.startswith(wanted, low):
            end = data.find(b"\n", low)
            values.append(data[low + len(wanted) : end].decode("utf-8", "replace"))
            low = end + 1
        return values
