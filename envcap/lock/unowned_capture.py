"""Captures the files that nobody owns, by the rule of `envcap.scan.unowned`, up to a limit; names what it leaves out.

Effects: reads live scripts and path files, whose bytes the image has in words of its own.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from envcap.build.live import is_path_file, path_file_lines, unowned_entry
from envcap.digest import Digest
from envcap.entry import Content
from envcap.environment import Environment, InstalledFile
from envcap.errors import UsageError
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.lock.patches import KeptContent
from envcap.lockfile.model import CapturedFile
from envcap.scan.unowned import CAPTURED, NEVER, NEVER_BY_FOLDER, Kind, is_kept, kind_of, project_folders

_NAMED = 3
_LARGEST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UnownedGroup:
    """Files of one kind.

    Attributes:
        what: The kind, in words.
        captured: Whether they are in the lock.
        count: How many.
        size: Bytes of all.
    """

    what: str
    captured: bool
    count: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedUnowned:
    """The `[[captured]]` rows of a lock, and what must be kept beside it.

    Attributes:
        files: Sorted by path.
        kept: Bytes for `blobs/`, by sha256.
        groups: What was captured and what left out, by kind.
        too_large: Paths of what belongs to the environment and goes beyond the limit, sorted.
        findings: What the user should know.
    """

    files: tuple[CapturedFile, ...]
    kept: tuple[KeptContent, ...]
    groups: tuple[UnownedGroup, ...]
    too_large: tuple[str, ...]
    findings: tuple[Finding, ...]


def lock_unowned(environment: Environment, *, limit: int, keep: Sequence[str] = ()) -> LockedUnowned:
    """Capture the files that nobody owns and that belong to the environment, smallest first, up to a limit.

    Args:
        environment: The scan.
        limit: Bytes that are captured at most, in all.
        keep: Files and folders, relative to the prefix, that are captured whatever their kind.

    Raises:
        UsageError: `keep` names something that is not there.
        BuildError: A file can't be read.
    """
    _check_keep(environment, keep)
    tell = partial(
        kind_of,
        prefix=str(environment.prefix),
        site_packages=environment.site_packages,
        projects=project_folders(file.path for file in environment.unowned),
        imported=_imported(environment),
    )
    wanted: dict[Kind, list[InstalledFile]] = {}
    refused: dict[Kind, list[InstalledFile]] = {}
    chosen: list[tuple[InstalledFile, Kind]] = []
    # The code of an editable install is its package's, wherever it lies.
    sources = {file.source for row in environment.distributions for file in row.files if file.source}
    for file in environment.unowned:
        kind = tell(file)
        if kind is Kind.PROJECT and str(environment.prefix / file.path) in sources:
            continue
        if kind in CAPTURED or is_kept(file.path, kind, keep):
            chosen.append((file, kind))
        else:
            refused.setdefault(kind, []).append(file)
    files: list[CapturedFile] = []
    kept: list[KeptContent] = []
    large: list[InstalledFile] = []
    total = 0
    for file, kind in sorted(chosen, key=lambda pair: (pair[0].size, pair[0].path)):
        total += file.size
        if total > limit and not file.target:
            large.append(file)
            continue
        row, content = _captured(environment, file)
        files.append(row)
        wanted.setdefault(kind, []).append(file)
        if not row.target:
            kept.append((row.sha256, content))
    return LockedUnowned(
        files=tuple(sorted(files, key=lambda file: file.path)),
        kept=tuple(kept),
        groups=tuple(_groups(wanted, refused, large)),
        too_large=tuple(sorted(file.path for file in large)),
        findings=(*_kept_findings(wanted), *_refused_findings(refused), *_large_findings(large)),
    )


def _captured(environment: Environment, file: InstalledFile) -> tuple[CapturedFile, Content]:
    entry = unowned_entry(file, prefix=environment.prefix)
    if entry.target:
        return CapturedFile(path=file.path, target=entry.target), entry.content
    sha256 = entry.sha256 or Digest.of_chunks(entry.content.chunks()).hex
    executable = bool(file.mode & 0o111)
    return CapturedFile(path=file.path, sha256=sha256, size=entry.content.size, executable=executable), entry.content


def _imported(environment: Environment) -> frozenset[str]:
    """Find the folders below the prefix that path files add to the module path, relative to it."""
    owned = (file for row in environment.distributions for file in row.files)
    path_files = [file for file in (*owned, *environment.unowned) if is_path_file(file)]
    found: set[str] = set()
    for file in path_files:
        site = environment.prefix / file.path.rpartition("/")[0]
        for line in path_file_lines(file, prefix=environment.prefix):
            folder = Path(os.path.normpath(site / line))
            if folder.is_relative_to(environment.prefix):
                relative = folder.relative_to(environment.prefix).as_posix()
                found.add("" if relative == "." else relative)
    return frozenset(found)


def _check_keep(environment: Environment, keep: Sequence[str]) -> None:
    for one in keep:
        if not any(file.path == one or file.path.startswith(f"{one}/") for file in environment.unowned):
            raise UsageError(
                f"`--keep {one}` names nothing that could be kept (expected a file or folder under the prefix that "
                "belongs to no package)",
                hint="give its path relative to the environment's folder",
            )


def _groups(
    wanted: dict[Kind, list[InstalledFile]], refused: dict[Kind, list[InstalledFile]], large: list[InstalledFile]
) -> Iterator[UnownedGroup]:
    for captured, kinds in ((True, wanted), (False, refused)):
        for kind in Kind:
            if kind in kinds:
                yield _group(kind.value, kinds[kind], captured=captured)
    if large:
        yield _group("too large", large, captured=False)


def _group(what: str, files: Sequence[InstalledFile], *, captured: bool) -> UnownedGroup:
    return UnownedGroup(what=what, captured=captured, count=len(files), size=sum(file.size for file in files))


def _kept_findings(wanted: dict[Kind, list[InstalledFile]]) -> Iterator[Finding]:
    for kind, files in sorted(wanted.items(), key=lambda pair: pair[0].value):
        message = f"Of no package and captured: {_described(kind, files)}"
        yield Finding(code="unowned-kept", message=message, path=files[0].path, level=FindingLevel.NOTE)


def _refused_findings(refused: dict[Kind, list[InstalledFile]]) -> Iterator[Finding]:
    for kind, files in sorted(refused.items(), key=lambda pair: pair[0].value):
        if kind is Kind.LINK:  # the scan said so of each
            continue
        message = f"Of no package and left out: {_described(kind, files)}"
        if kind not in NEVER_BY_FOLDER | NEVER:
            message += f" (`--keep {_top(files)}` captures them)"
        yield Finding(code="unowned-left-out", message=message, path=files[0].path)


def _large_findings(large: Sequence[InstalledFile]) -> Iterator[Finding]:
    ranked = sorted(large, key=lambda file: (-file.size, file.path))
    for file in ranked[:_LARGEST_NAMED]:
        message = f"{file.path} ({_size(file.size)}) is nobody's and left out (raise `--max-unowned` to keep it)"
        yield Finding(code="unowned-left-out", message=message, path=file.path)
    rest = ranked[_LARGEST_NAMED:]
    if rest:
        size = _size(sum(file.size for file in rest))
        message = f"{len(rest)} more files of nobody's ({size}) are left out (raise `--max-unowned` to keep them)"
        yield Finding(code="unowned-left-out", message=message)


def _described(kind: Kind, files: Sequence[InstalledFile]) -> str:
    """Write `4 files of notebooks, 1.2 MB: a.ipynb, b.ipynb, c.ipynb and 1 more`."""
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    names = few([file.path for file in files], _NAMED)
    return f"{count} {kind.value}, {_size(sum(file.size for file in files))}: {names}"


def _top(files: Sequence[InstalledFile]) -> str:
    """Name what `--keep` should be given, if it is one file or folder."""
    tops = {file.path.partition("/")[0] for file in files}
    return min(tops) if len(tops) == 1 else "PATH"


def _size(size: int) -> str:
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} bytes"
