"""The files of a locked package, with their hashes, on both sides: as pinned, and as live.

Both come from the twins that make an image faithful (`envcap.build.package` and `envcap.build.live`), so the two are
equal if, and only if, an image of the live files would be the lock's image.

A lock holds the hash of an artifact, not of its files. Their hashes are remembered in the store by `snapshot`; where
they are not, the artifact is read: in the store, beside the lock, or on an index by range requests, as the proof of a
snapshot reads it. What is read by ranges is believed as that proof is: by the word of an index that states the pinned
hash for the file. Elsewhere the artifact is fetched whole, and its hash checked.
"""

import hashlib
from collections.abc import Collection, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from envcap.archives.access import FileReader, RandomAccess
from envcap.archives.zip import open_zip
from envcap.build.live import live_package_entries, unowned_entry
from envcap.build.package import RECORD_PROOFS, TREE_SUFFIX, package_entries
from envcap.digest import Digest
from envcap.drift import FileState, Manifest
from envcap.entry import Entry, EntryKind
from envcap.environment import Distribution, Environment, InstalledFile
from envcap.errors import ArchiveError, EnvcapError, MissingArtifactError, SourceError
from envcap.lock.patches import shared_paths
from envcap.lock.pypi_wheel import tail_size
from envcap.lockfile.model import CAPTURED, Artifact, CapturedFile, Lockfile, Package, Source
from envcap.pinned import PinnedArtifacts
from envcap.plan import artifact_of
from envcap.recipe import ENVIRONMENT_ROOT, EXECUTABLE_MODE, RECIPE, file_mode
from envcap.sources.answer import Meter
from envcap.sources.index import IndexReader
from envcap.sources.locate import Refusal, SimpleLocator
from envcap.sources.ranges import open_remote
from envcap.store import Store
from envcap.store.actions import action_key
from envcap.wheel.layout import Layout, layout_of
from envcap.world import World

_RULES: Final = 1
"""Raised when the rules of a manifest change: remembered ones are then found anew."""

_WORKERS: Final = 16
"""Packages at a time: where nothing is remembered, most of the time is waiting for an answer."""

