"""`envcap snapshot`: parse, capture, write the lock's folder, and say what was found."""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envcap.blobs import LOCK_NAME, check_lock_place, kept_hashes, open_lock, write_lock_folder
from envcap.cli.conda import conda_captured, conda_inexact, conda_patched, conda_rows, has_patches
from envcap.cli.facts import fact_rows, interpreter_words
from envcap.cli.heap import share_one_heap
from envcap.cli.locks import check_name
from envcap.cli.machine import this_machine
from envcap.cli.patches import SHORT, patched_files, taint_lines
from envcap.cli.talk import Talk, print_data, visible, visible_lines
from envcap.errors import DifferenceError, LockfileError, UsageError
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.live.scan import live_place
from envcap.lock.debian_base import INSTALLED
from envcap.lock.origin import origin_lines
from envcap.lock.pypi_result import Proven
from envcap.lock.unowned_capture import UnownedGroup
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import CAPTURED, Lockfile
from envcap.patched import PatchedFile, compare_patches, impatient
from envcap.render import counted, human_size, table
from envcap.scan import find_prefix
from envcap.snapshot.take import Snapshot, SnapshotRequest, take_snapshot
from envcap.world import World, open_world

_SHOWN = 20
_SHORTEST_NAME = 4
_STARTUP_SHOWN = 5


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
    allow_secret: tuple[str, ...]
    user_site: bool | None
    keep: tuple[str, ...]
    build: bool
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
    share_one_heap()
    _check_options(options)
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    place = live_place(find_prefix(options.prefix, machine.environ), user_site=options.user_site, build=options.build)
    prefix = place.prefix
    name = options.name or (place.executable.resolve().name if place.executable else _name_of(prefix))
    check_name(name)
    folder = options.output / name
    check_lock_place(folder)
    with open_world(machine, prefix=prefix) as world:
        request = SnapshotRequest(
            place=place,
            name=name,
            previous=None if options.refresh_system else _previous(folder, talk),
            suite=options.suite,
            system=options.system,
            max_unowned=options.max_unowned * 1_000_000,
            allow_secret=options.allow_secret,
            keep=tuple(_inside(prefix, path) for path in options.keep),
            env=options.env,
        )
        found = take_snapshot(request, world, talk)
        if options.strict:
            _refuse_inexact(found)
        _check_exports(options, found.lockfile)
        write_lock_folder(folder, found.lockfile, found.kept)
        for form in options.export:
            from envcap.cli.export import write_export  # noqa: PLC0415  # most snapshots export nothing

            write_export(folder / LOCK_NAME, form, world, talk)
        patches = () if options.as_json else _compared(found, folder, world, talk)
    if options.as_json:
        print_data(json.dumps(_as_json(found, folder)))
        return
    _report(found, patches, folder, time.monotonic() - started, talk)


def _check_options(options: SnapshotOptions) -> None:
    """Refuse what could not be written at the end, before anything is done."""
    if options.export:
        from envcap.cli.export import check_format  # noqa: PLC0415  # most snapshots export nothing

        for form in options.export:
            check_format(form)


def _check_exports(options: SnapshotOptions, lockfile: Lockfile) -> None:
    """Refuse a format of conda for an environment without it, before the lock is written."""
    if options.export:
        from envcap.cli.export import check_content  # noqa: PLC0415  # most snapshots export nothing

        for form in options.export:
            check_content(form, lockfile)


def _inside(prefix: Path, path: str) -> str:
    """Give a path of `--keep` relative to the prefix."""
    place = Path(os.path.normpath(prefix / path))
    if place == prefix or not place.is_relative_to(prefix):
        raise UsageError(f"`--keep {path}` is not inside {prefix}", hint="give a path relative to the environment")
    return place.relative_to(prefix).as_posix()


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
    conda = conda_inexact(found.lockfile)
    if inexact or conda or found.lockfile.captured:
        rows = [
            f"{row.name} {row.version}: "
            + (", ".join(f"{patch.path} {patch.change}" for patch in row.patches[:3]) or f"proof is {row.proof!r}")
            for row in inexact[:_SHOWN]
        ]
        rows += conda[:_SHOWN]
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
        **({"conda": len(found.lockfile.conda)} if found.lockfile.conda else {}),
        **({"conda_captured": count} if (count := conda_captured(found.lockfile)) else {}),
        "warnings": [
            {"code": row.code, "message": row.message, "path": row.path}
            for row in found.findings
            if row.level is FindingLevel.WARNING
        ],
    }


def _compared(found: Snapshot, folder: Path, world: World, talk: Talk) -> tuple[PatchedFile, ...]:
    """Compare patched files with what their artifacts hold, now that their bytes lie beside the lock."""
    if not has_patches(found.lockfile):
        return ()
    with talk.step("Comparing patched files"), impatient(world) as hasty:
        return compare_patches(found.lockfile, blobs=open_lock(folder).blobs, world=hasty, limits=SHORT)


