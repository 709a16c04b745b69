"""A locked conda package's files, from its archive, as linked into `/opt/conda`: recipe 1, rule 8.

The twin of `conda_live.py`. Scripts of the package (post-link and the like) are files like others: nothing is run.
Source: CEP 34, conda's `core/link.py` and `core/path_actions.py` (noarch Python placement, entry points).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO

from envcap.archives.conda import CondaArchive
from envcap.archives.spool import spool_bytes
from envcap.archives.tar import TarMember
from envcap.build.conda_content import placed, read_whole
from envcap.build.conda_record import PlacedPath, owner_of, record_entry
from envcap.build.package import Blobs, apply_patches, environment_entry, symlink_entry
from envcap.build.reroot import reroot, reroot_script
from envcap.conda.paths import DIRECTORY, ENTRY_POINT, SOFTLINK, is_generated_row, place_noarch, read_path
from envcap.digest import Digest
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.environment import CondaPath, EntryPoint
from envcap.errors import ArchiveError
from envcap.lockfile.model import CondaPackage
from envcap.recipe import CONDA_ROOT, DIRECTORY_MODE, ENVIRONMENT_ROOT
from envcap.wheel.layout import is_bytecode
from envcap.wheel.scripts import console_script, parse_entry_points

_HINT = "the archive is not the package that the lock names: make the lock again with `envcap snapshot`"


def conda_entries(
    archive: CondaArchive, package: CondaPackage, *, site_packages: str, blobs: Blobs, spool: BinaryIO
) -> list[Entry]:
    """Give the files that a conda package brings to the image, and its record.

    Args:
        archive: The opened package.
        package: Its row of the lock.
        site_packages: Of the prefix, such as `lib/python3.11/site-packages`; empty without Python.
        blobs: The bytes of the patches.
        spool: Gets the files whose placeholder was replaced.

    Raises:
        ArchiveError: The archive is another package, lists files that it lacks, or can't be moved to the prefix.
        BuildError: A patch does not fit.
    """
    _check_identity(archive, package)
    owner = owner_of(package)
    members = installed_members(archive, site_packages)
    points = {f"bin/{point.name}": point for point in _points(archive)}
    rows = []
    for row in _paths(archive, members, site_packages):
        if row.kind == ENTRY_POINT:
            rows.append(place_entry_point(row, points[row.path], owner))
        else:
            rows.append(_placed(row, members.get(row.path), archive.name, owner, spool))
    entries = apply_patches([one.entry for one in rows if one.entry is not None], package, blobs)
    return reroot_paths([*entries, record_entry(package, rows)])


def archive_paths(archive: CondaArchive, site_packages: str) -> tuple[CondaPath, ...]:
    """Give the files that a package brings to a prefix, sorted; a hash that its table lacks is computed.

    Raises:
        ArchiveError: Its table names a path outside the prefix, or a file that is not there, or it is for Python and
            there is none.
    """
    return _paths(archive, installed_members(archive, site_packages), site_packages)


def _paths(archive: CondaArchive, members: Mapping[str, TarMember], site_packages: str) -> tuple[CondaPath, ...]:
    found: dict[str, CondaPath] = {}
    for raw in archive.rows:
        if is_generated_row(raw):
            continue
        row = read_path(raw)
        if row is None:
            raise ArchiveError(f"{archive.name}: info/paths.json holds a path that is none: {str(raw)[:100]}")
        path = _place(archive, row.path, site_packages)
        row = row if path == row.path else _with_path(row, path)
        if is_bytecode(row.path):
            continue
        member = members.get(row.path)
        if member is None and row.kind != DIRECTORY:
            raise ArchiveError(f"{archive.name}: it lists {row.path!r}, which it does not hold")
        if row.path in found:
            raise ArchiveError(f"{archive.name}: it lists {row.path!r} twice")
        if row.kind == SOFTLINK and member and member.kind is EntryKind.SYMLINK:
            row = replace(row, target=member.target)
        needs_hash = row.kind not in {SOFTLINK, DIRECTORY} and not row.sha256
        found[row.path] = _with_hash(row, member) if needs_hash and member else row
    for point in _points(archive):
        path = f"bin/{point.name}"
        found[path] = CondaPath(path=path, kind=ENTRY_POINT)
    return tuple(found[path] for path in sorted(found))


def place_entry_point(row: CondaPath, point: EntryPoint, owner: str) -> PlacedPath:
    """Give the script of an entry point of a noarch Python package."""
    data = reroot_script(console_script(point), CONDA_ROOT)
    entry = environment_entry(row.path, executable=True, content=LiteralContent(data), owner=owner)
    return PlacedPath(row=row, entry=entry, sha256=hashlib.sha256(data).hexdigest())


def place_directory(row: CondaPath, owner: str) -> PlacedPath:
    """Give an empty folder of a package."""
    path = f"{ENVIRONMENT_ROOT}/{row.path}"
    return PlacedPath(row=row, entry=Entry(path=path, kind=EntryKind.DIRECTORY, mode=DIRECTORY_MODE, owner=owner))


def reroot_paths(entries: list[Entry]) -> list[Entry]:
    """Move entries to conda's prefix; scripts name it already."""
    return reroot(entries, CONDA_ROOT)


