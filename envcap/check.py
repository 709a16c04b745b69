"""`check`: a live environment against its lock, by content; reads files, the store and, where need be, an index."""

from collections.abc import Callable
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from envcap.blobs import LockFolder
from envcap.conda_prefix.complete import complete_conda
from envcap.conda_prefix.drift import compare_conda
from envcap.conda_prefix.links import know_links, recall_links
from envcap.conda_prefix.modes import know_modes
from envcap.drift import (
    Change,
    Kind,
    LiveFacts,
    compare_facts,
    compare_interpreters,
    compare_package,
    compare_unowned,
    compare_versions,
    name_unreadable,
    sort_changes,
)
from envcap.environment import Environment
from envcap.errors import EnvcapError
from envcap.live.interpreter import lock_interpreter
from envcap.live.scan import LivePlace, scan_live
from envcap.live.system import pins_of
from envcap.lock.debian import Pins
from envcap.lock.patches import shared_paths
from envcap.lock.pypi import platform_of
from envcap.lock.unowned_capture import lock_unowned
from envcap.lock.unreadable import unreadable_paths
from envcap.lockfile.model import Lockfile
from envcap.manifest import (
    LockedManifests,
    Unknown,
    captured_manifest,
    live_manifest,
    match_packages,
    unowned_manifest,
)
from envcap.scan.stat_index import IndexedHashes, load_index, save_index
from envcap.wheel.layout import layout_of
from envcap.world import Reporter, World


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What to compare.

    Attributes:
        place: The environment.
        full: Read every file, whatever the stat index says.
        max_unowned: Bytes of unowned files that a snapshot would capture at most.
    """

    place: LivePlace
    full: bool = False
    max_unowned: int = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a check found.

    Attributes:
        changes: What is not as the lock says: interpreter, environment, packages by name, unowned files.
        unknown: Packages whose pinned content could not be had, by name.
        compared: Files whose content was compared with the lock.
        hashed: Files that were read; of the others the stat index knew the hash.
        left_out: Unowned files that no lock would hold: they go beyond the limit.
    """

    changes: tuple[Change, ...]
    unknown: tuple[Unknown, ...]
    compared: int
    hashed: int
    left_out: tuple[str, ...]


def check_environment(folder: LockFolder, request: CheckRequest, world: World, talk: Reporter, *, now_ns: int) -> Drift:
    """Compare a live environment with its lock.

    Args:
        folder: The lock.
        request: What to compare.
        world: This machine.
        talk: Shows progress.
        now_ns: The time, nanoseconds since the epoch.

    Raises:
        EnvcapError: The environment can't be read, or the store can't be used.
    """
    with talk.step("Scanning") as step:
        environment, hashed = _scan(request, pins_of(folder.lockfile), world, now_ns, step)
    lockfile = folder.lockfile
    live = _live_facts(environment)
    changes = [*compare_facts(lockfile, live), *compare_versions(lockfile, live)]
    with talk.step("Comparing") as step:
        step("interpreter", 0, 0)
        if lockfile.interpreter.origin == "captured" and not any(row.kind is Kind.INTERPRETER for row in changes):
            found, _ = lock_interpreter(environment, platform_of(environment), world)
            changes += compare_interpreters(lockfile.interpreter, found)
        step("files", 0, 0)
        compared, more, unknown = _compare_packages(folder, environment, world)
        conda, conda_changes, conda_unknown = _compare_conda(folder, environment, world, step)
        nobody_s, unowned, left_out = _compare_unowned(lockfile, environment, request.max_unowned)
    unreadable = unreadable_paths(environment)
    return Drift(
        changes=sort_changes(name_unreadable([*changes, *more, *conda_changes, *unowned], unreadable)),
        unknown=(*unknown, *conda_unknown),
        compared=compared + conda + nobody_s,
        hashed=hashed,
        left_out=left_out,
    )


def _scan(
    request: CheckRequest, pins: Pins, world: World, now_ns: int, step: Callable[[str, int, int], None]
) -> tuple[Environment, int]:
    """Scan, reading only what the stat index of an earlier check does not know; remember the index."""
    prefix, records = str(request.place.prefix.resolve()), world.store.actions
    known = {} if request.full else load_index(records, prefix)
    hashes = IndexedHashes(known=known, started_ns=now_ns)
    environment = scan_live(request.place, world, step, hashes=hashes, binaries=False, pins=pins)
    if hashes.fresh != known:
        save_index(records, prefix, hashes.fresh)
    return environment, hashes.hashed


def _live_facts(environment: Environment) -> LiveFacts:
    versions: dict[str, set[str]] = {}
    for row in environment.distributions:
        versions.setdefault(canonicalize_name(row.name), set()).add(row.version)
    return LiveFacts(
        kind=environment.kind,
        system_site_packages=environment.system_site_packages,
        interpreter=environment.interpreter,
        versions=versions,
    )


def _compare_packages(
    folder: LockFolder, environment: Environment, world: World
) -> tuple[int, list[Change], tuple[Unknown, ...]]:
    """Compare the files of each package that is there in the locked version; tells how many files that were."""
    lockfile = folder.lockfile
    pairs = list(match_packages(lockfile, environment))
    manifests = LockedManifests(
        world,
        sources=lockfile.sources,
        blobs=folder.blobs,
        layout=layout_of(lockfile.interpreter.version, lockfile.interpreter.soabi),
        platform=platform_of(environment),
    ).of_all(pairs)
    shared = shared_paths(environment.distributions)
    compared, changes, unknown = 0, list[Change](), list[Unknown]()
    for (package, live), manifest in zip(pairs, manifests, strict=True):
        match manifest:
            case Unknown():
                unknown.append(manifest)
            case _:
                found = live_manifest(live, package, environment, shared=shared, expected=manifest)
                compared += len(found)
                changes += compare_package(package, manifest, found)
    return compared, changes, tuple(unknown)


def _compare_conda(
    folder: LockFolder, environment: Environment, world: World, step: Callable[[str, int, int], None]
) -> tuple[int, list[Change], tuple[Unknown, ...]]:
    """Compare conda's packages; all are unknown if a record says too little and its archive can't be had."""
    lockfile = folder.lockfile
    if environment.kind != "conda" and not lockfile.conda:
        return 0, [], ()
    try:
        links = recall_links(lockfile, world.store)
        whole = complete_conda(environment, world, step, locked=lockfile.conda, blobs=folder.blobs)
        complete = know_modes(know_links(whole, world, remembered=links), world)
    except EnvcapError as error:
        rows = (Unknown(name=row.name, version=row.version, reason=error.message) for row in lockfile.conda)
        return 0, [], tuple(rows)
    compared, changes, unproved = compare_conda(lockfile.conda, complete)
    reason = "where a link leads in its archive is unknown, for nobody has it"
    return compared, changes, tuple(Unknown(name=row.name, version=row.version, reason=reason) for row in unproved)


def _compare_unowned(
    lockfile: Lockfile, environment: Environment, limit: int
) -> tuple[int, list[Change], tuple[str, ...]]:
    """Compare the files of nobody; what is new and beyond a snapshot's limit is only named."""
    expected = captured_manifest(lockfile.captured)
    live = lock_unowned(environment, limit=limit)
    found = unowned_manifest(environment, expected.keys() | {file.path for file in live.files})
    left_out = tuple(path for path in live.too_large if path not in expected)
    return len(found), list(compare_unowned(expected, found)), left_out
