"""Conda's packages, from records completed from archives where they must be, to rows of a lock."""

import hashlib
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import archive_paths
from envcap.conda.channel import channel_url, source_name
from envcap.conda.paths import HARDLINK, read_written, write_path
from envcap.digest import Digest
from envcap.environment import CondaPath, CondaRecord, Environment
from envcap.errors import EnvcapError, MissingArtifactError
from envcap.lock.conda import LockedConda, complete_record, is_complete, lock_conda, proves_files
from envcap.lockfile.conda_kept import archive_content, archive_name
from envcap.lockfile.model import Artifact, CondaPackage
from envcap.pinned import PinnedArtifacts
from envcap.sources.conda_locator import CONDA_CHANNEL, CondaLocator
from envcap.sources.conda_lookup import completed_by, look_up_records
from envcap.sources.conda_settings import builtin_alias
from envcap.sources.locate import Refusal
from envcap.store.actions import action_key
from envcap.world import World

_LARGEST = 16 << 30
_MANY = 30_000
"""Files of a package, from which on its table is not remembered: a record of the store would be too large."""


def complete_conda(
    environment: Environment,
    world: World,
    step: Callable[[str, int, int], None],
    *,
    locked: Sequence[CondaPackage] = (),
    blobs: Path | None = None,
) -> Environment:
    """Complete the records that don't pin their archive, or have no hashes of their files, from the archives.

    Args:
        environment: The scan.
        world: This machine.
        step: Shows progress.
        locked: Rows of a lock. A package whose archive is kept with it is compared with that.
        blobs: The folder of bytes kept beside that lock.

    Raises:
        MissingArtifactError: Nobody has such an archive.
        ArchiveError: It is hostile or damaged.
    """
    kept = {row.name: row for row in locked if row.captured}
    if all(map(is_complete, environment.conda)) and not kept:
        return environment
    pinned = PinnedArtifacts(world, sources=(), blobs=blobs)
    records = []
    for done, record in enumerate(environment.conda):
        step(record.name, done, len(environment.conda))
        row = kept.get(record.name)
        if row is not None and _is_of(row, record):
            pinned.conda(row)
            records.append(complete_from_kept(record, row, environment, world))
        else:
            records.append(record)
    listed = complete_from_lists(records, world)
    return replace(
        environment,
        conda=tuple(row if is_complete(row) else complete_from_archive(row, environment, world) for row in listed),
    )


def complete_from_lists(records: Sequence[CondaRecord], world: World) -> list[CondaRecord]:
    """Complete the records that lack nothing but their archive's hash or size, from what channels say of it."""
    hashless = [record for record in records if not is_complete(record) and proves_files(record)]
    if not hashless:
        return list(records)
    hints = {source_name(record.channel): record.channel_url for record in hashless}
    channels = CondaLocator(world.conda, hints, offline=world.machine.offline, trusted=True)
    found = look_up_records(hashless, caches=world.conda.caches, channels=channels, transport=world.transport)
    return [completed_by(record, found[record.name]) if record.name in found else record for record in records]


def _is_of(row: CondaPackage, record: CondaRecord) -> bool:
    """Tell whether a kept archive is of what is installed; one made of files says nothing of another's hash."""
    same = (row.version, row.build) == (record.version, record.build)
    return same and (row.captured == "files" or record.sha256 in {"", row.sha256})


def lock_conda_packages(environment: Environment, world: World, *, given: Collection[str] = ()) -> LockedConda:
    """Lock the conda packages; nothing in a virtual environment.

    Args:
        environment: The scan, its records complete.
        world: This machine.
        given: Names of the variables that the image has.

    Raises:
        BuildError: A file can't be read.
    """
    if environment.kind != "conda":
        return LockedConda()
    return lock_conda(environment, alias=channel_url(world.conda.alias or builtin_alias()), given=given)


def complete_from_archive(record: CondaRecord, environment: Environment, world: World) -> CondaRecord:
    """Complete a record from its archive, wherever that is to be had.

    Raises:
        MissingArtifactError: Nobody has it.
        ArchiveError: It is hostile or damaged.
    """
    if record.sha256 and record.size >= 0:
        known = _recalled(world.store.recall(_paths_key(Digest(record.sha256), environment)))
        if known is not None:
            return complete_record(record, sha256=record.sha256, size=record.size, paths=known)
    why = f"its record has {lack_of(record)}, and nobody has the archive"
    digest, size = fetch_conda(record, world, why=why, trusted=True)
    paths = _paths_in(record.file, digest, environment, world)
    return complete_record(record, sha256=digest.hex, size=size, paths=paths)


