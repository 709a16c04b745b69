"""What the strict readers of a rebuild would refuse, seen before the lock is written.

A captured distribution becomes an archive of ours, and our own reader takes no archive on trust: it refuses names that
meet on a file system without case, drive letters, members that a wheel would install elsewhere. A live environment may
hold such files all the same, or more of them than a zip can. They are kept one by one beside the archive, as files that
the lock adds to it; and a distribution whose entry points the rules for wheels refuse is captured as the tree of files
that it is.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from envcap.archives.names import check_member_name
from envcap.environment import Distribution, InstalledFile
from envcap.errors import ArchiveError
from envcap.files import FileContent
from envcap.lock.capture import is_wheel
from envcap.lock.pypi_result import ProofResult, Unproven
from envcap.wheel.layout import Layout
from envcap.wheel.scripts import parse_entry_points

_MAX_ENTRY_POINTS = 16 << 20
_MOST_FILES = 65_000
_MOST_BYTES = 4_000_000_000
"""Where a zip without its 64-bit extension ends, with some room: APPNOTE 4.4.1.4."""
_OVERHEAD = 512
"""Bytes that a member costs beside its content and its two names, at most."""


def loose_paths(distribution: Distribution, files: Iterable[InstalledFile], *, layout: Layout) -> frozenset[str]:
    """Name the files of a captured distribution that its archive can't hold.

    Args:
        distribution: What the scan found.
        files: Those of its files that would go into the archive.
        layout: The environment's scheme.
    """
    wheel = distribution if is_wheel(distribution) else None
    loose: set[str] = set()
    known: dict[str, InstalledFile] = {}
    if wheel is not None:  # the archive gets a RECORD of its own, which nothing equals
        record = f"{wheel.directory}/RECORD"
        known[_fold(record)] = InstalledFile(path=record, mode=0, size=0, sha256="")
    room, count = _MOST_BYTES, 0
    for file in sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape")):
        cost = file.size + _OVERHEAD + 2 * len(file.path.encode())
        fits = cost <= room and count < _MOST_FILES and not _is_refused(file.path, wheel, layout)
        if fits and _is_same(known.setdefault(_fold(file.path), file), file):
            room, count = room - cost, count + 1
        else:
            loose.add(file.path)
    return frozenset(loose)


def as_readable(results: Sequence[ProofResult], *, prefix: Path) -> tuple[ProofResult, ...]:
    """Give up the proof, and the wheel form, of distributions whose live entry points a rebuild would refuse.

    Raises:
        BuildError: A file can't be read.
    """
    return tuple(_readable(row, prefix) for row in results)


def _readable(row: ProofResult, prefix: Path) -> ProofResult:
    live = row.distribution
    path = f"{live.directory}/entry_points.txt"
    file = next((file for file in live.files if file.path == path and not file.target), None)
    if live.form != "wheel" or file is None or file.size > _MAX_ENTRY_POINTS:
        return row
    data = b"".join(FileContent(path=file.location(prefix), size=file.size).chunks())
    try:
        parse_entry_points(data.decode("utf-8", "replace"), archive=PurePosixPath(live.directory).name)
    except ArchiveError as error:
        return Unproven(
            # Without tags it is no wheel: nothing reads its entry points, its scripts are kept as they are.
            distribution=replace(live, tags=()),
            reason="entry-points",
            message=f"its scripts can't be made anew: {error.message}",
            findings=row.findings,
            received=row.received,
            pages=row.pages,
            seconds=row.seconds,
        )
    return row


def _is_refused(path: str, wheel: Distribution | None, layout: Layout) -> bool:
    """Tell whether a name is one that no archive may have, or one that a wheel installs elsewhere."""
    name = path
    if wheel is not None:
        stem = PurePosixPath(wheel.directory).name.removesuffix(".dist-info")
        inside = path.removeprefix(f"{layout.site_packages}/")
        name = inside if inside != path else f"{stem}.data/scripts/{path}"  # the longest that it may get
        folder, _, rest = inside.partition("/")
        if inside != path and rest and folder != f"{stem}.dist-info":
            foreign = folder.endswith(".dist-info") or folder.casefold() == f"{stem}.data".casefold()
            if foreign:
                return True
    try:
        check_member_name(name, archive="")
    except ArchiveError:
        return True
    return False


def _is_same(one: InstalledFile, other: InstalledFile) -> bool:
    facts = [(file.sha256, bool(file.mode & 0o111)) for file in (one, other)]
    return one is other or facts[0] == facts[1]


def _fold(path: str) -> str:
    """Write a path as file systems that ignore case or Unicode form see it: as `envcap.archives.names` does."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
