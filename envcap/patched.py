"""The patches of a lock, for people: what was edited, added and deleted, with a short diff of texts.

The lock keeps the new bytes alone. The old ones are the artifact's: they are read from it where it is (in the store,
beside the lock, or on an index, from which only those members are fetched; a conda package can only be read whole), and
if nobody has it, that is said. So a lock holds no copy of what is public, and its bytes do not depend on whether a diff
could be made. Of conda's files both sides name the image's prefix.
"""

import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.archives.zip import ZipArchive, open_zip
from envcap.build.conda import conda_entries
from envcap.build.package import package_entries
from envcap.digest import Digest
from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.errors import BuildError, EnvcapError
from envcap.files import FileContent
from envcap.lockfile.model import CondaPackage, Lockfile, Package, Patch
from envcap.pinned import PinnedArtifacts
from envcap.plan import root_of
from envcap.recipe import CONDA_ROOT, ENVIRONMENT_ROOT
from envcap.secrets.scanner import find_secret
from envcap.sources.http import Session
from envcap.textdiff import LARGEST_TEXT, TextDiff, compare_texts
from envcap.wheel.layout import layout_of
from envcap.world import World

_AT_ONCE = 8
_PATIENCE = 3.0
"""Seconds that a diff may keep a snapshot waiting for one answer; the lock is written by then."""

_PAUSE = 0.25
_EXECUTABLE, _PLAIN = "0755", "0644"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """One patch, for people.

    Attributes:
        package: Name of its package.
        version: Its version.
        patch: What the lock says.
        diff: How the contents differ; None if that was not asked, or goes without saying (`deleted`).
    """

    package: str
    version: str
    patch: Patch
    diff: TextDiff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLimits:
    """How much is looked at.

    Attributes:
        files: Files whose contents are compared, edited ones first.
        lines: Lines of each diff.
        conda: Bytes of a conda package that is read for a diff, at most: it is unpacked whole.
    """

    files: int
    lines: int
    conda: int = 16 << 20


def list_patches(lockfile: Lockfile) -> tuple[PatchedFile, ...]:
    """List the patches of a lock in its own order, pip's packages first."""
    own = [(package.name, package.version, package.patches) for package in lockfile.packages]
    own += [(f"{package.name} (conda)", package.version, package.patches) for package in lockfile.conda]
    return tuple(
        PatchedFile(package=name, version=version, patch=patch) for name, version, patches in own for patch in patches
    )


def compare_patches(lockfile: Lockfile, *, blobs: Path, world: World, limits: DiffLimits) -> tuple[PatchedFile, ...]:
    """List the patches of a lock with their diffs, as far as the limits go.

    Args:
        lockfile: The lock.
        blobs: The folder of bytes kept beside it.
        world: Has the artifacts, or may ask for them; offline, only what lies on this machine is read.
        limits: How much is looked at.
    """
    comparison = _Comparison(lockfile, blobs, world, limits)
    rows = list_patches(lockfile)
    ranked = sorted(range(len(rows)), key=lambda number: (_RANKS[rows[number].patch.change], number))
    wanted = {number for number in ranked[: limits.files] if rows[number].patch.change != "deleted"}
    jobs: list[tuple[Package | CondaPackage, list[int]]] = []
    start = 0
    packages: tuple[Package | CondaPackage, ...] = (*lockfile.packages, *lockfile.conda)
    for package in packages:
        chosen = [number for number in range(start, start + len(package.patches)) if number in wanted]
        start += len(package.patches)
        if chosen:
            jobs.append((package, chosen))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda job: comparison.diffs(job[0], [rows[number].patch for number in job[1]]), jobs))
    diffs = {
        number: diff
        for (_, chosen), row in zip(jobs, found, strict=True)
        for number, diff in zip(chosen, row, strict=True)
    }
    return tuple(replace(row, diff=diffs.get(number)) for number, row in enumerate(rows))


@contextmanager
def impatient(world: World) -> Iterator[World]:
    """Give the same world with connections that give up soon, for what is nice to have."""
    settings = replace(world.session.settings, timeout=min(world.session.settings.timeout, _PATIENCE))
    offline = world.session.offline
    with Session(settings, offline=offline, sleep=lambda seconds: time.sleep(min(seconds, _PAUSE))) as session:
        yield replace(world, session=session)


def group_patches(rows: Iterable[PatchedFile]) -> list[tuple[str, list[PatchedFile]]]:
    """Group patches by package, as `beta 2.1`."""
    return [(title, list(group)) for title, group in groupby(rows, key=lambda row: f"{row.package} {row.version}")]


def patch_labels(lockfile: Lockfile) -> dict[str, str]:
    """Say of each patched path of the image, relative to its root, what the lock did to it."""
    root = root_of(lockfile)
    return {
        f"{root}/{row.patch.path}": f"{row.patch.change} by a patch of {row.package}" for row in list_patches(lockfile)
    }


_RANKS = {"edited": 0, "added": 1, "deleted": 2}


