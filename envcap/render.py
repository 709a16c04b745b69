"""Values to text: small, aligned, readable without colour. Pure."""

import textwrap
from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000


def human_size(size: float) -> str:
    """Write a number of bytes for people, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= _STEP
    return f"{size:.1f} {_UNITS[-1]}"


def counted(number: int, noun: str) -> str:
    """Write a number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def wrap(text: str, width: int = 100, *, indent: str = "") -> list[str]:
    """Break a text between its words: names of models, versions and packages stay whole."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def wrapped_rows(name: str, text: str) -> list[tuple[str, str]]:
    """Give the rows of a table for a long text: its name stands in the first."""
    return [(name if number == 0 else "", line) for number, line in enumerate(wrap(text))]


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Align two columns; an empty right side is left out."""
    width = max((len(left) for left, _ in rows), default=0)
    return "\n".join(f"{left:<{width}}  {right}" for left, right in rows if right)


def columns(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Align any number of columns, some of them to the right."""
    if not rows:
        return ""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(widths[index]) if index in right else cell.ljust(widths[index]) for index, cell in enumerate(row)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
