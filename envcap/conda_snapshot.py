"""The conda side of a snapshot: records completed from archives where they must be, then locked."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import archive_paths
from envcap.conda.channel import channel_url, source_name
from envcap.conda.paths import HARDLINK, read_written, write_path
from envcap.digest import Digest
from envcap.environment import CondaPath, CondaRecord, Environment
from envcap.errors import EnvcapError, MissingArtifactError
from envcap.lock.conda import LockedConda, complete_record, is_complete, lock_conda
from envcap.lockfile.model import Artifact
from envcap.sources.conda_locator import CONDA_CHANNEL, CondaLocator
from envcap.sources.conda_settings import builtin_alias
from envcap.sources.locate import Refusal
from envcap.store.actions import action_key
from envcap.world import World

_LARGEST = 16 << 30
_MANY = 30_000
"""Files of a package, from which on its table is not remembered: a record of the store would be too large."""


def complete_conda(environment: Environment, world: World, step: Callable[[str, int, int], None]) -> Environment:
    """Complete the records that don't pin their archive, or have no hashes of their files, from the archives.

    Raises:
        MissingArtifactError: Nobody has such an archive.
        ArchiveError: It is hostile or damaged.
    """
    if all(map(is_complete, environment.conda)):
        return environment
    records = []
    for done, record in enumerate(environment.conda):
        step(record.name, done, len(environment.conda))
        records.append(record if is_complete(record) else _complete(record, environment, world))
    return replace(environment, conda=tuple(records))


def lock_conda_packages(environment: Environment, world: World) -> LockedConda:
    """Lock the conda packages; nothing in a virtual environment.

    Raises:
        BuildError: A file can't be read.
    """
    if environment.kind != "conda":
        return LockedConda()
    return lock_conda(environment, alias=channel_url(world.conda.alias or builtin_alias()))


def _complete(record: CondaRecord, environment: Environment, world: World) -> CondaRecord:
    key = action_key("conda-paths", {"sha256": record.sha256, "site-packages": environment.site_packages})
    known = _recalled(world.store.recall(key)) if record.sha256 and record.size >= 0 else None
    if known is not None:
        return complete_record(record, sha256=record.sha256, size=record.size, paths=known)
    why = f"its record has {_lack(record)}, and nobody has the archive"
    digest, size = fetch_conda(record, world, why=why, trusted=True)
    with (
        tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
        FileReader(world.store.blobs.verified(digest)) as reader,
    ):
        archive = open_conda(reader, name=record.file, spool=spool)
        paths = archive_paths(archive, environment.site_packages)
    if len(paths) < _MANY:
        world.store.actions.put(key, {"paths": [write_path(row) for row in paths]})
    return complete_record(record, sha256=digest.hex, size=size, paths=paths)


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
    for place in CondaLocator(world.conda, hints, offline=world.machine.offline, trusted=trusted).urls(wanted):
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


def _download(url: str, record: CondaRecord, world: World) -> tuple[Digest, int, str]:
    md5 = hashlib.md5(usedforsecurity=False)
    with world.store.blobs.writer() as writer:
        for chunk in world.transport.stream(url, limit=_LARGEST):
            md5.update(chunk)
            writer.write(chunk)
        size = writer.size
        digest = writer.commit(Digest(record.sha256) if record.sha256 else None)
    return digest, size, md5.hexdigest()


def _lack(record: CondaRecord) -> str:
    if not record.sha256:
        return "no sha256"
    if record.size < 0:
        return "no size"
    unhashed = any(row.kind == HARDLINK and not row.sha256 for row in record.paths)
    return "no hashes of its files" if unhashed else "no word of which files hold the prefix (as mamba writes it)"
