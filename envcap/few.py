"""The first few of many names, as messages say them. Pure."""

from collections.abc import Sequence


def few(names: Sequence[str], most: int) -> str:
    """Write `a, b and 3 more`: at most so many names, and how many are left out."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
