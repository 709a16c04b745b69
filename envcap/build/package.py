"""A locked package's files, from its artifact: recipe 1, rule 3, and the patches of the lock.

The twin of `live.py`: both give the same entries if the artifact is what the live environment holds.
"""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Protocol

from envcap.archives.zip import ZipArchive
from envcap.archives.zip_directory import ZipMember
from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.errors import ArchiveError, BuildError
from envcap.files import FileContent
from envcap.lockfile.model import CondaPackage, Package, Patch
from envcap.recipe import ENVIRONMENT_ROOT, file_mode
from envcap.wheel.layout import Layout, dist_info_folder, install_path, is_bytecode, is_installer_file
from envcap.wheel.record import parse_record
from envcap.wheel.scripts import console_script, install_script, parse_entry_points

TREE_SUFFIX = ".tree.zip"
"""Ending of a captured artifact that is no wheel (eggs): its members are paths relative to the prefix."""

RECORD_PROOFS = frozenset({"record", "url"})
"""Rungs of the ladder on which every row of the artifact's RECORD was seen to be true of the live file."""

INSTALLER_TEXT = b"envcap\n"

_MAX_SCRIPT = 16 << 20
"""Bytes of a script that is rewritten, as in `live.py`; a larger one is no text."""

_MAX_METADATA = 16 << 20
_MAX_RECORD = 64 << 20


class Blobs(Protocol):
    """Bytes kept with a lock."""

    def blob(self, sha256: str) -> Path:
        """Give the path of a blob whose hash was checked."""


def package_entries(archive: ZipArchive, package: Package, *, file: str, layout: Layout, blobs: Blobs) -> list[Entry]:
    """Give the files that a package brings to the image, relative to the image's root.

    Args:
        archive: The opened artifact.
        package: Its row of the lock.
        file: The artifact's file name.
        layout: The target scheme.
        blobs: The bytes of the patches.

    Raises:
        ArchiveError: The artifact is not what a wheel may be.
        BuildError: A patch does not fit.
    """
    if file.endswith(TREE_SUFFIX):
        entries = list(_tree(archive, package.name))
    else:
        entries = list(_wheel(archive, package, layout, file, blobs))
    return apply_patches(entries, package, blobs)


def apply_patches(entries: list[Entry], package: Package | CondaPackage, blobs: Blobs) -> list[Entry]:
    """Replace, add and leave out what the lock says was edited, added and deleted live."""
    found = {entry.path: entry for entry in entries}
    for patch in package.patches:
        path = f"{ENVIRONMENT_ROOT}/{patch.path}"
        if patch.change == "edited" and path not in found:
            raise BuildError(f"{package.name}: the lock has {patch.path!r} {patch.change}, but the artifact lacks it")
        if patch.change == "deleted":
            # May be absent: an entry point that was added to the live entry_points.txt has no script on either side.
            found.pop(path, None)
        else:
            found[path] = _patched(patch, package.name, blobs)
    return list(found.values())


def environment_entry(path: str, *, executable: bool, content: Content, owner: str, sha256: str = "") -> Entry:
    """Make the entry of a regular file of the environment."""
    return Entry(
        path=f"{ENVIRONMENT_ROOT}/{path}",
        kind=EntryKind.FILE,
        mode=file_mode(path, executable=executable),
        content=content,
        owner=owner,
        sha256=sha256,
    )


def symlink_entry(path: str, target: str, owner: str) -> Entry:
    """Make the entry of a symlink of the environment (mode 0777: Linux ignores it)."""
    return Entry(path=f"{ENVIRONMENT_ROOT}/{path}", kind=EntryKind.SYMLINK, mode=0o777, target=target, owner=owner)


def _patched(patch: Patch, owner: str, blobs: Blobs) -> Entry:
    if patch.target:
        return symlink_entry(patch.path, patch.target, owner)
    content = FileContent(path=blobs.blob(patch.sha256), size=patch.size)
    return environment_entry(patch.path, executable=patch.executable, content=content, owner=owner, sha256=patch.sha256)


def _tree(archive: ZipArchive, owner: str) -> Iterator[Entry]:
    for member in archive.members:
        if not member.is_directory:
            yield environment_entry(
                member.name, executable=bool(member.mode & 0o111), content=archive.content(member), owner=owner
            )


def _wheel(archive: ZipArchive, package: Package, layout: Layout, file: str, blobs: Blobs) -> Iterator[Entry]:
    owner = package.name
    members = {member.name: member for member in archive.members if not member.is_directory}
    dist_info = dist_info_folder(list(members), project=owner, archive=file)
    points = f"{dist_info}/entry_points.txt"
    patches = {patch.path: patch for patch in package.patches}
    patch = patches.get(f"{layout.site_packages}/{points}")
    generated = _generated_scripts(_entry_points(archive, members.get(points), patch, blobs), file)
    places: dict[str, tuple[ZipMember, bool]] = {}
    for name, member in members.items():
        where = install_path(name, layout=layout, dist_info=dist_info, archive=file)
        if where.path in places:
            raise ArchiveError(f"{file}: {places[where.path][0].name!r} and {name!r} go to one place")
        places[where.path] = member, where.is_script
    hashes = _proved_hashes(archive, members.get(f"{dist_info}/RECORD"), package)
    for path, (member, is_script) in places.items():
        # A script made for an entry point replaces a file of that name: installers write it last.
        if _is_bytecode(path, places) or is_installer_file(path) or path in generated:
            continue
        content = _script(archive, member) if is_script else archive.content(member)
        sha256 = "" if isinstance(content, LiteralContent) else hashes.get(member.name, "")
        yield environment_entry(path, executable=bool(member.mode & 0o111), content=content, owner=owner, sha256=sha256)
    for path, data in generated.items():
        yield environment_entry(path, executable=True, content=LiteralContent(data), owner=owner)
    installer = f"{layout.site_packages}/{dist_info}/INSTALLER"
    yield environment_entry(installer, executable=False, content=LiteralContent(INSTALLER_TEXT), owner=owner)


def _proved_hashes(archive: ZipArchive, record: ZipMember | None, package: Package) -> dict[str, str]:
    """Read the hashes of a RECORD that the snapshot compared with every live file; of others, none."""
    if record is None or package.proof not in RECORD_PROOFS:
        return {}
    return parse_record(archive.read_member(record, _MAX_RECORD))


def _is_bytecode(path: str, places: Container[str]) -> bool:
    """Tell whether a member is bytecode that can be made again; a `.pyc` alone is a module without source."""
    return is_bytecode(path) or (path.endswith((".pyc", ".pyo")) and path[:-1] in places)


def _entry_points(archive: ZipArchive, member: ZipMember | None, patch: Patch | None, blobs: Blobs) -> str:
    """Read the entry points that the image will have: where they were edited (Debian's pip), so were their scripts."""
    if patch is not None:
        data = blobs.blob(patch.sha256).read_bytes() if patch.sha256 and patch.size <= _MAX_METADATA else b""
    else:
        data = archive.read_member(member, _MAX_METADATA) if member else b""
    return data.decode("utf-8", "replace")


def _generated_scripts(text: str, file: str) -> dict[str, bytes]:
    return {f"bin/{point.name}": console_script(point) for point in parse_entry_points(text, archive=file)}


def _script(archive: ZipArchive, member: ZipMember) -> Content:
    """Rewrite a script with a placeholder; leave any other file (ruff, uv) as it is, spliced and unread."""
    content = archive.content(member)
    head = next(iter(content.chunks()), b"")
    if not head.startswith(b"#!python") or member.size > _MAX_SCRIPT:
        return content
    return LiteralContent(install_script(b"".join(content.chunks())))
