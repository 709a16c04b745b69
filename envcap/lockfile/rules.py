"""The small rules of which a lock's checks are made: each refuses a value, and says where and what was expected."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from envcap.errors import LockfileError

T = TypeVar("T")

_MAX_PATH = 4096  # Linux: PATH_MAX


def matches(pattern: re.Pattern[str], text: str, where: str, expected: str) -> None:
    """Refuse a text of another form."""
    if not pattern.match(text):
        raise LockfileError(f"Unexpected {text[:100]!r} in {where!r} (expected {expected})")


def one_of(allowed: frozenset[str], text: str, where: str) -> None:
    """Refuse a word that is not one of a few."""
    if text not in allowed:
        known = ", ".join(sorted(filter(None, allowed)))
        raise LockfileError(f"Unexpected {text[:100]!r} in {where!r} (expected one of: {known})")


def relative_path(path: str, where: str) -> None:
    """Refuse a path that leads out of its folder, or that OCI layers read as something else."""
    parts = path.split("/")
    if not path or len(path) > _MAX_PATH or "\\" in path or not {"", ".", ".."}.isdisjoint(parts):
        raise LockfileError(
            f"Unexpected path {path[:200]!r} in {where!r} (expected a relative path without `.` or `..`)"
        )
    if any(part.startswith(".wh.") for part in parts):
        raise LockfileError(f"Unexpected path {path[:200]!r} in {where!r} (OCI layers read `.wh.` as a deletion)")


def between(lowest: int, highest: int, number: int, where: str) -> None:
    """Refuse a number out of its range."""
    if not lowest <= number <= highest:
        raise LockfileError(f"Unexpected {number} in {where!r} (expected {lowest} to {highest})")


def sorted_unique(rows: Sequence[T], key: Callable[[T], object], where: str) -> None:
    """Refuse rows out of order or there twice, so that one environment has one lock."""
    keys = [key(row) for row in rows]
    for before, after in itertools.pairwise(keys):
        if not before < after:  # type: ignore[operator]  # keys are strings or tuples of strings
            raise LockfileError(
                f"Unexpected order in {where!r}: {after!r} after {before!r} (expected sorted, unique rows)"
            )
