"""Patched files in words: by package and name, with short diffs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from envcap.blobs import LockFolder
from envcap.cli.machine import this_machine
from envcap.cli.talk import visible
from envcap.errors import EnvcapError
from envcap.patched import DiffLimits, PatchedFile, compare_patches, group_patches, list_patches
from envcap.render import counted
from envcap.scan.hardlinks import MAX_FOLDERS
from envcap.snapshot.taint import Taint
from envcap.world import open_world

SHORT: Final = DiffLimits(files=5, lines=12)
"""What a summary shows."""

WHOLE: Final = DiffLimits(files=10_000, lines=1000, conda=16 << 30)
"""What is shown when it is asked for."""

_NAMES = 20
_TAB = "\u2192   "
"""A tab as it is shown: an arrow, so that it differs from spaces."""

_MORE = "`envcap show LOCK --patches` shows all"


def patched_files(rows: Sequence[PatchedFile], *, names: int = _NAMES) -> str:
    """Write patches as text, safe for a terminal.

    Args:
        rows: In the lock's order.
        names: How many are named at most.
    """
    if not rows:
        return "No file was patched: everything is what the artifacts hold"
    # Those that come with a diff are named first.
    ranked = sorted(range(len(rows)), key=lambda number: (rows[number].diff is None, number))
    shown = [rows[number] for number in sorted(ranked[:names])]
    packages = len({row.package for row in rows})
    lines = [f"Patched: {counted(len(rows), 'file')} in {counted(packages, 'package')}"]
    for title, group in group_patches(shown):
        lines.append(f"  {title}")
        for row in group:
            lines.append(f"    {row.patch.change:<7}  {row.patch.path}")
            lines += [f"      {line}" for line in _diff_lines(row)]
    if len(rows) > len(shown):
        lines.append(f"  ... and {len(rows) - len(shown)} more")
    undone = any(row.diff is None and row.patch.change != "deleted" for row in rows)
    if len(rows) > len(shown) or undone or any(row.diff and row.diff.hidden for row in rows):
        lines.append(f"  ({_MORE})")
    return "\n".join(visible(line) for line in lines)


def table_of(rows: Iterable[PatchedFile]) -> list[dict[str, object]]:
    """Write patches as JSON; `diff` only where there is one."""
    return [
        {
            "package": row.package,
            "version": row.version,
            "path": row.patch.path,
            "change": row.patch.change,
            **({"diff": list(row.diff.lines), "note": row.diff.note} if row.diff else {}),
        }
        for row in rows
    ]


def read_patches(
    folder: LockFolder, limits: DiffLimits, *, index: tuple[str, ...], offline: bool, store: Path | None
) -> tuple[PatchedFile, ...]:
    """Compare the patches of a lock with what its artifacts hold.

    Raises:
        EnvcapError: The store can't be opened.
    """
    machine = this_machine(store=store, offline=offline, index=index)
    with open_world(machine, held=folder.held) as world:
        return compare_patches(folder.lockfile, blobs=folder.blobs, world=world, limits=limits)


def local_patches(folder: LockFolder, limits: DiffLimits, *, store: Path | None) -> tuple[PatchedFile, ...]:
    """Compare the patches of a lock as far as this machine has both sides; without a store, name them."""
    try:
        return read_patches(folder, limits, index=(), offline=True, store=store)
    except EnvcapError:
        return list_patches(folder.lockfile)


def taint_lines(taints: Iterable[Taint]) -> list[str]:
    """Say which other environments have an edited file, what was looked through, and how to heal them."""
    lines: list[str] = []
    for taint in taints:
        name, others = taint.package, taint.environments
        lines += [f"  {name}: the same file is in {environment}" for environment in others[:_NAMES]]
        if len(others) > _NAMES:
            lines.append(f"  {name}: ... and in {len(others) - _NAMES} more environments")
        if taint.unseen:
            lines.append(
                f"  {name}: {counted(taint.unseen, 'more name')} not found in {taint.cache}, beside this environment "
                f"and below the home folder (at most {MAX_FOLDERS} folders are looked through)"
            )
        if taint.is_lost:
            continue
        first = f"{taint.remedy}, then " if taint.is_cached else ""
        lines.append(f"  {name}: to heal, {first}{taint.reinstall} in each environment that has it")
    return [visible(line) for line in lines]


def _diff_lines(row: PatchedFile) -> list[str]:
    if row.diff is None:
        return []
    more = [f"... {counted(row.diff.hidden, 'more line')}"] if row.diff.hidden else []
    lines = [line.replace("\t", _TAB) for line in row.diff.lines]
    return [*lines, *more, *([f"({row.diff.note})"] if row.diff.note else [])]
