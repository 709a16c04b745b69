"""`envcap doctor`: parse, ask the sources, say what may get lost, and keep that beside the lock if it is wished."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from envcap.blobs import LockFolder, keep_blob
from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible_lines
from envcap.digest import Digest
from envcap.doctor.diagnose import diagnose, mirror_urls
from envcap.doctor.findings import Diagnosis, Finding, Problem
from envcap.errors import DifferenceError, MissingArtifactError, UsageError
from envcap.interpreter import find_python_mirror
from envcap.lockfile.document import environment_digest
from envcap.pinned import PinnedArtifacts
from envcap.render import columns, counted, human_size
from envcap.sources.http import Session
from envcap.world import World, open_world

_SHOWN = 8
"""Files named of one problem; `--json` has them all."""

_LONGEST = 160
_AT_ONCE = 8
_HELP = {
    Problem.LOST: "look for the file by its sha256 and put it into the lock's `blobs/sha256`, or take a new snapshot",
    Problem.LOCAL: "keep it with `--fix`",
    Problem.YANKED: "keep it with `--fix`, or move to another version",
    Problem.ONE_SOURCE: "keep it with `--fix`, or mirror it",
    Problem.NO_ARCHIVE: "keep it with `--fix`, or set ENVCAP_DEBIAN_SNAPSHOT to a snapshot archive",
    Problem.UNKNOWN: "run it again when the sources can be asked",
}
_TITLES = {
    Problem.LOST: "Lost: no source has it",
    Problem.LOCAL: "Only on this machine",
    Problem.YANKED: "Yanked",
    Problem.ONE_SOURCE: "In one private place only",
    Problem.NO_ARCHIVE: "On mirrors only, which drop what is superseded",
    Problem.UNKNOWN: "Unknown: nobody answered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """The command's options, as given."""

    lock: Path
    fix: bool
    index: tuple[str, ...]
    offline: bool
    store: Path | None
    as_json: bool


_KEEP = "everything in one file with `envcap bundle`, or in a registry with `envcap publish --with-sources`"


def doctor_command(options: DoctorOptions) -> None:
    """Examine a lock.

    Raises:
        DifferenceError: Something that it pins may not be had one day.
        MissingArtifactError: Nothing is known to get lost, but some sources did not answer.
        EnvcapError: The lock can't be read, or its folder not written.
    """
    started = time.monotonic()
    talk = Talk()
    folder = open_lock(options.lock, store=options.store, offline=options.offline)
    if options.fix and folder.bundle:
        raise UsageError(
            f"`--fix` can't write into {options.lock}, which is a bundle or lies in a registry",
            hint=f"keep {_KEEP}",
        )
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    with open_world(machine, held=folder.held) as opened, _asking(opened) as session:
        world = replace(opened, session=session)
        with talk.step("Asking") as step:
            diagnosis = diagnose(folder, world, step)
        fixed = _fix(folder, diagnosis, world, talk) if options.fix else ()
    left = [row for row in diagnosis.findings if row not in fixed]
    if options.as_json:
        print_data(json.dumps(_as_json(folder, diagnosis, left, fixed)))
    else:
        _report(diagnosis, left, fixed)
        talk.say(f"Examined {counted(diagnosis.files, 'file')} in {time.monotonic() - started:.1f} s")
    _judge(left, options.lock, can_fix=folder.bundle is None)


def _asking(world: World) -> Session:
    """Make a session that knows all servers that this machine's configuration names, its Debian mirrors too."""
    mirrors = [find_python_mirror(world.machine.environ), *world.conda.urls, *mirror_urls(world)]
    return Session(world.session.settings, mirrors=mirrors, offline=world.machine.offline)


def _fix(folder: LockFolder, diagnosis: Diagnosis, world: World, talk: Talk) -> tuple[Finding, ...]:
    """Keep beside the lock what may get lost and can still be had."""
    pinned = PinnedArtifacts(world, sources=folder.lockfile.sources, blobs=folder.blobs)
    wanted = [row for row in diagnosis.findings if row.problem is not Problem.LOST and row.pinned.name]

    def keep(row: Finding) -> Finding | None:
        sha256 = row.pinned.row.sha256
        try:
            pinned.fetch_all([(row.pinned.name, row.pinned.row)], lambda _what, _done, _total: None)
        except MissingArtifactError as error:
            talk.warn(error.message)
            return None
        keep_blob(folder, sha256, partial(world.store.blobs.copy_to, Digest(sha256)))
        return row

    kept: list[Finding] = []
    with talk.step("Keeping") as step, ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, row in enumerate(pool.map(keep, wanted)):
            step(wanted[number].pinned.name, number + 1, len(wanted))
            kept += [row] if row else []
    return tuple(kept)


def _judge(left: Sequence[Finding], lock: Path, *, can_fix: bool) -> None:
    known = [row for row in left if row.problem is not Problem.UNKNOWN]
    if known:
        raise DifferenceError(
            f"{counted(len(known), 'file')} of {lock} may not be had one day",
            hint=f"keep what can still be had beside the lock with `--fix`, or {_KEEP}" if can_fix else f"keep {_KEEP}",
        )
    if left:
        raise MissingArtifactError(
            f"{counted(len(left), 'file')} of {lock} could not be asked for", hint=_HELP[Problem.UNKNOWN]
        )


def _report(diagnosis: Diagnosis, left: Sequence[Finding], fixed: Sequence[Finding]) -> None:
    order = list(Problem)
    for problem, group in groupby(sorted(left, key=lambda row: order.index(row.problem)), key=lambda row: row.problem):
        rows = list(group)
        print_data(f"{_TITLES[problem]} ({len(rows)}): {_HELP[problem]}")
        shown = [(f"  {_name(row)}", row.pinned.version, _short(row.detail)) for row in rows[:_SHOWN]]
        print_data(visible_lines(columns(shown)))
        if len(rows) > _SHOWN:
            print_data(f"  ... and {len(rows) - _SHOWN} more (all of them with `--json`)")
        print_data("")
    if fixed:
        size = human_size(sum(row.pinned.row.size for row in fixed))
        print_data(f"Kept {counted(len(fixed), 'file')} beside the lock, {size}")
    kept = diagnosis.kept + len(fixed)
    print_data(
        f"{counted(diagnosis.files, 'file')}: {kept} with the lock, "
        f"{diagnosis.files - kept - len(left)} in public archives, {len(left)} at risk"
        if left
        else f"Everything will survive: of {counted(diagnosis.files, 'file')}, {kept} lie with the lock, "
        f"{diagnosis.files - kept} in public archives"
    )


def _name(row: Finding) -> str:
    return row.pinned.name or f"blob {row.pinned.row.sha256[:12]}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _as_json(
    folder: LockFolder, diagnosis: Diagnosis, left: Sequence[Finding], fixed: Sequence[Finding]
) -> dict[str, object]:
    return {
        "lock": str(folder.path),
        "digest": str(environment_digest(folder.lockfile)),
        "files": diagnosis.files,
        "kept": diagnosis.kept + len(fixed),
        "findings": [_finding(row) for row in left],
        "fixed": [_finding(row) for row in fixed],
    }


def _finding(row: Finding) -> dict[str, object]:
    return {
        "name": row.pinned.name,
        "version": row.pinned.version,
        "file": row.pinned.row.file,
        "sha256": row.pinned.row.sha256,
        "problem": row.problem.value,
        "detail": row.detail,
        "help": _HELP[row.problem],
    }
