"""What envcap says while it works: to standard error, with progress bars on a terminal, plain lines elsewhere.

Standard output is for data. Names that come from archives and indexes are shown without control characters.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Replace characters that a terminal would obey: control codes and changes of direction."""
    return _CONTROL.sub("\ufffd", text)


class Step(Protocol):
    """One thing being done."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is being done, and how far it is."""


class Talk:
    """Speaks to the user; colour and bars only on a terminal (and colour only without `NO_COLOR`).

    rich is imported for the bars alone: it takes longer than many a command.

    Attributes:
        quiet: True to say nothing but warnings.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and not os.environ.get("NO_COLOR")

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a bar while something is done."""
        if self.quiet or not self._terminal:
            yield lambda _what, _done, _total: None
            return
        from envcap.cli.bars import bar  # noqa: PLC0415  # see the docstring

        with bar(title) as tell:
            yield lambda what, done, total: tell(visible(what)[:48], done, total)

    def say(self, text: str) -> None:
        """Say a line."""
        if not self.quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Say a warning."""
        self._print(self._label("warning:", 33) + visible(text))

    def fail(self, message: str, hint: str) -> None:
        """Say why a command failed, and the next step."""
        self._print(self._label("error:", 31) + "\n".join(map(visible, message.splitlines())))
        if hint:
            self._print("\n" + self._label("hint:", 36) + visible(hint))

    def _label(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m " if self._colour else f"{text} "

    def _print(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def print_data(text: str) -> None:
    """Write data to standard output."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def visible_lines(text: str) -> str:
    """Make each line safe for a terminal."""
    return "\n".join(visible(line) for line in text.splitlines())
