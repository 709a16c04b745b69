"""The difference of two small texts, for people: a unified diff of a bounded number of lines. Pure.

Source: the unified format of POSIX `diff -u`, without its two lines of file names.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

LARGEST_TEXT: Final = 1 << 20
"""Bytes of a text that is compared; a larger one is called so."""

_CONTEXT = 3
_MAX_PRODUCT = 4_000_000
"""Changed lines of one text times those of the other: difflib takes that many steps."""

_MAX_COLUMNS = 160

_Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]
"""What became of lines `[1]` to `[2]` of the old text: lines `[3]` to `[4]` of the new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDiff:
    """How two contents differ.

    Attributes:
        lines: The diff without line ends: each begins with `@@`, a space, `-`, `+` or a backslash.
        hidden: How many more lines there are.
        note: Why there is no diff, or empty: `binary`, `too large`, `only the last line's end`, …
    """

    lines: tuple[str, ...] = ()
    hidden: int = 0
    note: str = ""


class _Aligned(difflib.SequenceMatcher[str]):
    """Lends difflib's way of cutting hunks to opcodes that are there already."""

    def __init__(self, opcodes: list[_Opcode]) -> None:
        super().__init__()
        self._opcodes = opcodes

    def get_opcodes(self) -> list[_Opcode]:
        """Give them."""
        return self._opcodes


def compare_texts(old: bytes, new: bytes, *, limit: int) -> TextDiff:
    """Compare two contents.

    Args:
        old: Before.
        new: After.
        limit: Most lines of the diff.
    """
    if max(len(old), len(new)) > LARGEST_TEXT:
        return TextDiff(note=f"too large for a diff: {_sizes(old, new)}")
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return TextDiff(note=f"binary: {_sizes(old, new)}")
    start, end = _common(before, after)
    changed = (len(before) - start - end) * (len(after) - start - end)
    if changed > _MAX_PRODUCT:
        return TextDiff(note=f"too different for a diff: {len(before)} lines before, {len(after)} after")
    lines = list(_hunks(before, after, _opcodes(before, after, start, end)))
    shown = tuple(line if len(line) <= _MAX_COLUMNS else f"{line[: _MAX_COLUMNS - 1]}…" for line in lines[:limit])
    return TextDiff(lines=shown, hidden=len(lines) - len(shown))


def _opcodes(before: Sequence[str], after: Sequence[str], start: int, end: int) -> list[_Opcode]:
    """Align the changed parts of two texts, of which the first `start` lines and the last `end` are equal.

    difflib sees these parts alone: it takes its time over long equal ones, and may align a line with its like in them.
    """
    stop, new_stop = len(before) - end, len(after) - end
    matcher = difflib.SequenceMatcher(None, before[start:stop], after[start:new_stop], autojunk=False)
    opcodes: list[_Opcode] = [("equal", 0, start, 0, start)] if start else []
    opcodes += [(tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in matcher.get_opcodes()]
    return [*opcodes, ("equal", stop, len(before), new_stop, len(after))] if end else opcodes


def _hunks(before: Sequence[str], after: Sequence[str], opcodes: list[_Opcode]) -> Iterator[str]:
    for group in _Aligned(opcodes).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                yield from _marked(" ", before[old_start:old_end])
                continue
            yield from _marked("-", before[old_start:old_end])
            yield from _marked("+", after[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Write a range of lines as `diff -u` does: an empty one begins at the line before it."""
    length = end - start
    begin = start + 1 if length else start
    return f"{begin}" if length == 1 else f"{begin},{length}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(data: bytes) -> list[str] | None:
    """Split a text into lines with their ends, by LF alone; None if it is no text."""
    if b"\0" in data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _common(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Count the lines that both begin with, and of the others those that both end with."""
    shortest = min(len(before), len(after))
    start = 0
    while start < shortest and before[start] == after[start]:
        start += 1
    end = 0
    while end < shortest - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return start, end


def _sizes(old: bytes, new: bytes) -> str:
    return f"{len(old)} bytes before, {len(new)} after"
