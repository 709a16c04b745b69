"""Run a module again and again, each time killed or failed at another of its system calls.

First it runs once, undisturbed, which tells every call that touches a folder (by a path, or by a file that is open in
it). Then it is run once per such call, with the fault injected at exactly that one. Calls are counted over the whole
process: whichever thread makes the seventh, the seventh is hit, so no schedule of the threads spares a run its fault.

    for point in kill_points(program, arguments, environment, touching=store, prepare=reset):
        ...run again without faults: it must succeed, and the store must be clean

The runs are real processes, forked from one that has the program's modules loaded already (`tests/store/traced.py`).
The kernel stops only the calls that are asked for, until we have looked at them (seccomp_unotify(2)).
"""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.store.launch import ROOT, Launcher, Program, launch
from tests.store.system_calls import KINDS, WatchedCall, wrong_machine

CHANGING = tuple(name for name in KINDS if name not in {"fstat", "getdents64", "newfstatat", "read"})
"""Calls that change a file system, or are the last chance before one that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """One call at which a fault was injected.

    Attributes:
        nth: Which one of all that touch the folder, from 1.
        call: The call that was hit; where the run made fewer calls, the one that the undisturbed run made.
        result: What the disturbed run said; a killed one has a negative return code.
        fired: Whether that many calls were made, so that the fault was injected.
    """

    nth: int
    call: WatchedCall
    result: subprocess.CompletedProcess[str]
    fired: bool


@cache
def missing_injection() -> str:
    """Why faults can't be injected on this machine; empty if they can."""
    if wrong_machine():
        return wrong_machine()
    code = "from tests.store.traced import watch_own_calls; watch_own_calls([74])"
    probe = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    return "" if probe.returncode == 0 else "the kernel doesn't let system calls be watched here"


def kill_points(
    program: Program,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str] = CHANGING,
) -> Iterator[FaultPoint]:
    """Kill a program (SIGKILL) right before each call that touches a folder; yields after each death.

    Args:
        program: What to run; it must succeed when undisturbed.
        arguments: Its arguments.
        environment: Its whole environment.
        touching: The folder.
        prepare: Brings the world back to how it was before the first run; called before every run.
        calls: The kinds of calls.
    """
    return _fault_points(0, program, arguments, environment, touching=touching, prepare=prepare, calls=calls)


def error_points(
    error: str,
    program: Program,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str],
) -> Iterator[FaultPoint]:
    """Make each call that touches a folder fail with an error (`ENOSPC`); arguments as of `kill_points`."""
    number = getattr(errno, error)
    return _fault_points(number, program, arguments, environment, touching=touching, prepare=prepare, calls=calls)


def list_calls(
    program: Program,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    calls: Sequence[str] = CHANGING,
) -> list[WatchedCall]:
    """Run a program undisturbed and list its calls that touch a folder."""
    with launch(program) as launcher:
        return _undisturbed(launcher, arguments, environment, touching=touching, calls=calls)


def _undisturbed(
    launcher: Launcher,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    calls: Sequence[str],
) -> list[WatchedCall]:
    made: list[WatchedCall] = []
    _run(
        launcher, arguments, environment, calls, _Fault(nth=0, error=0, touching=touching, made=made)
    ).check_returncode()
    return made


def _fault_points(
    error: int,
    program: Program,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str],
) -> Iterator[FaultPoint]:
    with launch(program) as launcher:
        prepare()
        expected = _undisturbed(launcher, arguments, environment, touching=touching, calls=calls)
        for nth, call in enumerate(expected, 1):
            prepare()
            fault = _Fault(nth=nth, error=error, touching=touching, made=[])
            result = _run(launcher, arguments, environment, calls, fault)
            fired = len(fault.made) >= nth
            yield FaultPoint(nth=nth, call=fault.made[nth - 1] if fired else call, result=result, fired=fired)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A fault at the `nth` call (none: 0) that touches a folder: an `errno`, or 0 for death; `made` are the calls."""

    nth: int
    error: int
    touching: Path
    made: list[WatchedCall]

    def hits(self, call: WatchedCall) -> bool:
        if not call.touches(self.touching):
            return False
        self.made.append(call)
        return len(self.made) == self.nth


def _run(
    launcher: Launcher,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    calls: Sequence[str],
    fault: _Fault,
) -> subprocess.CompletedProcess[str]:
    with launcher.start(arguments, environment, calls=calls) as running:
        for call in running.listener.calls(calls):
            if not fault.hits(call):
                running.listener.let(call)
            elif fault.error:
                running.listener.fail(call, fault.error)
            else:
                running.kill()
        return running.result()
