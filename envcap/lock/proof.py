"""Whether an installed distribution is what a wheel holds: file by file, by hash. Pure.

Installers do not record which file they took, so a wheel's own list is mapped to the prefix and compared with the live
files. An artifact is accepted as the origin if the live METADATA and WHEEL are its own, and at least half of its files
are unchanged; what differs then is a patch: edited, added or deleted files. Files that another distribution wrote over
(`nvidia-nccl-cu12` those of `nvidia-nccl-cu13`) speak neither for an artifact nor against it. Among accepted artifacts
the one with the fewest differences is the origin.
Source: PyPA wheel format (`.data` schemes, RECORD), PEP 376, 610, 627; notes/capture.md §3 (shipped-wrong RECORDs).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from envcap.environment import Distribution, EntryPoint, InstalledFile
from envcap.errors import ArchiveError
from envcap.finding import Finding, FindingLevel
from envcap.lockfile.model import Patch
from envcap.wheel.layout import Layout, install_path, is_bytecode, is_installer_file
from envcap.wheel.scripts import install_script, is_generated_script, map_live_script, versioned_twin

LARGEST_SCRIPT: Final = 1 << 20
"""Bytes of a script that is read to look at its first line; larger ones are binaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMember:
    """A file of a wheel.

    Attributes:
        name: Its path in the archive.
        size: Bytes, as the central directory says.
        crc: CRC-32, as the central directory says.
        executable: Whether its stored mode has an x bit.
        sha256: What RECORD says, or empty.
    """

    name: str
    size: int
    crc: int
    executable: bool = False
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """What a wheel says about itself: its central directory and its RECORD.

    Attributes:
        file: File name, for messages.
        dist_info: Its metadata folder.
        members: Its files, without directories.
    """

    file: str
    dist_info: str
    members: tuple[WheelMember, ...]


