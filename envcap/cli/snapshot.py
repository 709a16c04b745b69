"""`envcap snapshot`: parse, capture, write the lock's folder, and say what was found."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from envcap.blobs import LOCK_NAME, check_lock_place, kept_hashes, open_lock, write_lock_folder
from envcap.cli.facts import fact_rows
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.environment import FindingLevel
from envcap.errors import DifferenceError, LockfileError, UsageError
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import CAPTURED, Lockfile
from envcap.render import counted, human_size, table
from envcap.scan import find_prefix
from envcap.snapshot import Snapshot, SnapshotRequest, take_snapshot
from envcap.world import open_world

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOptions:
    """The command's options, as given."""

    prefix: Path | None
    name: str
    output: Path
    strict: bool
    system: tuple[str, ...]
    suite: str
    refresh_system: bool
    max_unowned: int
    env: tuple[str, ...]
    index: tuple[str, ...]
    export: tuple[str, ...]
    offline: bool
    store: Path | None
    as_json: bool


def snapshot_command(options: SnapshotOptions) -> None:
    """Take a snapshot and write it.

    Raises:
        EnvcapError: It can't be taken or written; nothing was changed.
    """
    started = time.monotonic()
    talk = Talk()
    _check_options(options)
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    prefix = find_prefix(options.prefix, machine.environ).prefix
    name = options.name or _name_of(prefix)
    if not _NAME.match(name):
        raise UsageError(f"Unexpected name {name!r} (expected letters, digits, `.`, `_` and `-`)", hint="give `--name`")
    folder = options.output / name
    check_lock_place(folder)
    with open_world(machine, prefix=prefix) as world:
        request = SnapshotRequest(
            prefix=prefix,
            name=name,
            previous=None if options.refresh_system else _previous(folder, talk),
            suite=options.suite,
            system=options.system,
            max_unowned=options.max_unowned * 1_000_000,
            env=options.env,
        )
        found = take_snapshot(request, world, talk)
        if options.strict:
            _refuse_inexact(found)
        write_lock_folder(folder, found.lockfile, found.kept)
        for form in options.export:
            from envcap.cli.export import write_export  # noqa: PLC0415  # most snapshots export nothing

            write_export(folder / LOCK_NAME, form, world, talk)
    if options.as_json:
        print_data(json.dumps(_as_json(found, folder)))
        return
    _report(found, folder, time.monotonic() - started, talk)


def _check_options(options: SnapshotOptions) -> None:
    """Refuse what could not be written at the end, before anything is done."""
    if options.export:
        from envcap.cli.export import check_format  # noqa: PLC0415  # most snapshots export nothing

        for form in options.export:
            check_format(form)


def _name_of(prefix: Path) -> str:
    """Name a lock after its environment; `.venv` and the like after the project that they are in."""
    generic = {"venv", ".venv", "env", ".env"}
    return (prefix.parent.name if prefix.name in generic else prefix.name).lstrip(".")


def _previous(folder: Path, talk: Talk) -> Lockfile | None:
    if not (folder / LOCK_NAME).is_file():
        return None
    try:
        return open_lock(folder).lockfile
    except LockfileError as error:
        talk.warn(f"{error.message}; its pins of OS packages are not kept")
        return None


def _refuse_inexact(found: Snapshot) -> None:
    inexact = [row for row in found.lockfile.packages if row.patches or row.proof != "record"]
    if inexact or found.lockfile.captured:
        rows = [
            f"{row.name} {row.version}: "
            + (", ".join(f"{patch.path} {patch.change}" for patch in row.patches[:3]) or f"proof is {row.proof!r}")
            for row in inexact[:_SHOWN]
        ]
        rows += [f"{file.path}: belongs to no package" for file in found.lockfile.captured[:_SHOWN]]
        raise DifferenceError(
            "The environment is not only what its artifacts hold:\n  " + "\n  ".join(rows),
            hint="take the snapshot without `--strict` to capture these with the lock",
        )


def _counts(found: Snapshot) -> dict[str, int]:
    packages = found.lockfile.packages
    return {
        "packages": len(packages),
        "proven": sum(package.proof != "captured" for package in packages),
        "captured": sum(package.proof == "captured" for package in packages),
        "patched": sum(bool(package.patches) for package in packages),
        "unowned": len(found.lockfile.captured),
        "system": len(found.lockfile.system),
    }


def _as_json(found: Snapshot, folder: Path) -> dict[str, object]:
    return {
        "lock": str(folder / LOCK_NAME),
        "name": found.lockfile.name,
        "digest": str(environment_digest(found.lockfile)),
        "image_id": str(found.prediction.image_id),
        **_counts(found),
        "warnings": [
            {"code": row.code, "message": row.message, "path": row.path}
            for row in found.findings
            if row.level is FindingLevel.WARNING
        ],
    }


def _report(found: Snapshot, folder: Path, seconds: float, talk: Talk) -> None:
    warnings = [row for row in found.findings if row.level is FindingLevel.WARNING]
    for row in warnings[:_SHOWN]:
        talk.warn(row.message)
    if len(warnings) > _SHOWN:
        talk.say(f"... and {len(warnings) - _SHOWN} more warnings (all of them with `--json`)")
    lock, counts = found.lockfile, _counts(found)
    notes = len(found.findings) - len(warnings)
    pages = sum(result.pages for result in found.results)
    read = sum(result.received for result in found.results) - pages
    wheels = sum(artifact.size for row in lock.packages for artifact in row.artifacts if artifact.source != CAPTURED)
    interpreter = {"debian": "Debian's own", "standalone": "python-build-standalone"}.get(
        lock.interpreter.origin, "captured"
    )
    proven = f"{counts['proven']} of {counts['packages']} packages"
    captured = f"{counted(counts['captured'], 'package')}, {counted(counts['unowned'], 'unowned file')}"
    rows = [
        ("interpreter", f"Python {lock.interpreter.version}, {interpreter}"),
        ("proven", f"{proven}, by reading {human_size(read)} of {human_size(wheels)} of wheels{_pages(pages)}"),
        ("captured", f"{captured}, {human_size(sum(kept_hashes(lock).values()))} beside the lock"),
        ("patched", _patched(found)),
        *fact_rows(lock),
        ("OS packages", f"{counts['system']} of Debian {_suite(lock)}"),
        ("image", f"{len(found.prediction.diff_ids)} layers, {human_size(sum(found.prediction.sizes))} unpacked"),
        ("image ID", str(found.prediction.image_id)),
    ]
    print_data(table(rows))
    aside = f", {counted(notes, 'note')}" if notes else ""
    talk.say(
        f"Wrote {folder / LOCK_NAME} in {seconds:.1f} s{aside}. Next: envcap rebuild {visible(str(folder))} --load"
    )


def _pages(received: int) -> str:
    return f" and {human_size(received)} of index pages" if received else ""


def _patched(found: Snapshot) -> str:
    patched = [row for row in found.lockfile.packages if row.patches]
    files = sum(len(row.patches) for row in patched)
    return f"{counted(files, 'file')} in {', '.join(row.name for row in patched[:5])}" if patched else "nothing"


def _suite(lock: Lockfile) -> str:
    names = [source.suite for source in lock.sources if source.kind == "debian"]
    return min(names, key=len) if names else "?"
