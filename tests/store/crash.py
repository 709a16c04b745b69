"""Run a command again and again, each time killed or failed by strace at another system call.

First the command runs once, traced, which tells every call that touches a folder (by a path, or by a file that
is open in it). Then it is run once per such call, with the fault injected at exactly that one. strace counts
calls per process and thread, and so do we.

    for point in kill_points(command, environment, touching=store, prepare=reset):
        ...run again without faults: it must succeed, and the store must be clean
"""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

CHANGING = (
    "chmod",
    "fchmod",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
)
"""Calls that change a file system, or are the last chance before one that does."""

_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """One call at which a fault was injected.

    Attributes:
        call: The system call.
        nth: Which one of its kind, in its thread, from 1.
        text: The call as the first, undisturbed run made it.
        result: What the disturbed command said; a killed one has a negative return code.
        fired: Whether the call was reached and the fault injected.
    """

    call: str
    nth: int
    text: str
    result: subprocess.CompletedProcess[str]
    fired: bool


@cache
def missing_strace() -> str:
    """Why faults can't be injected on this machine; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "strace may not trace here (ptrace is forbidden)"


def kill_points(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str] = CHANGING,
) -> Iterator[FaultPoint]:
    """Kill a command (SIGKILL) right before each call that touches a folder; yields after each death.

    Args:
        command: What to run; it must succeed when undisturbed.
        environment: Its whole environment.
        touching: The folder.
        prepare: Brings the world back to how it was before the first run; called before every run.
        calls: The kinds of calls.
    """
    return _fault_points("signal=SIGKILL", command, environment, touching=touching, prepare=prepare, calls=calls)


def error_points(
    error: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str],
) -> Iterator[FaultPoint]:
    """Make each call that touches a folder fail with an error (`ENOSPC`); arguments as of `kill_points`."""
    return _fault_points(f"error={error}", command, environment, touching=touching, prepare=prepare, calls=calls)


def list_calls(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    calls: Sequence[str] = CHANGING,
) -> list[tuple[str, int, str]]:
    """Run a command undisturbed and list its calls that touch a folder: kind, number in its thread, text."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        _run(command, environment, log, calls, []).check_returncode()
        counts: Counter[tuple[str, str]] = Counter()
        found: dict[tuple[str, int], str] = {}
        for line in log.read_text(errors="replace").splitlines():
            match = _CALL.match(line)
            if match is None:
                continue
            counts[match["thread"], match["name"]] += 1
            if str(touching) in match["rest"]:
                found.setdefault((match["name"], counts[match["thread"], match["name"]]), match["rest"])
        return [(name, nth, text) for (name, nth), text in found.items()]


def _fault_points(
    fault: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    touching: Path,
    prepare: Callable[[], None],
    calls: Sequence[str],
) -> Iterator[FaultPoint]:
    prepare()
    for call, nth, text in list_calls(command, environment, touching=touching, calls=calls):
        prepare()
        with TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            inject = ["-e", f"inject={call}:{fault}:when={nth}"]
            result = _run(command, environment, log, calls, inject)
            fired = "INJECTED" in log.read_text(errors="replace") or result.returncode < 0
        yield FaultPoint(call=call, nth=nth, text=text, result=result, fired=fired)


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    calls: Sequence[str],
    inject: Sequence[str],
) -> subprocess.CompletedProcess[str]:
    # Without --seccomp-bpf, under which strace 6.1 silently injects no signals.
    # `-y` names the file behind each descriptor; `?` skips calls that this architecture doesn't have.
    trace = "trace=" + ",".join(f"?{call}" for call in calls)
    options = ["-f", "-qq", "-y", "-s", "0", "-o", str(log), "-e", trace, "-e", "signal=none"]
    return subprocess.run(
        ["strace", *options, *inject, "--", *command],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
