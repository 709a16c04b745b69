"""Which files of conda packages can be executed, by their archives: where permissions were changed since.

Neither `info/paths.json` nor a record says it, and an image has one bit of a file's mode, whether it can be executed
(rule 2). `chmod -R 755` on a shared folder, or a copy by way of a disk without permissions, changes that bit of
thousands of files and nothing of what they do, also in other environments, by hard links. So the image gets the
archive's, on both sides; only a program that somebody made executable, and no data with it, is a patch. Packages with a
sign of it are looked at (`CondaRecord.touched`), each archive once.
"""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import installed_members
from envcap.conda.paths import HARDLINK, LIBRARY
from envcap.conda_prefix.complete import fetch_conda
from envcap.entry import EntryKind
from envcap.environment import CondaRecord, Environment, InstalledFile
from envcap.errors import EnvcapError
from envcap.recipe import file_mode
from envcap.store.actions import action_key
from envcap.world import World

_PROGRAMS = (b"#!", b"\x7fELF")
_MANY = 200_000
_LARGE = 64 << 20
"""Bytes of an archive that is not fetched for this alone: it counts only where it is on this machine."""


def know_modes(environment: Environment, world: World) -> Environment:
    """Give the files of conda's packages the permissions that their archives have, as far as these are at hand.

    Args:
        environment: The scan, its records complete.
        world: This machine, which may have the archives.
    """
    if environment.kind != "conda":
        return environment
    # An archive that was made of the installed files has their permissions.
    records = (
        _with_modes(record, environment, world) if record.touched and record.captured != "files" else record
        for record in environment.conda
    )
    return replace(environment, conda=tuple(records))


def _with_modes(record: CondaRecord, environment: Environment, world: World) -> CondaRecord:
    executable = _read(record, environment, world)
    if executable is None:
        return record
    rows = {row.path: row for row in record.paths}
    other = [
        file
        for file in record.files
        if not file.target
        and rows[file.path].kind == HARDLINK
        and _mode(file, packed=executable) != _mode(file, packed=None)
    ]
    gained = [file for file in other if file.path not in executable]
    # Who makes data executable too has chosen no program.
    is_sweep = _is_executable(environment.prefix / record.directory) or not all(
        _is_program(file, environment) for file in gained
    )
    chosen = frozenset() if is_sweep else {file.path for file in gained}
    mapped = {file.path: _mode(file, packed=executable) for file in other if file.path not in chosen}
    return replace(
        record,
        files=tuple(replace(file, mode=mapped.get(file.path, file.mode)) for file in record.files),
        paths=tuple(replace(row, made_executable=row.path in chosen) for row in record.paths),
    )


def _mode(file: InstalledFile, *, packed: Collection[str] | None) -> int:
    """Give the mode that an image has for a file: by its archive, or as it is live."""
    executable = bool(file.mode & 0o111) if packed is None else file.path in packed
    return file_mode(file.path, executable=executable)


def _is_executable(record: Path) -> bool:
    """Tell whether a record can be executed, as no installer writes it: somebody changed the whole prefix."""
    try:
        return bool(record.stat().st_mode & 0o111)
    except OSError:
        return False


def _is_program(file: InstalledFile, environment: Environment) -> bool:
    """Tell whether it matters that a file can be executed."""
    if LIBRARY.search(file.path):
        return False
    try:
        with file.location(environment.prefix).open("rb") as opened:
            return opened.read(4).startswith(_PROGRAMS)
    except OSError:
        return False


def _read(record: CondaRecord, environment: Environment, world: World) -> frozenset[str] | None:
    """Read which files an archive has executable, and remember it; None if nobody has the archive."""
    key = action_key("conda-modes", {"sha256": record.sha256, "site-packages": environment.site_packages})
    known = _decode(world.store.recall(key))
    if known is not None:
        return known
    near = replace(world, machine=replace(world.machine, offline=world.machine.offline or record.size > _LARGE))
    try:
        digest, _ = fetch_conda(record, near, why="its permissions are compared", trusted=True)
        if digest.hex != record.sha256:
            return None
        with (
            tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
            FileReader(world.store.blobs.verified(digest)) as reader,
        ):
            members = installed_members(open_conda(reader, name=record.file, spool=spool), environment.site_packages)
    except EnvcapError:
        return None
    found = frozenset(path for path, member in members.items() if member.kind is EntryKind.FILE and member.mode & 0o111)
    if len(found) < _MANY:
        world.store.actions.put(key, {"executable": sorted(found)})
    return found


def _decode(value: Mapping[str, object] | None) -> frozenset[str] | None:
    rows = (value or {}).get("executable")
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        return None
    return frozenset(rows)