def _report(found: Snapshot, patches: Sequence[PatchedFile], folder: Path, seconds: float, talk: Talk) -> None:
    warnings = [row for row in found.findings if row.level is FindingLevel.WARNING]
    for row in warnings[:_SHOWN]:
        talk.warn(_told(row))
    if len(warnings) > _SHOWN:
        talk.say(f"... and {len(warnings) - _SHOWN} more warnings (all of them with `--json`)")
    for line in taint_lines(found.taints):
        talk.say(line)
    lock, counts = found.lockfile, _counts(found)
    notes = len(found.findings) - len(warnings)
    pages = sum(result.pages for result in found.results)
    read = sum(result.received - result.pages for result in found.results if isinstance(result, Proven))
    others = sum(result.received - result.pages for result in found.results if not isinstance(result, Proven))
    wheels = sum(artifact.size for row in lock.packages for artifact in row.artifacts if artifact.source != CAPTURED)
    read_of = f"{human_size(read)} of {human_size(wheels)} of wheels"
    proven = f"{counts['proven']} of {counts['packages']} packages"
    captured = f"{counted(counts['captured'], 'package')}, {counted(counts['unowned'], 'unowned file')}"
    rows = [
        ("interpreter", interpreter_words(lock)),
        *conda_rows(lock),
        *([("proven", f"{proven}, by reading {read_of}{_more(pages, others)}")] if lock.has_python else []),
        ("captured", f"{captured}, {human_size(sum(kept_hashes(lock).values()))} beside the lock"),
        *_unowned(found.unowned),
        *_startup(found.findings),
        ("patched", _patched(found)),
        *fact_rows(lock),
        ("OS packages", f"{counts['system']} of Debian {_suite(lock)}{_installed(lock)}"),
        ("image", f"{len(found.prediction.diff_ids)} layers, {human_size(sum(found.prediction.sizes))} unpacked"),
        ("image ID", str(found.prediction.image_id)),
    ]
    # The table comes last: it is what one looks for, and a long list would push it away.
    if patches:
        print_data(f"{patched_files(patches)}\n\n")
    if lines := origin_lines(lock):
        print_data(visible_lines("\n".join(lines)) + "\n\n")
    print_data(table(rows))
    aside = f", {counted(notes, 'note')}" if notes else ""
    talk.say(
        f"Wrote {folder / LOCK_NAME} in {seconds:.1f} s{aside}. Next: envcap rebuild {visible(str(folder))} --load"
    )


def _told(finding: Finding) -> str:
    """Say a finding with its file, where the sentence alone names neither the file nor the package."""
    name, subject = finding.path.rpartition("/")[2], finding.message.partition(" ")[0]
    is_package = len(subject) >= _SHORTEST_NAME and canonicalize_name(subject) in canonicalize_name(name)
    # As a word of its own: not every sentence that holds an s names the file `s`.
    named = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", finding.message) is not None or is_package
    return finding.message if named else f"{finding.path}: {finding.message}"


def _unowned(groups: Sequence[UnownedGroup]) -> list[tuple[str, str]]:
    """Count the files that nobody owns, by kind: what is captured and what is left out."""
    rows = []
    for title, captured in (("unowned", True), ("left out", False)):
        mine = [group for group in groups if group.captured is captured]
        if mine:
            total = f"{counted(sum(group.count for group in mine), 'file')}, {human_size(sum(g.size for g in mine))}"
            parts = [f"{group.count} {group.what} ({human_size(group.size)})" for group in mine]
            rows.append((title, f"{total}: {', '.join(parts)}"))
    return rows


def _startup(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Name what Python runs at every start, whoever owns it."""
    names = [visible(row.path.rpartition("/")[2]) for row in findings if row.code == "startup-code"]
    return [("run at start", few(names, _STARTUP_SHOWN))] if names else []


def _more(pages: int, others: int) -> str:
    parts = [f"{human_size(pages)} of index pages"] if pages else []
    parts += [f"{human_size(others)} for the other packages"] if others else []
    return "".join(f" and {part}" for part in parts)


def _patched(found: Snapshot) -> str:
    patched = [row for row in found.lockfile.packages if row.patches]
    files = sum(len(row.patches) for row in patched)
    pip = [f"{counted(files, 'file')} in {', '.join(row.name for row in patched[:5])}"] if patched else []
    return ", ".join(pip + conda_patched(found.lockfile)[:5]) or "nothing"


def _installed(lock: Lockfile) -> str:
    count = sum(INSTALLED in row.because for row in lock.system)
    return f", {count} of them for their Python modules" if count else ""


def _suite(lock: Lockfile) -> str:
    names = [source.suite for source in lock.sources if source.kind == "debian"]
    return min(names, key=len) if names else "?"
