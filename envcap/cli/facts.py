"""The facts of a lock that change results, as rows for people, and what this machine lacks for it."""

from collections.abc import Mapping

from envcap.cli.gpu import gpu_rows
from envcap.cli.machine import cpu_level
from envcap.cli.talk import Talk
from envcap.cli.virtual import virtual_texts
from envcap.cpu import is_below
from envcap.lock.blas import SYSTEM
from envcap.lockfile.model import Blas, Lockfile
from envcap.render import wrapped_rows

_ORIGINS = {"debian": "Debian's own", "standalone": "python-build-standalone", "conda": "conda's own"}


def interpreter_words(lockfile: Lockfile) -> str:
    """Name the interpreter and where it comes from, for the summary of a new lock."""
    if not lockfile.has_python:
        return "none: no Python"
    return f"Python {lockfile.interpreter.version}, {_ORIGINS.get(lockfile.interpreter.origin, 'captured')}"


def fact_rows(lockfile: Lockfile) -> list[tuple[str, str]]:
    """Give a row for each kind of fact that the lock holds."""
    facts, session = lockfile.environment, lockfile.session
    asked, had = virtual_texts(lockfile)
    env = ", ".join(f"{name}={value}" for name, value in sorted(lockfile.image.env.items()))
    rows = [
        ("BLAS", ", ".join(map(_blas, facts.blas)) + (f" ({session.system_blas} here)" if session.system_blas else "")),
        *wrapped_rows("conda asks", asked),
        *wrapped_rows("machine had", had),
        ("CPU", f"{facts.cpu} or better" if facts.cpu else ""),
        *gpu_rows(lockfile),
        *wrapped_rows("session", _variables(session.variables)),
        ("image env", env),
    ]
    return [(name, text) for name, text in rows if text]


def _variables(variables: Mapping[str, str]) -> str:
    listed = ", ".join(f"{name}={value}" for name, value in sorted(variables.items()))
    return f"{listed} (recorded, not applied)" if listed else ""


def warn_of_weak_cpu(lockfile: Lockfile, platform: str, talk: Talk) -> None:
    """Say when this machine can't run what it builds; building it is fine, it may be for another machine."""
    needed = lockfile.environment.cpu
    if not needed or platform != "linux/amd64":
        return
    machine = cpu_level()
    if is_below(machine, needed):
        talk.warn(
            f"The lock's binaries need a CPU of level {needed}, and this machine has "
            f"{machine or 'the x86-64 baseline'}: the image can be built here and not be run"
        )


def _blas(row: Blas) -> str:
    if row.provider == SYSTEM:
        users = f" for {', '.join(row.needed_by)}" if row.needed_by else ""
        return f"the system's {row.file}{users}"
    return f"{row.library} {row.version}".rstrip() + f" of {row.provider}"
