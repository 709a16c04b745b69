"""Processes of a program that need not load it: they are forked from one that has (`tests/store/traced.py`)."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.store.system_calls import KINDS, Listener

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run.

    Attributes:
        module: A module, run as `python -m` would.
        loaded: The package or module that is imported before, with all that is in it.
    """

    module: str
    loaded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process, which the kernel stops at the calls that are watched; `listener` tells them, and when it has ended."""

    pid: int
    listener: Listener
    folder: Path
    requests: socket.socket

    def kill(self) -> None:
        """Kill it (SIGKILL), and all that it started."""
        os.killpg(self.pid, signal.SIGKILL)

    def result(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end and give its exit status, negative for a signal, and all that it said."""
        status = int(self.requests.recv(100))
        said = [(self.folder / name).read_text() for name in ("out", "err")]
        return subprocess.CompletedProcess([], status, *said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """Starts processes of a program, one at a time."""

    requests: socket.socket

    @contextmanager
    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, calls: Sequence[str] = ()
    ) -> Iterator[Running]:
        """Start one with its whole environment, watching some system calls; ask for its result before you leave."""
        with TemporaryDirectory() as name:
            request = {
                "arguments": list(arguments),
                "environment": dict(environment),
                "calls": [KINDS[call].number for call in calls],
                "folder": name,
            }
            self.requests.send(json.dumps(request).encode())
            pid, descriptors, _, _ = socket.recv_fds(self.requests, 100, 1)
            if not descriptors:
                raise RuntimeError(f"The process did not start: {(Path(name) / 'err').read_text()}")
            with Listener(descriptors[0]) as listener:
                yield Running(pid=int(pid), listener=listener, folder=Path(name), requests=self.requests)


@contextmanager
def launch(program: Program) -> Iterator[Launcher]:
    """Load a program."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Without writing bytecode, so that each run makes the same calls.
    command = [sys.executable, "-B", "-m", "tests.store.traced", str(theirs.fileno()), program.loaded, program.module]
    environ = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=[theirs.fileno()]):
        theirs.close()
        with ours:  # it ends when nobody is left to ask it
            yield Launcher(requests=ours)