class _Comparison:
    """Reads both sides of patches."""

    def __init__(self, lockfile: Lockfile, blobs: Path, world: World, limits: DiffLimits) -> None:
        self._pinned = PinnedArtifacts(world, sources=lockfile.sources, blobs=blobs)
        self._layout = layout_of(lockfile.interpreter.version, lockfile.interpreter.soabi)
        self._blobs = blobs
        self._offline = world.machine.offline
        self._limits = limits
        self._scratch = world.store.root / "tmp"

    def diffs(self, package: Package | CondaPackage, patches: Sequence[Patch]) -> list[TextDiff]:
        """Compare some patches of one package."""
        if isinstance(package, CondaPackage):
            return self._conda_diffs(package, patches)
        edited = {patch for patch in patches if patch.change == "edited" and not patch.target}
        if not edited:
            return [self._added(patch) for patch in patches]
        artifact = package.artifacts[0]
        try:
            with self._pinned.reading(artifact) as reader:
                archive = open_zip(reader, name=artifact.file)
                entries = self._originals(archive, package, artifact.file)
                root = ENVIRONMENT_ROOT
                return [
                    self._edited(patch, entries.get(f"{root}/{patch.path}")) if patch in edited else self._added(patch)
                    for patch in patches
                ]
        except EnvcapError as error:
            note = self._missing(artifact.file, error)
            return [TextDiff(note=note) if patch in edited else self._added(patch) for patch in patches]

    def _conda_diffs(self, package: CondaPackage, patches: Sequence[Patch]) -> list[TextDiff]:
        """Compare some patches of a conda package, which has edited files and links alone."""
        note = f"the diff needs {package.file}, of {package.size} bytes (`envcap show --patches` reads it)"
        try:
            if package.size <= self._limits.conda:
                entries = self._conda_originals(package, {f"{CONDA_ROOT}/{patch.path}" for patch in patches})
                return [self._edited(patch, entries.get(f"{CONDA_ROOT}/{patch.path}")) for patch in patches]
        except EnvcapError as error:
            note = self._missing(package.file, error)
        return [self._added(patch) if patch.target else TextDiff(note=note) for patch in patches]

    def _conda_originals(self, package: CondaPackage, wanted: Container[str]) -> dict[str, Entry]:
        """Give some of the files that a conda package alone brings to the image, large ones without their content."""
        bare = replace(package, patches=())
        with FileReader(self._pinned.conda(package)) as reader, tempfile.TemporaryFile(dir=self._scratch) as spool:
            archive = open_conda(reader, name=package.file, spool=spool)
            site = self._layout.site_packages
            entries = conda_entries(archive, bare, site_packages=site, blobs=self._pinned, spool=spool)
            return {entry.path: _in_memory(entry) for entry in entries if entry.path in wanted}

    def _originals(self, archive: ZipArchive, package: Package, file: str) -> dict[str, Entry]:
        """Give what the artifact alone brings, by path; its RECORD, of which nobody asks, is not read."""
        bare = replace(package, patches=(), proof="captured")
        entries = package_entries(archive, bare, file=file, layout=self._layout, blobs=self._pinned)
        return {entry.path: entry for entry in entries}

    def _missing(self, file: str, error: EnvcapError) -> str:
        if self._offline:
            return f"the diff needs {file}, which is not on this machine (`envcap show --patches` asks for it)"
        return f"the diff needs {file}. {error.message}"

    def _added(self, patch: Patch) -> TextDiff:
        if patch.target:
            return TextDiff(note=f"a link to {patch.target}")
        try:
            return self._compare(patch, b"", self._new(patch))
        except EnvcapError as error:
            return TextDiff(note=error.message)

    def _edited(self, patch: Patch, entry: Entry | None) -> TextDiff:
        if entry is None:
            return TextDiff(note="the artifact does not hold it")
        if patch.target or entry.kind is EntryKind.SYMLINK:
            ends = [f"a link to {target}" if target else "a file" for target in (entry.target, patch.target)]
            return TextDiff(note=f"{ends[0]} before, {ends[1]} after")
        if max(entry.content.size, patch.size) > LARGEST_TEXT:
            return TextDiff(note=f"too large for a diff: {entry.content.size} bytes before, {patch.size} after")
        try:
            old, new = _bytes(entry.content), self._new(patch)
        except EnvcapError as error:
            return TextDiff(note=error.message)
        if old != new:
            return self._compare(patch, old, new)
        before, after = (_EXECUTABLE if flag else _PLAIN for flag in (entry.mode & 0o111, patch.executable))
        return TextDiff(note=f"mode {before} before, {after} after; the same content")

    def _compare(self, patch: Patch, old: bytes, new: bytes) -> TextDiff:
        # A credential that was allowed into the lock is not for a terminal or a log.
        if find_secret(patch.path, [old]) or find_secret(patch.path, [new]):
            return TextDiff(note="not shown: it looks like a credential")
        return compare_texts(old, new, limit=self._limits.lines)

    def _new(self, patch: Patch) -> bytes:
        if patch.size > LARGEST_TEXT:
            raise BuildError(f"too large to be shown: {patch.size} bytes")
        path = self._blobs / patch.sha256
        place = path if path.is_file() else self._pinned.blob(patch.sha256)  # it may lie in a bundle
        data = _bytes(FileContent(path=place, size=patch.size))
        if Digest.of(data).hex != patch.sha256:
            raise BuildError(f"the blob {patch.sha256[:12]} beside the lock is damaged")
        return data


def _in_memory(entry: Entry) -> Entry:
    """Read a file as long as its archive is open."""
    if entry.kind is not EntryKind.FILE or entry.content.size > LARGEST_TEXT:
        return entry
    return replace(entry, content=LiteralContent(_bytes(entry.content)))


def _bytes(content: Content) -> bytes:
    """Read a content whole, as far as it may be shown."""
    data = bytearray()
    for chunk in content.chunks():
        data += chunk
        if len(data) > LARGEST_TEXT:
            break
    return bytes(data)
