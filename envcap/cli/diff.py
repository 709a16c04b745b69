"""`envcap diff`: parse, read two locks (or a live environment as one), and say what differs, what matters first."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.talk import Talk, print_data, visible
from envcap.difference import Difference, Topic, compare_locks, matters
from envcap.errors import DifferenceError
from envcap.live.scan import live_place
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile
from envcap.render import columns, counted
from envcap.scan import find_prefix
from envcap.snapshot.take import SnapshotRequest, take_snapshot
from envcap.world import open_world

_SHOWN = 30
"""Rows of one topic; `--json` and `--all` have them all."""

_COSMETIC_SHOWN = 5
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOptions:
    """The command's options, as given."""

    before: Path
    after: Path
    whole: bool
    index: tuple[str, ...]
    offline: bool
    store: Path | None
    as_json: bool


def diff_command(options: DiffOptions) -> None:
    """Compare two locks, or a lock and a live environment.

    Raises:
        DifferenceError: They differ in what may change results.
        EnvcapError: A lock or the environment can't be read.
    """
    talk = Talk()
    before, after = _read(options, talk)
    found = compare_locks(before, after)
    if options.as_json:
        print_data(json.dumps(_as_json(before, after, found)))
    else:
        _report(found, whole=options.whole)
    count = sum(map(matters, found))
    if count:
        raise DifferenceError(
            f"{options.before} and {options.after} differ in {counted(count, 'thing')} that may matter"
        )
    if not options.as_json:
        same = "the same environment" if environment_digest(before) == environment_digest(after) else "the same content"
        print_data(f"{'Only cosmetic differences' if found else 'No difference'}: {same}")


def _read(options: DiffOptions, talk: Talk) -> tuple[Lockfile, Lockfile]:
    """Read both sides; a live environment is looked at with the other side's pins of OS packages."""
    paths = (options.before, options.after)
    live = [_is_environment(path) for path in paths]
    locks = [
        None if alive else open_lock(path, store=options.store, offline=options.offline).lockfile
        for path, alive in zip(paths, live, strict=True)
    ]
    one, two = (
        lock or _look(path, other, options, talk)
        for lock, path, other in zip(locks, paths, reversed(locks), strict=True)
    )
    return one, two


def _is_environment(path: Path) -> bool:
    """Tell an environment from a lock and its folder: by PEP 405's file, conda's records, or an interpreter."""
    if path.is_dir():
        return (path / "pyvenv.cfg").is_file() or (path / "conda-meta").is_dir()
    return path.name.startswith("python") and not path.name.endswith(".lock") and path.is_file()


def _look(path: Path, other: Lockfile | None, options: DiffOptions, talk: Talk) -> Lockfile:
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    place = live_place(find_prefix(path, machine.environ))
    request = SnapshotRequest(place=place, name=other.name if other else path.name, previous=other)
    with open_world(machine, prefix=place.prefix) as world:
        return take_snapshot(request, world, talk).lockfile


def _as_json(before: Lockfile, after: Lockfile, found: Sequence[Difference]) -> dict[str, object]:
    return {
        "before": str(environment_digest(before)),
        "after": str(environment_digest(after)),
        "same": not any(map(matters, found)),
        "differences": [{**asdict(row), "topic": row.topic.value, "matters": matters(row)} for row in found],
    }


def _report(found: Sequence[Difference], *, whole: bool) -> None:
    for topic, group in groupby(found, key=lambda row: row.topic):
        rows = list(group)
        shown = len(rows) if whole else _COSMETIC_SHOWN if topic is Topic.COSMETIC else _SHOWN
        print_data(f"{topic.value} ({len(rows)})")
        print_data(columns([_row(row) for row in rows[:shown]]))
        if len(rows) > shown:
            print_data(f"  ... and {len(rows) - shown} more (all of them with `--all`)")
        print_data("")


def _row(row: Difference) -> tuple[str, str, str]:
    if not row.before and not row.after:
        return f"  {visible(row.name)}", "", f"({row.note})"
    before, after = _short(row.before), _short(row.after)
    change = f"{before} -> {after}" if before and after else f"{after} added" if after else f"{before} removed"
    return f"  {visible(row.name)}", change, f"({visible(row.note)})" if row.note else ""


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
