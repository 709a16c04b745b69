"""Runs a program that asks a driver: bounded in time and output, its failure a value.

A driver's library can hang (a GPU that fell off the bus), crash, or wait in the kernel where no signal reaches it.
None of that may stop envcap, so the program is killed at its time, and left behind if even that doesn't end it.
"""

import enum
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Protocol

_WITHHELD = ("CUDA_VISIBLE_DEVICES", "PYTHON", "__PYVENV")
_LARGEST = 1 << 20
_CHUNK = 1 << 16
_GRACE = 1.0


class Ended(enum.Enum):
    """How a program ended."""

    EXITED = "exited"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    TOO_LONG = "too long"
    NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a program left.

    Attributes:
        ended: How it ended.
        status: Exit status, or the signal's number where it crashed.
        stdout: What it wrote until then.
    """

    ended: Ended
    status: int = 0
    stdout: bytes = b""


class Runner(Protocol):
    """Runs a program to its end."""

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Outcome:
        """Run `argv` without a shell, for at most `timeout` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """How drivers are asked.

    Attributes:
        run: Starts the processes that do it.
        timeout: Seconds that each gets. Waking eight GPUs without persistence mode takes many of them.
        python: Interpreter that has nvidia-ml-py (`envcap[gpu]`): envcap's own.
    """

    run: Runner
    timeout: float = 30.0
    python: str = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRunner:
    """Runs real programs.

    Attributes:
        environ: The caller's variables. Those that hide devices are withheld (an invalid CUDA_VISIBLE_DEVICES makes
            initialization fail; conda's `__cuda` detection does the same), and those that steer Python.
    """

    environ: Mapping[str, str]

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Outcome:
        """Run `argv` in the root folder and in a session of its own; its messages are dropped."""
        environ = {key: value for key, value in self.environ.items() if not key.startswith(_WITHHELD)}
        environ |= {"LC_ALL": "C"}
        try:
            process = subprocess.Popen(
                list(argv),
                env=environ,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return Outcome(ended=Ended.NOT_STARTED)
        assert process.stdout is not None  # noqa: S101  # asked for above
        with process.stdout as stream:
            stdout, cut = _read(stream, time.monotonic() + timeout)
            if cut is None:
                try:
                    process.wait(timeout=_GRACE)
                except subprocess.TimeoutExpired:
                    cut = Ended.TIMED_OUT
            _end(process)
        if cut is not None:
            return Outcome(ended=cut, stdout=stdout)
        code = process.returncode
        return Outcome(ended=Ended.CRASHED if code < 0 else Ended.EXITED, status=abs(code), stdout=stdout)


def _read(stream: IO[bytes], deadline: float) -> tuple[bytes, Ended | None]:
    """Read to the end of a pipe, its bound or the deadline, whatever is first."""
    pieces: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return b"".join(pieces), Ended.TIMED_OUT
            piece = os.read(stream.fileno(), _CHUNK)
            if not piece:
                return b"".join(pieces), None
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                return b"".join(pieces), Ended.TOO_LONG


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a program and its children."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    # A process that waits in the driver ignores even this; it ends when the driver lets it.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE)
