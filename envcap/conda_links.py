"""Where the symlinks of conda packages lead, by their archives: no record of a prefix says it.

A record has, for a link, the hash of the file behind it. A link that leads to another file is odd, and only then is
the archive read: from the store, a package cache or the channel. So an untouched environment needs no archive.
Unseen stays a link that was led to an equal file, until the image ID tells; on the machine of the snapshot, `check`
sees that too, for the store remembers where each link led.
Source: CEP 34 (`info/paths.json`: `sha256` of a softlink), conda-build's `build_info_files_json_v1`, for which a link
to a folder or to nowhere has the hash of nothing.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.conda import archive_paths
from envcap.conda.paths import SOFTLINK
from envcap.conda_snapshot import fetch_conda
from envcap.digest import Digest
from envcap.environment import CondaPath, CondaRecord, Environment
from envcap.errors import EnvcapError
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile
from envcap.store import Store
from envcap.store.actions import action_key
from envcap.world import World

Links = Mapping[str, str]
"""Targets by path, relative to the prefix."""

_NOTHING = hashlib.sha256(b"").hexdigest()
_MOST = 200_000
_LARGE = 64 << 20
"""Bytes of an archive that is not fetched for its links alone: it counts only where it is on this machine."""


def know_links(environment: Environment, world: World, *, remembered: Links | None = None) -> Environment:
    """Say of the links of conda's packages where their archives have them lead, as far as it matters.

    Args:
        environment: The scan, its records complete.
        world: This machine, which may have the archives.
        remembered: Where they led when the lock was made, if this machine made it.
    """
    if environment.kind != "conda":
        return environment
    prefix = _Prefix(
        root=os.path.realpath(environment.prefix),
        rows={row.path: row for record in environment.conda for row in record.paths},
    )
    records = [_with_targets(record, environment, prefix, world, remembered or {}) for record in environment.conda]
    return replace(environment, conda=tuple(records))


def remember_links(lockfile: Lockfile, environment: Environment, store: Store) -> None:
    """Remember where the links lead that a new lock does not mention.

    Raises:
        StoreError: The store can't be written.
    """
    patched = {patch.path for package in lockfile.conda for patch in package.patches}
    links = {
        file.path: file.target
        for record in environment.conda
        for file in record.files
        if file.target and file.path not in patched
    }
    if 0 < len(links) < _MOST:
        store.actions.put(_lock_key(lockfile), _encode(links))


def recall_links(lockfile: Lockfile, store: Store) -> Links:
    """Recall them; empty where this store did not make the lock."""
    return (_decode(store.recall(_lock_key(lockfile))) or {}) if lockfile.conda else {}


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A live prefix, real path, and what the records have in it."""

    root: str
    rows: Mapping[str, CondaPath]

    def is_odd(self, row: CondaPath, target: str) -> bool:
        """Tell whether a link leads elsewhere than its record lets expect."""
        folder = os.path.dirname(row.path)  # noqa: PTH120  # strings, as everywhere below
        if target.startswith("/") or os.path.relpath(os.path.join(folder, target), folder or ".") != target:  # noqa: PTH118
            return True
        real = os.path.realpath(f"{self.root}/{row.path}")
        if not PurePosixPath(real).is_relative_to(self.root):
            return True
        if not os.path.isfile(real):  # noqa: PTH113  # a string, as the rest of this
            return row.sha256 not in {"", _NOTHING}
        behind = self.rows.get(os.path.relpath(real, self.root))
        return behind is None or not row.sha256 or behind.sha256 != row.sha256


def _with_targets(
    record: CondaRecord, environment: Environment, prefix: _Prefix, world: World, remembered: Links
) -> CondaRecord:
    live = {file.path: file.target for file in record.files if file.target}
    links = [row for row in record.paths if row.kind == SOFTLINK and row.target is None and row.path in live]
    if not links:
        return record
    key = action_key("conda-links", {"sha256": record.sha256, "site-packages": environment.site_packages})
    known = _decode(world.store.recall(key))
    if known is None:
        odd = [row.path for row in links if row.path not in remembered and prefix.is_odd(row, live[row.path])]
        found = {row.path: remembered[row.path] for row in links if row.path in remembered}
        if odd:  # what nobody can tell stays empty: see `CondaPath`
            found |= dict.fromkeys(odd, "")
            found |= _read(record, environment, world, key)
    else:
        found = {row.path: known.get(row.path, "") for row in links}
    paths = (replace(row, target=found[row.path]) if row.path in found else row for row in record.paths)
    return replace(record, paths=tuple(paths))


def _read(record: CondaRecord, environment: Environment, world: World, key: Digest) -> dict[str, str]:
    """Read the targets out of the archive and remember them; nothing if nobody has it."""
    near = replace(world, machine=replace(world.machine, offline=world.machine.offline or record.size > _LARGE))
    try:
        digest, _ = fetch_conda(record, near, why="its links are compared", trusted=True)
        with (
            tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
            FileReader(world.store.blobs.verified(digest)) as reader,
        ):
            archive = open_conda(reader, name=record.file, spool=spool)
            rows = archive_paths(archive, environment.site_packages)
    except EnvcapError:
        return {}
    links = {row.path: row.target or "" for row in rows if row.kind == SOFTLINK}
    if len(links) < _MOST:
        world.store.actions.put(key, _encode(links))
    return links


def _lock_key(lockfile: Lockfile) -> Digest:
    return action_key("conda-links-of-lock", {"digest": str(environment_digest(lockfile))})


def _encode(links: Links) -> dict[str, object]:
    return {"links": [[path, links[path]] for path in sorted(links)]}


def _decode(value: Mapping[str, object] | None) -> Links | None:
    rows = (value or {}).get("links")
    if not isinstance(rows, list):
        return None
    found: dict[str, str] = {}
    for row in rows:
        match row:
            case [str(path), str(target)]:
                found[path] = target
            case _:
                return None
    return found
