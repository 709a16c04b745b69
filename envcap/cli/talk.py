"""What envcap says while it works: to standard error, with progress bars on a terminal, plain lines elsewhere.

Standard output is for data. Names that come from archives and indexes are shown without control characters.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Replace characters that a terminal would obey: control codes and changes of direction."""
    return _CONTROL.sub("\ufffd", text)


class Step(Protocol):
    """One thing being done."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is being done, and how far it is."""


class Talk:
    """Speaks to the user.

    Attributes:
        console: Where talk goes.
        quiet: True to say nothing but warnings.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a bar while something is done, and one line when it is finished."""
        if self.quiet or not self.console.is_terminal:
            yield lambda _what, _done, _total: None
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[what]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=None, what="")

            def tell(what: str, done: int, total: int) -> None:
                progress.update(task, completed=done, total=total or None, what=visible(what)[:48])

            yield tell

    def say(self, text: str) -> None:
        """Say a line."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Say a warning."""
        self.console.print("[yellow]warning:[/] ", end="")
        self.console.print(visible(text), markup=False)

    def fail(self, message: str, hint: str) -> None:
        """Say why a command failed, and the next step."""
        self.console.print("[red]error:[/] ", end="")
        self.console.print("\n".join(map(visible, message.splitlines())), markup=False)
        if hint:
            self.console.print("\n[cyan]hint:[/] ", end="")
            self.console.print(visible(hint), markup=False)


def print_data(text: str) -> None:
    """Write data to standard output."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()