def _placed(row: CondaPath, member: TarMember | None, archive: str, owner: str, spool: BinaryIO) -> PlacedPath:
    if row.kind == DIRECTORY or member is None:
        return place_directory(row, owner)
    if member.kind is EntryKind.SYMLINK:
        return PlacedPath(row=row, entry=symlink_entry(row.path, member.target, owner))
    if member.kind is not EntryKind.FILE:
        raise ArchiveError(f"{archive}: {row.path!r} is a {member.kind.value} (expected a file)")
    executable = bool(member.mode & 0o111)
    if not row.placeholder:
        entry = environment_entry(row.path, executable=executable, content=member.content, owner=owner)
        return PlacedPath(row=row, entry=entry)
    data = placed(read_whole(member.content), row)
    sha256 = hashlib.sha256(data).hexdigest()
    content = spool_bytes(spool, data)
    entry = environment_entry(row.path, executable=executable, content=content, owner=owner, sha256=sha256)
    return PlacedPath(row=row, entry=entry, sha256=sha256)


def _check_identity(archive: CondaArchive, package: CondaPackage) -> None:
    for key, expected in (("name", package.name), ("version", package.version), ("build", package.build)):
        if archive.index.get(key) != expected:
            found = str(archive.index.get(key))[:80]
            raise ArchiveError(f"{archive.name}: its {key} is {found!r} (expected {expected!r})", hint=_HINT)


def _place(archive: CondaArchive, path: str, site_packages: str) -> str:
    if archive.index.get("noarch") != "python":
        return path
    if not site_packages:
        raise ArchiveError(f"{archive.name}: it is for Python, and the environment has none", hint=_HINT)
    return place_noarch(path, site_packages)


def installed_members(archive: CondaArchive, site_packages: str) -> Mapping[str, TarMember]:
    """Give the members of a package by their paths in a prefix."""
    if archive.index.get("noarch") != "python":
        return archive.members
    return {_place(archive, path, site_packages): member for path, member in archive.members.items()}


def _points(archive: CondaArchive) -> tuple[EntryPoint, ...]:
    text = "[console_scripts]\n" + "\n".join(archive.entry_points)
    return parse_entry_points(text, archive=archive.name)


def _with_path(row: CondaPath, path: str) -> CondaPath:
    return CondaPath(
        path=path,
        kind=row.kind,
        sha256=row.sha256,
        size=row.size,
        placeholder=row.placeholder,
        binary=row.binary,
    )


def _with_hash(row: CondaPath, member: TarMember) -> CondaPath:
    return replace(row, sha256=Digest.of_chunks(member.content.chunks()).hex, size=member.size)