def complete_from_kept(record: CondaRecord, row: CondaPackage, environment: Environment, world: World) -> CondaRecord:
    """Complete a record from the archive that is kept with a lock, by what its row says; the store has it.

    Raises:
        ArchiveError: It is hostile or damaged.
    """
    named = replace(
        record, file=row.file, md5=row.md5, captured=row.captured, made_sha256=row.made_sha256, made_size=row.made_size
    )
    paths = _paths_in(archive_name(row), Digest(archive_content(row)[0]), environment, world)
    return complete_record(named, sha256=row.sha256, size=row.size, paths=paths)


def _paths_in(name: str, digest: Digest, environment: Environment, world: World) -> Sequence[CondaPath]:
    """Give the files of an archive in the store; they are remembered."""
    key = _paths_key(digest, environment)
    known = _recalled(world.store.recall(key))
    if known is not None:
        return known
    with (
        tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
        FileReader(world.store.blobs.verified(digest)) as reader,
    ):
        paths = archive_paths(open_conda(reader, name=name, spool=spool), environment.site_packages)
    if len(paths) < _MANY:
        world.store.actions.put(key, {"paths": [write_path(row) for row in paths]})
    return paths


def _paths_key(digest: Digest, environment: Environment) -> Digest:
    return action_key("conda-paths", {"sha256": digest.hex, "site-packages": environment.site_packages})


def _recalled(value: Mapping[str, object] | None) -> list[CondaPath] | None:
    rows = (value or {}).get("paths")
    found = [read_written(row) for row in rows] if isinstance(rows, list) else [None]
    return None if None in found else [row for row in found if row]


def fetch_conda(record: CondaRecord, world: World, *, why: str, trusted: bool) -> tuple[Digest, int]:
    """Have an archive in the store, by its sha256 or, where the record has none, by its MD5 or its name alone.

    Args:
        record: Which archive.
        world: This machine.
        why: What to say if nobody has it.
        trusted: The record is this machine's own, so that it may name folders and http.

    Raises:
        MissingArtifactError: Nobody has it.
    """
    blobs = world.store.blobs
    key = action_key("conda-archive", {"file": record.file, "md5": record.md5, "size": str(record.size)})
    if record.sha256 and blobs.has(Digest(record.sha256)):
        digest = Digest(record.sha256)
        return digest, blobs.path(digest).stat().st_size
    known = world.store.recall(key) if record.md5 else None
    if known is not None:
        digest = Digest.parse(str(known["blob"]))
        return digest, blobs.path(digest).stat().st_size
    asked: list[str] = []
    wanted = Artifact(
        platform="", source=CONDA_CHANNEL, file=f"{record.channel}/{record.subdir}/{record.file}", size=0, sha256=""
    )
    hints = {source_name(record.channel): record.channel_url}
    settings = replace(world.conda, caches=caches_of(record, world))
    for place in CondaLocator(settings, hints, offline=world.machine.offline, trusted=trusted).urls(wanted):
        if isinstance(place, Refusal):
            asked.append(f"{place.shown}: {place.answer}")
            continue
        try:
            digest, size, md5 = _download(place.url, record, world)
        except EnvcapError as error:
            asked.append(f"{place.shown}: {error.message}")
            continue
        if (record.md5 and md5 != record.md5) or (record.size >= 0 and size != record.size):
            asked.append(f"{place.shown}: has another file of that name (its MD5 or size differs)")
            continue
        world.store.actions.put(key, {"blob": str(digest)}, blobs=[digest])
        return digest, size
    raise MissingArtifactError(
        f"Can't pin {record.file}: {why} ({'; '.join(asked)})",
        hint="put the archive into a package cache (CONDA_PKGS_DIRS), or configure its channel in .condarc",
    )


def caches_of(record: CondaRecord, world: World) -> tuple[Path, ...]:
    """Give the package caches that may have a package.

    That beside whose folder the installer unpacked it is one, whatever is configured now.
    """
    own = [Path(record.unpacked).parent] if record.unpacked else []
    return tuple(dict.fromkeys([*world.conda.caches, *own]))


def _download(url: str, record: CondaRecord, world: World) -> tuple[Digest, int, str]:
    md5 = hashlib.md5(usedforsecurity=False)
    with world.store.blobs.writer() as writer:
        for chunk in world.transport.stream(url, limit=_LARGEST):
            md5.update(chunk)
            writer.write(chunk)
        size = writer.size
        digest = writer.commit(Digest(record.sha256) if record.sha256 else None)
    return digest, size, md5.hexdigest()


def lack_of(record: CondaRecord) -> str:
    """Say what an incomplete record lacks."""
    if not record.sha256:
        return "no sha256"
    if record.size < 0:
        return "no size"
    unhashed = any(row.kind == HARDLINK and not row.sha256 for row in record.paths)
    return "no hashes of its files" if unhashed else "no word of which files hold the prefix (as mamba writes it)"