class LiveFiles(Protocol):
    """The live files of an environment, by path relative to its prefix."""

    def read(self, path: str) -> bytes:
        """Read a small file whole."""

    def crc(self, path: str) -> int:
        """Compute the CRC-32 of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the distribution lies.

    Attributes:
        layout: The scheme of the environment.
        site_packages: The folder that holds its dist-info, relative to the prefix; it may be the system's own.
        prefixes: Spellings of the prefix in live scripts.
    """

    layout: Layout
    site_packages: str
    prefixes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How an installed distribution compares with a wheel. All paths are relative to the prefix, and sorted.

    Attributes:
        unchanged: Number of files with equal bytes.
        edited: Files of the wheel with other bytes.
        added: Files that the distribution owns and the wheel does not hold.
        deleted: Files of the wheel, or scripts of its entry points, that are gone.
        mode_changed: Files with equal bytes that are executable on one side only.
        scripts_rewritten: Scripts that differ in nothing but the interpreter that the installer wrote.
        overwritten: Number of the edited files that another distribution owns too, and may have written.
        same_metadata: Whether METADATA and WHEEL are the wheel's own.
        findings: Rows of the wheel's RECORD that are wrong about its own members.
    """

    unchanged: int = 0
    edited: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    mode_changed: tuple[str, ...] = ()
    scripts_rewritten: tuple[str, ...] = ()
    overwritten: int = 0
    same_metadata: bool = True
    findings: tuple[Finding, ...] = ()

    @property
    def differences(self) -> int:
        """Number of files that the artifact does not explain."""
        return len(self.edited) + len(self.added) + len(self.deleted) + len(self.mode_changed)

    @property
    def is_accepted(self) -> bool:
        """Tell whether the wheel is the distribution's origin, by the rule in this module's docstring."""
        equal = self.unchanged + len(self.scripts_rewritten) + len(self.mode_changed)
        total = equal + len(self.edited) - self.overwritten + len(self.deleted)
        return self.same_metadata and total > 0 and 2 * equal >= total


def artifact_tree(contents: WheelContents, place: Place) -> dict[str, WheelMember]:
    """Map a wheel's members to where an installer puts them, without what installers write and bytecode.

    Raises:
        ArchiveError: A member has an unknown scheme, or two go to one place.
    """
    tree: dict[str, WheelMember] = {}
    for member in contents.members:
        path = _installed(contents, member.name, place)
        if is_installer_file(path) or is_bytecode(path):
            continue
        if path in tree:
            raise ArchiveError(f"{contents.file}: {tree[path].name!r} and {member.name!r} go to one place")
        tree[path] = member
    return tree


def match_artifact(
    distribution: Distribution,
    contents: WheelContents,
    place: Place,
    *,
    live: LiveFiles,
    read_member: Callable[[str], bytes],
    shared: frozenset[str] = frozenset(),
) -> Match:
    """Compare an installed distribution with a wheel.

    Args:
        distribution: What is installed.
        contents: What the wheel holds.
        place: Where the distribution lies.
        live: Reads live files, where a hash alone doesn't tell.
        read_member: Reads a small member of the wheel by name.
        shared: The paths that other distributions own too.

    Raises:
        ArchiveError: The wheel can't be read, or maps to no tree.
    """
    return _Comparison(distribution, contents, place, live, read_member).result(shared)


def patches_of(match: Match, files: Mapping[str, InstalledFile]) -> tuple[Patch, ...]:
    """Write a match's differences as the lock's patches, sorted by path.

    Args:
        match: From `match_artifact`.
        files: The distribution's live files by path.
    """
    changes = {
        **dict.fromkeys(match.deleted, "deleted"),
        **dict.fromkeys(match.added, "added"),
        **dict.fromkeys((*match.edited, *match.mode_changed), "edited"),
    }
    return tuple(_patch(path, change, files.get(path)) for path, change in sorted(changes.items()))


def _patch(path: str, change: str, file: InstalledFile | None) -> Patch:
    if file is None:
        return Patch(path=path, change=change)
    return Patch(
        path=path,
        change=change,
        sha256=file.sha256,
        size=file.size,
        executable=bool(file.mode & 0o111) and not file.target,
        target=file.target,
    )


def _installed(contents: WheelContents, name: str, place: Place) -> str:
    """Give a member's live path. A system's own site folder replaces that of a virtual environment."""
    found = install_path(name, layout=place.layout, dist_info=contents.dist_info, archive=contents.file)
    usual = f"{place.layout.site_packages}/"
    if place.site_packages != place.layout.site_packages and found.path.startswith(usual):
        return f"{place.site_packages}/{found.path.removeprefix(usual)}"
    return found.path


class _Comparison:
    """The state of one comparison: each live file and each member is put into one class."""

    def __init__(
        self,
        distribution: Distribution,
        contents: WheelContents,
        place: Place,
        live: LiveFiles,
        read_member: Callable[[str], bytes],
    ) -> None:
        self._distribution = distribution
        self._contents = contents
        self._place = place
        self._live = live
        self._read_member = read_member
        self._tree = artifact_tree(contents, place)
        self._scripts = f"{contents.dist_info.removesuffix('.dist-info')}.data/scripts/"
        self._files = {file.path: file for file in distribution.files}
        self._found: dict[str, list[str]] = {
            name: [] for name in ("unchanged", "edited", "added", "deleted", "mode_changed", "scripts_rewritten")
        }
        self._findings: list[Finding] = []

    def result(self, shared: frozenset[str]) -> Match:
        """Compare everything."""
        for path, member in self._tree.items():
            self._found[self._classify(path, member)].append(path)
        for path, change in self._unexplained():
            self._found[change].append(path)
        changed = {*self._found["edited"], *self._found["deleted"]}
        identity = [f"{self._place.site_packages}/{self._contents.dist_info}/{name}" for name in ("METADATA", "WHEEL")]
        groups = {name: tuple(sorted(paths)) for name, paths in self._found.items()}
        return Match(
            unchanged=len(groups["unchanged"]),
            edited=groups["edited"],
            added=groups["added"],
            deleted=groups["deleted"],
            mode_changed=groups["mode_changed"],
            scripts_rewritten=groups["scripts_rewritten"],
            overwritten=len(shared.intersection(groups["edited"])),
            same_metadata=all(path in self._tree and path not in changed for path in identity),
            findings=tuple(sorted(self._findings, key=lambda finding: finding.path)),
        )

    def _classify(self, path: str, member: WheelMember) -> str:
        file = self._files.get(path)
        if file is None:
            # The scan leaves sourceless modules out together with other bytecode.
            return "unchanged" if path.endswith(".pyc") and path not in self._distribution.missing else "deleted"
        script = member.name.startswith(self._scripts)
        if not self._is_equal(file, member):
            return "scripts_rewritten" if script and self._is_rewritten(file, member) else "edited"
        # What lies in `bin/` is executable in an image, whatever the zip and the installer made of it.
        if path.startswith("bin/"):
            return "unchanged"
        return "unchanged" if bool(file.mode & 0o111) == (member.executable or script) else "mode_changed"

    def _is_equal(self, file: InstalledFile, member: WheelMember) -> bool:
        """Compare by the RECORD's hash; where that is missing or wrong, by the member's own CRC and then its bytes."""
        if not file.sha256 or file.size != member.size:
            return False
        if file.sha256 == member.sha256:
            return True
        if self._live.crc(file.path) != member.crc:
            return False
        if member.size <= LARGEST_SCRIPT and self._read_member(member.name) != self._live.read(file.path):
            return False
        self._findings.append(
            Finding(
                code="record-wrong",
                message=f"RECORD of {self._contents.file} is wrong about {member.name!r}; the file itself is unchanged",
                path=file.path,
                level=FindingLevel.NOTE,
            )
        )
        return True

    def _is_rewritten(self, file: InstalledFile, member: WheelMember) -> bool:
        """Tell whether a script differs in its first line only, as installers write it."""
        if not file.sha256 or max(file.size, member.size) > LARGEST_SCRIPT:
            return False
        live = self._live.read(file.path)
        if not live.startswith(b"#!"):
            return False
        mapped = map_live_script(live, prefixes=self._place.prefixes)
        return mapped == install_script(self._read_member(member.name))

    def _unexplained(self) -> Iterator[tuple[str, str]]:
        """Yield the live files that are not the wheel's, and the generated scripts that are gone."""
        points = {f"bin/{point.name}": point for point in self._distribution.entry_points}
        for path, file in self._files.items():
            if path in self._tree or is_installer_file(path) or is_bytecode(path):
                continue
            twin = versioned_twin(path, self._distribution.entry_points)
            if twin is not None and self._is_generated(file, twin):
                continue
            if path not in points:
                yield path, "added"
            elif not self._is_generated(file, points[path]):
                yield path, "edited"
        for path in self._distribution.missing:
            if path in points and path not in self._tree:
                yield path, "deleted"

    def _is_generated(self, file: InstalledFile, point: EntryPoint) -> bool:
        if not file.sha256 or file.size > LARGEST_SCRIPT:
            return False
        return is_generated_script(self._live.read(file.path), point)