_ROOT = f"{ENVIRONMENT_ROOT}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A package whose pinned files could not be had, so that nothing can be said of its content.

    Attributes:
        name: The package.
        version: Its version.
        reason: Why, in one sentence.
    """

    name: str
    version: str
    reason: str


class LockedManifests:
    """Gives the manifests of one lock's packages; safe to share between threads."""

    def __init__(
        self, world: World, *, sources: Iterable[Source], blobs: Path | None, layout: Layout, platform: str
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            world: This machine.
            sources: The lock's sources.
            blobs: The folder of bytes kept beside the lock.
            layout: The scheme of its environment.
            platform: `linux/amd64`, `linux/arm64`.
        """
        self._world = world
        self._layout = layout
        self._platform = platform
        kept = tuple(sources)
        self._pinned = PinnedArtifacts(world, sources=kept, blobs=blobs)
        hints = {source.name: source.url for source in kept if source.url}
        self._locator = SimpleLocator(IndexReader(world.session), hints)

    def of_all(self, rows: Iterable[tuple[Package, Distribution]]) -> list[Manifest | Unknown]:
        """Give the manifests of many packages, in their order: those that must be read, many at a time."""
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            return list(pool.map(lambda row: self.of(*row), rows))

    def of(self, package: Package, live: Distribution) -> Manifest | Unknown:
        """Give the files of a package as the lock pins them: remembered, or from its artifact.

        Args:
            package: Its row of the lock.
            live: What is installed of it, which tells how long its list of files may be.
        """
        key = manifest_key(package, layout=self._layout, platform=self._platform)
        known = recall_manifest(self._world.store, key)
        if known is not None:
            return known
        try:
            manifest = self._read(package, live)
        except EnvcapError as error:
            return Unknown(name=package.name, version=package.version, reason=error.message)
        remember_manifest(self._world.store, key, manifest)
        return manifest

    def _read(self, package: Package, live: Distribution) -> Manifest:
        """Read an artifact: whole if it is here or its RECORD does not tell, else in parts where its hash is stated."""
        artifact = artifact_of(package, self._platform)
        here = self._world.store.blobs.has(Digest(artifact.sha256), size=artifact.size)
        here = here or any(held.reader(artifact.sha256) for held in self._world.held)
        if here or artifact.source == CAPTURED or package.proof not in RECORD_PROOFS:
            return self._read_whole(package, artifact)
        refused: list[str] = []
        for place in self._locator.urls(artifact):
            if isinstance(place, Refusal):
                refused.append(f"{place.shown}: {place.answer}")
                continue
            if not place.hash_stated:
                return self._read_whole(package, artifact)
            try:
                with open_remote(
                    self._world.session, place.url, tail=tail_size(live), meter=Meter(), size=artifact.size
                ) as remote:
                    return self._list(remote, package, artifact)
            except (SourceError, ArchiveError) as error:
                refused.append(f"{place.shown}: {error.message}")
        raise MissingArtifactError(f"{artifact.file} is not in the store ({'; '.join(refused) or 'no index is known'})")

    def _read_whole(self, package: Package, artifact: Artifact) -> Manifest:
        """Read an artifact whose own hash is checked: in the store, or fetched."""
        with FileReader(self._pinned.artifact(artifact)) as local:
            return self._list(local, package, artifact)

    def _list(self, reader: RandomAccess, package: Package, artifact: Artifact) -> Manifest:
        archive = open_zip(reader, name=artifact.file)
        return manifest_of(
            package_entries(archive, package, file=artifact.file, layout=self._layout, blobs=self._pinned)
        )


def remember_manifests(lockfile: Lockfile, environment: Environment, store: Store, *, platform: str) -> None:
    """Remember the manifests of a new lock, whose files are just what is live, so that a check need not read artifacts.

    Not those of packages that were never compared with their artifact.

    Raises:
        StoreError: The store can't be written.
    """
    layout = layout_of(lockfile.interpreter.version, lockfile.interpreter.soabi)
    shared = shared_paths(environment.distributions)

    def remember(row: tuple[Package, Distribution]) -> None:
        package, live = row
        key = manifest_key(package, layout=layout, platform=platform)
        if package.proof != "tags" and not store.actions.path(key).exists():
            remember_manifest(store, key, live_manifest(live, package, environment, shared=shared))

    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for _ in pool.map(remember, match_packages(lockfile, environment)):
            pass


def match_packages(lockfile: Lockfile, environment: Environment) -> Iterator[tuple[Package, Distribution]]:
    """Pair the packages of a lock with what is installed of them in the same version."""
    live = {(str(canonicalize_name(row.name)), row.version): row for row in reversed(environment.distributions)}
    for package in lockfile.packages:
        found = live.get((package.name, package.version))
        if found is not None:
            yield package, found


def live_manifest(
    distribution: Distribution,
    package: Package,
    environment: Environment,
    *,
    shared: Collection[str],
    expected: Manifest | None = None,
) -> Manifest:
    """Give the files of a package as they are live.

    Args:
        distribution: What is installed.
        package: Its row of the lock.
        environment: The scan.
        shared: Paths that several distributions own: the lock leaves such a one to that whose bytes are there.
        expected: What they are expected to be, if known: what is so needs no closer look, which makes it fast.
    """
    equal = {file.path: state for file in distribution.files if (state := _as_expected(file, expected or {}))}
    others = replace(distribution, files=tuple(file for file in distribution.files if file.path not in equal))
    left = frozenset(patch.path for patch in package.patches if patch.change == "deleted" and patch.path in shared)
    is_tree = any(artifact.file.endswith(TREE_SUFFIX) for artifact in package.artifacts)
    entries = live_package_entries(
        others, prefix=environment.prefix, left_out=left, owner=package.name, is_tree=is_tree
    )
    return {**equal, **manifest_of(entries)}


def _as_expected(file: InstalledFile, expected: Manifest) -> FileState | None:
    """Give the expected state of a file if it is just so live; in `bin/`, where scripts are mapped, never."""
    state = expected.get(file.path)
    if state is None or file.path.startswith("bin/"):
        return None
    same = (
        file.sha256 == state.sha256
        and file.size == state.size
        and file.target == state.target
        and (bool(file.target) or bool(file.mode & 0o111) == state.executable)
    )
    return state if same else None


def unowned_manifest(environment: Environment, wanted: Container[str]) -> Manifest:
    """Give some of the live files that nobody owns, by path; of data sets and the like, only these are read."""
    files = (file for file in environment.unowned if file.path in wanted)
    return manifest_of(unowned_entry(file, prefix=environment.prefix) for file in files)


def captured_manifest(files: Iterable[CapturedFile]) -> Manifest:
    """Give the files that nobody owns as the lock has them."""
    return {
        file.path: FileState(
            executable=not file.target and file_mode(file.path, executable=file.executable) == EXECUTABLE_MODE,
            sha256=file.sha256,
            size=file.size,
            target=file.target,
        )
        for file in files
    }


def manifest_of(entries: Iterable[Entry]) -> Manifest:
    """List the files of some entries of an image; those whose hash is not known yet are read."""
    return {entry.path.removeprefix(_ROOT): _state(entry) for entry in entries}


def manifest_key(package: Package, *, layout: Layout, platform: str) -> Digest:
    """Name a manifest by what decides the package's part of an image."""
    artifact = artifact_of(package, platform)
    patches = [
        [patch.path, patch.change, patch.sha256, patch.size, patch.executable, patch.target]
        for patch in package.patches
    ]
    return action_key(
        "manifest",
        {
            "rules": _RULES,
            "recipe": RECIPE,
            "python": layout.feature,
            "name": package.name,
            "file": artifact.file,
            "sha256": artifact.sha256,
            "record": package.proof in RECORD_PROOFS,
            "patches": patches,
        },
    )


def remember_manifest(store: Store, key: Digest, manifest: Manifest) -> None:
    """Keep a manifest in the store.

    Raises:
        StoreError: The store can't be written.
    """
    rows = [[path, file.executable, file.sha256, file.size, file.target] for path, file in manifest.items()]
    store.actions.put(key, {"files": rows})


def recall_manifest(store: Store, key: Digest) -> Manifest | None:
    """Recall a manifest, or None."""
    value = store.recall(key)
    try:
        match value:
            case {"files": list(rows)}:
                return dict(map(_decode, rows))
            case _:
                return None
    except (TypeError, ValueError):
        return None


def _decode(row: object) -> tuple[str, FileState]:
    match row:
        case [str(path), bool(executable), str(sha256), int(size), str(target)]:
            return path, FileState(executable, sha256, size, target)
        case _:
            raise ValueError(row)


def _state(entry: Entry) -> FileState:
    if entry.kind is EntryKind.SYMLINK:
        return FileState(executable=False, sha256="", size=0, target=entry.target)
    sha256 = entry.sha256
    if not sha256:
        hasher = hashlib.sha256()
        for chunk in entry.content.chunks():
            hasher.update(chunk)
        sha256 = hasher.hexdigest()
    return FileState(executable=entry.mode == EXECUTABLE_MODE, sha256=sha256, size=entry.content.size)
