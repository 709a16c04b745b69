"""`envcap check`: parse, compare a live environment with its lock, and say what has drifted."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from envcap.blobs import LockFolder
from envcap.check import CheckRequest, Drift, check_environment
from envcap.cli.facts import warn_of_weak_cpu
from envcap.cli.gpu import judge_preflight, preflight_of, preflight_table, report_preflight, say_unjudged
from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.cli.virtual import table_of, unmet_here, warn_of_virtual
from envcap.drift import Change, Kind
from envcap.errors import DifferenceError, MissingArtifactError, UsageError
from envcap.gpu.preflight import Preflight
from envcap.live.scan import live_place
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile, Package
from envcap.rebuild import choose_platform
from envcap.render import columns, counted
from envcap.scan import find_prefix
from envcap.world import Machine, open_world

_SHOWN = 12
"""Files named of one package; `--json` has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The command's options, as given."""

    lock: Path
    prefix: Path | None
    full: bool
    max_unowned: int
    user_site: bool | None
    machine_only: bool
    gpu: str
    driver: str
    index: tuple[str, ...]
    offline: bool
    store: Path | None
    as_json: bool


def check_command(options: CheckOptions) -> None:
    """Check an environment against a lock, and this machine's GPU; or a machine alone.

    Raises:
        DifferenceError: The environment has drifted, or its GPU code will not run.
        MissingArtifactError: Nothing has drifted, but some packages could not be compared.
        EnvcapError: The lock or the environment can't be read.
    """
    started = time.monotonic()
    talk = Talk()
    folder = open_lock(options.lock, store=options.store, offline=options.offline)
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    if options.machine_only or options.gpu or options.driver:
        _check_machine(options, folder, machine, talk)
        return
    place = live_place(find_prefix(options.prefix, machine.environ), user_site=options.user_site)
    prefix = place.prefix
    request = CheckRequest(place=place, full=options.full, max_unowned=options.max_unowned * 1_000_000)
    with open_world(machine, prefix=prefix, held=folder.held) as world:
        drift = check_environment(folder, request, world, talk, now_ns=time.time_ns())
    verdict, gpus, odd = preflight_of(folder.lockfile, machine, gpu="", driver="")
    if options.as_json:
        print_data(json.dumps({**_as_json(drift, folder, prefix), **_machine_table(folder.lockfile, machine, verdict)}))
    else:
        _report(drift, folder, time.monotonic() - started, talk)
        warn_of_virtual(folder.lockfile, machine, talk)
        report_preflight(verdict, gpus, odd, talk, here=True)
    _judge(drift, options.lock, prefix)
    judge_preflight(verdict, folder.lockfile, asked=False, here=True)


def _check_machine(options: CheckOptions, folder: LockFolder, machine: Machine, talk: Talk) -> None:
    """Judge a machine alone: this one before anything is fetched, or one by the names of its GPU and driver."""
    if options.prefix:
        raise UsageError(
            "`--machine`, `--gpu` and `--driver` ask about a machine alone", hint=f"leave out {options.prefix}"
        )
    lockfile = folder.lockfile
    verdict, gpus, odd = preflight_of(lockfile, machine, gpu=options.gpu, driver=options.driver)
    if options.as_json:
        table = {"lock": str(folder.path), "digest": str(environment_digest(lockfile))}
        print_data(json.dumps({**table, **_machine_table(lockfile, machine, verdict)}))
    else:
        if not options.gpu:
            warn_of_weak_cpu(lockfile, choose_platform(lockfile, ""), talk)
            warn_of_virtual(lockfile, machine, talk)
        report_preflight(verdict, gpus, odd, talk)
        if verdict is None:
            print_data(visible(say_unjudged(lockfile.gpu)))
    judge_preflight(verdict, lockfile, asked=bool(options.gpu))


def _machine_table(lockfile: Lockfile, machine: Machine, verdict: Preflight | None) -> dict[str, object]:
    lacking = table_of(unmet_here(lockfile, machine) or ())
    return {**({"lacking": lacking} if lacking else {}), **preflight_table(verdict)}


def _judge(drift: Drift, lock: Path, prefix: Path) -> None:
    if drift.changes:
        raise DifferenceError(
            f"{prefix} is not as {lock} says: {_summary(drift.changes)}",
            hint=f"lock it as it is now with `envcap snapshot {prefix}`, or undo the changes",
        )
    if drift.unknown:
        count = counted(len(drift.unknown), "package")
        raise MissingArtifactError(
            f"{prefix} could not be compared with {lock} in whole: the pinned content of {count} is out of reach",
            hint="let it ask an index that has them (`--index`), and keep the lock's `blobs` beside it",
        )


