"""Where the symlinks of conda packages lead, by their archives.

What a record says of a link depends on its writer (measured on records of each, `tests/conda/samples`):

- rattler and pixi: `sha256_in_prefix` is the hash of the link's own text, which proves it;
- conda: `sha256`, that of the file behind it when the package was built, nothing for a folder;
- mamba and micromamba: `sha256_in_prefix`, that of the file behind it when it was installed;
- envcap, in an image: none.

A link behind which lies another file is odd, and only for odd ones the archive is read: from the store, a package cache
or the channel. So an untouched environment needs next to none. Unseen stays, in environments of conda and mamba, a link
that was led to an equal file, until the image ID tells; on the machine of the snapshot `check` sees that too, for the
store remembers where each link led.
Source: CEP 34 (`info/paths.json`), rattler's `install/link.rs`, libmamba's `core/link.cpp`.
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
from envcap.conda.paths import HARDLINK, SOFTLINK, TARGET_HASH
from envcap.conda_prefix.complete import fetch_conda
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
    rows = {row.path: row for record in environment.conda for row in record.paths}
    prefix = _Prefix(
        root=os.path.realpath(environment.prefix),
        rows=rows,
        contents=frozenset(row.installed_sha256 or row.sha256 for row in rows.values() if row.kind == HARDLINK),
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
        if file.target and file.path not in patched and f"{file.path}{file.target}".isprintable()
    }
    if 0 < len(links) < _MOST:
        store.actions.put(_lock_key(lockfile), _encode(links))


def recall_links(lockfile: Lockfile, store: Store) -> Links:
    """Recall them; empty where this store did not make the lock."""
    return (_decode(store.recall(_lock_key(lockfile))) or {}) if lockfile.conda else {}


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A live prefix, real path, what the records have in it, and the hashes of all regular files."""

    root: str
    rows: Mapping[str, CondaPath]
    contents: frozenset[str]

    def is_edited(self, row: CondaPath, target: str) -> bool:
        """Tell whether a row has the hash of its link's text, and the live link another one.

        rattler alone writes both hashes, and the second is that of no file.
        """
        text = row.installed_sha256
        return (
            bool(row.sha256 and text)
            and text != row.sha256
            and text not in self.contents
            and not _is_proved(row, target)
        )

    def is_odd(self, row: CondaPath, target: str) -> bool:
        """Tell whether a link leads elsewhere than its record lets expect."""
        folder = os.path.dirname(row.path)  # noqa: PTH120  # strings, as everywhere below
        if target.startswith("/") or os.path.relpath(os.path.join(folder, target), folder or ".") != target:  # noqa: PTH118
            return True
        real = os.path.realpath(f"{self.root}/{row.path}")
        if not PurePosixPath(real).is_relative_to(self.root):
            return True
        hashes = {row.sha256, row.installed_sha256} - {""}
        if not hashes:
            return False
        if not os.path.isfile(real):  # noqa: PTH113
            return _NOTHING not in hashes
        behind = self.rows.get(os.path.relpath(real, self.root))
        return behind is None or hashes.isdisjoint({behind.sha256, behind.installed_sha256})


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
        found = {row.path: remembered[row.path] for row in links if row.path in remembered}
        left = [row for row in links if row.path not in found]
        found |= {row.path: live[row.path] for row in left if _is_proved(row, live[row.path])}
        edited = {
            row.path: f"{TARGET_HASH}{row.installed_sha256}" for row in left if prefix.is_edited(row, live[row.path])
        }
        odd = [row.path for row in left if row.path not in found and prefix.is_odd(row, live[row.path])]
        if odd or edited:  # what nobody can tell stays empty: see `CondaPath`
            found |= {**dict.fromkeys(odd, ""), **edited, **_read(record, environment, world, key)}
    else:
        found = {row.path: known.get(row.path, "") for row in links}
    paths = (replace(row, target=found[row.path]) if row.path in found else row for row in record.paths)
    return replace(record, paths=tuple(paths))


def _is_proved(row: CondaPath, target: str) -> bool:
    return row.installed_sha256 == hashlib.sha256(target.encode("utf-8", "surrogateescape")).hexdigest()


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
