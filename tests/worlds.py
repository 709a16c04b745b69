"""Opened worlds of flows, for tests below the command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from envcap.world import Machine, World, open_world
from tests.flow import Flow


@contextmanager
def world_of(flow: Flow, *, offline: bool = False) -> Iterator[World]:
    """Open the world of a flow."""
    machine = Machine(
        environ=flow.environ,
        home=flow.home,
        cwd=flow.root,
        store=Path(flow.environ["ENVCAP_STORE"]),
        offline=offline,
        now=1_700_000_000,
    )
    with open_world(machine, prefix=flow.prefix) as world:
        yield world


class Quiet:
    """Shows nothing, and remembers the steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str, int, int], None]]:
        self.steps.append(title)
        yield lambda _what, _done, _total: None
