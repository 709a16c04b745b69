"""Running one command as a user would, and measuring it from outside: wall time and peak memory."""

import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 1800.0
"""Seconds after which a command is ended: nothing here takes a tenth of that."""

_ASIDE = ("VIRTUAL_ENV", "ENVCAP_STORE", "PYTHONPATH", "PYTHONHOME")
"""Variables of the caller that would change what is measured."""


class StepError(Exception):
    """A step that can't be measured; the message says why, and goes into the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one command took.

    Attributes:
        seconds: Wall time, start-up of the process included.
        peak: Largest resident memory of the process or of one that it waited for, bytes (`ru_maxrss`, wait4(2)).
        output: What it wrote to standard output.
    """

    seconds: float
    peak: int
    output: str


def tell(text: str) -> None:
    """Say on standard error what is being done; standard output is the table's alone."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measured:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        env: Variables besides this process's own.
        cwd: Its folder.

    Raises:
        StepError: It can't be started, or its exit status is not 0.
    """
    words = [str(word) for word in command]
    variables = {name: value for name, value in os.environ.items() if name not in _ASIDE} | dict(env or {})
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=variables, cwd=cwd
            )
        except OSError as error:
            raise StepError(f"{words[0]}: {error.strerror}") from None
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text = output.read().decode("utf-8", "replace")
        if process.returncode != 0:
            said = errors.read().decode("utf-8", "replace") or text
            raise StepError(_reason(words, process.returncode, said))
    return Measured(seconds=seconds, peak=usage.ru_maxrss * 1024, output=text)


def settle() -> None:
    """Let the disk catch up, so that a run does not pay for what the one before it wrote."""
    os.sync()


def _reason(words: Sequence[str], status: int, said: str) -> str:
    tell(f"failed with {status}: {shlex.join(words)}\n{said.rstrip()[-4000:]}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if line.lower().startswith(("error", "x "))]
    last = (marked or lines or ["it said nothing"])[-1]
    return f"`{Path(words[0]).name} {words[1] if len(words) > 1 else ''}` ended with {status}: {last[:200]}"