def _summary(changes: Sequence[Change]) -> str:
    """Count what has drifted, by kind: `3 packages, 1 unowned file`."""
    packages = len({change.name for change in changes if change.kind is Kind.PACKAGE})
    unowned = sum(change.kind is Kind.UNOWNED for change in changes)
    kinds = {change.kind for change in changes}
    parts = ["the interpreter"] if Kind.INTERPRETER in kinds else []
    parts += ["the environment's settings"] if Kind.ENVIRONMENT in kinds else []
    parts += [counted(packages, "package")] if packages else []
    parts += [counted(unowned, "unowned file")] if unowned else []
    return ", ".join(parts)


def _as_json(drift: Drift, folder: LockFolder, prefix: Path) -> dict[str, object]:
    return {
        "lock": str(folder.path),
        "digest": str(environment_digest(folder.lockfile)),
        "prefix": str(prefix),
        "drifted": bool(drift.changes),
        "compared": drift.compared,
        "hashed": drift.hashed,
        "changes": [
            {
                "kind": row.kind.value,
                "what": row.what,
                "name": row.name,
                "path": row.path,
                "expected": row.expected,
                "found": row.found,
                "patched": row.patched,
            }
            for row in drift.changes
        ],
        "unknown": [{"name": row.name, "version": row.version, "reason": row.reason} for row in drift.unknown],
        "left_out": list(drift.left_out),
    }


def _report(drift: Drift, folder: LockFolder, seconds: float, talk: Talk) -> None:
    for row in drift.unknown[:_SHOWN]:
        talk.warn(f"{row.name} {row.version} can't be compared: {row.reason}")
    if len(drift.unknown) > _SHOWN:
        talk.say(f"... and {len(drift.unknown) - _SHOWN} more packages (all of them with `--json`)")
    if drift.left_out:
        shown = ", ".join(drift.left_out[:3]) + (", …" if len(drift.left_out) > 3 else "")  # noqa: PLR2004
        talk.say(visible(f"{counted(len(drift.left_out), 'large unowned file')} not compared: {shown}"))
    packages = {package.name: package for package in folder.lockfile.packages}
    for group, changes in groupby(drift.changes, key=lambda change: (change.kind, change.name)):
        title = _title(*group, packages)
        print_data("\n".join(map(visible, _lines(title, list(changes)))))
    read = "all of them read" if drift.hashed >= drift.compared else f"{drift.hashed:,} of them read"
    if not drift.changes and not drift.unknown:
        lock = folder.lockfile
        total = counted(len(lock.packages) + len(lock.conda), "package")
        python = f"Python {lock.interpreter.version}, " if lock.has_python else ""
        parts = f"{python}{total} and {drift.compared:,} files"
        print_data(f"Nothing has drifted: {parts} are as the lock says")
    talk.say(f"Compared {drift.compared:,} files, {read}, in {seconds:.1f} s")


def _lines(title: str, changes: Sequence[Change]) -> Iterator[str]:
    """Write the changes of one group: a line, and the files below it."""
    files = [change for change in changes if change.path]
    facts = [change for change in changes if not change.path]
    for change in facts:
        yield f"{title}: {_fact(change)}"
    if files:
        counts = ", ".join(
            f"{sum(change.what == what for change in files):,} {word}"
            for what, word in _WORDS.items()
            if any(change.what == what for change in files)
        )
        yield f"{title}: {counts}"
        rows = [(f"  {_WORDS[change.what]}", change.path, _remark(change)) for change in files[:_SHOWN]]
        yield from columns(rows).splitlines()
        if len(files) > _SHOWN:
            yield f"  ... and {len(files) - _SHOWN:,} more (all of them with `--json`)"


_WORDS = {
    "edited": "edited",
    "added": "added",
    "deleted": "deleted",
    "mode": "mode changed",
    "target": "link changed",
    "unreadable": "unreadable",
}


def _title(kind: Kind, name: str, packages: Mapping[str, Package]) -> str:
    package = packages.get(name)
    if kind is Kind.UNOWNED:
        return "unowned files"
    if kind is not Kind.PACKAGE:
        return str(kind.value)
    if package is None:
        return name
    return f"{name} {package.version}{' (editable: its source changed)' if package.origin == 'editable' else ''}"


def _fact(change: Change) -> str:
    match change.what:
        case "installed":
            return f"installed in version {change.found}, the lock does not have it"
        case "removed":
            return "removed"
        case "version" if change.kind is Kind.PACKAGE:
            return f"version {change.found} is installed"
        case "content":
            return "its files are not those that the lock has captured"
        case what:
            return f"{what} {change.found or 'unknown'!r}, the lock says {change.expected or 'nothing'!r}"


def _remark(change: Change) -> str:
    if change.what == "target":
        return f"({change.found or 'a file'}, the lock says {change.expected or 'a file'})"
    if change.what == "mode":
        return f"({change.found})"
    return _PATCHED.get(change.what, "") if change.patched else ""


_PATCHED = {
    "edited": "(the lock has it patched otherwise)",
    "added": "(the lock has it deleted)",
    "deleted": "(the lock has it patched)",
}
