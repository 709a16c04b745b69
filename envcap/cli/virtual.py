"""What conda packages ask of a machine, in words: rows of a summary, and warnings where this machine lacks it."""

from collections.abc import Mapping

from envcap.cli.machine import cpu_level
from envcap.cli.talk import Talk, visible
from envcap.lockfile.model import Lockfile, VirtualPackage
from envcap.preflight.virtual import Unmet, find_unmet, named, wanted_of_machine, wanted_virtual
from envcap.world import Machine

_PLAIN = frozenset({"__linux", "__unix"})


def virtual_texts(lockfile: Lockfile) -> tuple[str, str]:
    """Say what is asked for, and what the snapshot's machine had; that it is Linux goes without saying."""
    asked = [
        f"{_wish(row)}{', where there is one' if row.optional else ''} ({named(row)})"
        for row in wanted_virtual(lockfile)
        if row.wanted or row.name not in _PLAIN
    ]
    had = [f"{name} {fact}" for name, fact in sorted(lockfile.session.virtual.items()) if name != "__unix"]
    return "; ".join(asked), ", ".join(had)


def unmet_here(lockfile: Lockfile, machine: Machine) -> tuple[Unmet, ...] | None:
    """Compare a lock with this machine, None if nobody knows what that has; a lock that asks nothing costs nothing."""
    if not wanted_of_machine(lockfile):
        return ()
    found = machine.virtual()
    return find_unmet(lockfile, found, cpu_level()) if found else None


def warn_of_virtual(lockfile: Lockfile, machine: Machine, talk: Talk) -> None:
    """Say what this machine lacks for running the image; building it is fine, it may be for another machine."""
    found = unmet_here(lockfile, machine)
    if found is None:
        talk.say("What the conda packages ask of a machine was not compared: it takes `pip install 'envcap[conda]'`")
    for unmet in found or ():
        talk.warn(visible(_sentence(unmet)))


def table_of(rows: tuple[Unmet, ...]) -> list[Mapping[str, object]]:
    """Write what is lacking as JSON."""
    return [
        {
            "name": unmet.row.name,
            "wanted": unmet.row.wanted,
            "found": unmet.found,
            "certain": unmet.certain,
            "because": list(unmet.row.because),
        }
        for unmet in rows
    ]


def _sentence(unmet: Unmet) -> str:
    row, has = unmet.row, f"this machine has {unmet.found or 'none'}"
    if unmet.certain:
        verb = "goes only with" if row.optional else "asks for"
        return f"conda's {named(row)} {verb} {_wish(row)}, and {has}: the image may not run here"
    return f"conda's {named(row)} was chosen for a CPU of {_wish(row)}, and {has}: it may lack instructions"


def _wish(row: VirtualPackage) -> str:
    return f"{row.name} {row.wanted}".rstrip()
