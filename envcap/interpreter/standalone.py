"""Archives of python-build-standalone: their entries in an image, and the proof that a live interpreter is one.

Kept: everything but what `layout` leaves out (bytecode, test packages, the bundled pip, static libraries) and other
commands in `bin` than Python itself. The build's prefix `/install` becomes `/opt/python` in the files that Python's
build generated. Source: python-build-standalone, `docs/distributions.rst` and `src/release.rs` (install_only).
"""

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from envcap.archives.decompress import decompress
from envcap.archives.tar import TarMember, read_tar
from envcap.digest import Digest
from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.environment import InterpreterFacts
from envcap.errors import ArchiveError, ScanError
from envcap.finding import Finding
from envcap.interpreter.blob import check_inside
from envcap.interpreter.layout import Layout, find_stdlib, is_generated
from envcap.interpreter.relocate import Relocation, relocate
from envcap.interpreter.tree import OWNER, link, own_entries
from envcap.recipe import PYTHON_ROOT, file_mode

_NAME = "standalone Python"
_TOP = "python"
_INSTALL = "/install"
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5": ".zst"}
_MAX_GENERATED = 16 << 20
_SHOWN = 20


def standalone_entries(archive: BinaryIO, *, spool: BinaryIO) -> list[Entry]:
    """Turn an install_only archive into entries below `opt/python`, sorted by path.

    Args:
        archive: A tar.gz or tar.zst, at its start.
        spool: A temporary file that holds the contents; it must stay open as long as they are read.

    Raises:
        ArchiveError: The archive is damaged or hostile, or holds no Python.
    """
    members, layout = _read(archive, spool)
    relocation = Relocation(prefixes=(_INSTALL,), version=layout.version)
    entries = {path: _entry(path, members, relocation) for path in sorted(members) if layout.keeps(path)}
    entries |= {entry.path: entry for entry in own_entries(layout, entries)}
    kept = {path: entry for path, entry in entries.items() if _leads_somewhere(entry, entries)}
    return [replace(kept[path], path=f"{PYTHON_ROOT}/{path}") for path in sorted(kept, key=str.encode)]


def compare_standalone(facts: InterpreterFacts, archive: BinaryIO, *, spool: BinaryIO) -> tuple[Finding, ...]:
    """Compare a live interpreter with the archive that it may have come from.

    All regular files must be equal, and none may be added. Not compared: the sysconfig data and pkg-config files,
    which uv and others rewrite on install, and what never enters an image.

    Args:
        facts: What the interpreter said.
        archive: The candidate, at its start.
        spool: A temporary file, at least until this returns.

    Returns:
        What differs, by path, at most 20 findings; none at all proves the archive.

    Raises:
        ArchiveError: The archive is damaged or hostile, or holds no Python.
    """
    members, layout = _read(archive, spool)
    root = facts.base_prefix.resolve()
    expected = {path: content for path, content in _contents(members) if layout.keeps(path) and not _rewritten(path)}
    findings: list[Finding] = []
    for path, content in sorted(expected.items()):
        change = _difference(root / path, content)
        if change:
            findings.append(_finding(change, path))
    live = layout.walk(root, report=lambda path, _: findings.append(_finding("can't be read", path)))
    known = set(members)
    findings += [_finding("was added", path) for path in sorted(live) if path not in known and not _rewritten(path)]
    return tuple(findings[:_SHOWN])


def _read(archive: BinaryIO, spool: BinaryIO) -> tuple[dict[str, TarMember], Layout]:
    size = archive.seek(0, 2)
    archive.seek(0)
    suffix = _MAGIC.get(archive.read(2), "")
    archive.seek(0)
    if not suffix:
        raise ArchiveError(f"{_NAME}: not an archive (expected .tar.gz or .tar.zst)", hint="fetch the file again")
    with decompress(archive, suffix, name=_NAME) as tar:
        rows = read_tar(tar, name=_NAME, spool=spool, compressed_size=size)
    members = {}
    for member in rows:
        if member.path == _TOP:
            continue
        if not member.path.startswith(_TOP + "/"):
            raise ArchiveError(f"{_NAME}: {member.path!r} lies outside {_TOP!r}: not an install_only archive")
        if member.kind is EntryKind.SYMLINK:
            check_inside(member.path, member.target, root=_TOP, archive=_NAME)
        if member.kind is not EntryKind.DIRECTORY:
            members[member.path.removeprefix(_TOP + "/")] = member
    try:
        return members, Layout(stdlib=find_stdlib(iter(members)), whole=True)
    except ScanError as error:
        raise ArchiveError(f"{_NAME}: {error.message}", hint="this archive holds no Python; fetch another") from None


def _entry(path: str, members: Mapping[str, TarMember], relocation: Relocation) -> Entry:
    member = members[path]
    if member.kind is EntryKind.SYMLINK:
        return link(path, member.target)
    content = _content(member, members)
    if is_generated(path) and content.size <= _MAX_GENERATED:
        data = b"".join(content.chunks())
        relocated = relocate(path, data, relocation)
        content = content if relocated == data else LiteralContent(bytes(relocated))
    mode = file_mode(path, executable=bool(member.mode & 0o111))
    return Entry(path=path, kind=EntryKind.FILE, mode=mode, content=content, owner=OWNER)


def _content(member: TarMember, members: Mapping[str, TarMember]) -> Content:
    """Return a file's content; a hard link gets its target's, since the target may be left out."""
    seen = 0
    while member.kind is EntryKind.HARDLINK and seen < len(members):
        member = members[member.target.removeprefix(_TOP + "/")]
        seen += 1
    return member.content


def _contents(members: Mapping[str, TarMember]) -> Iterator[tuple[str, Content]]:
    for path, member in members.items():
        if member.kind in (EntryKind.FILE, EntryKind.HARDLINK):
            yield path, _content(member, members)


def _leads_somewhere(entry: Entry, entries: Mapping[str, Entry]) -> bool:
    """Tell whether an entry is no symlink to something that was left out, such as the static library."""
    if entry.kind is not EntryKind.SYMLINK:
        return True
    end = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
    return end in entries or any(path.startswith(end + "/") for path in entries)


def _rewritten(path: str) -> bool:
    """Tell whether installers rewrite a file (uv, `sysconfig/mod.rs`; bluss/sysconfigpatcher)."""
    folder, _, name = path.rpartition("/")
    return name.startswith(("_sysconfigdata", "_sysconfig_vars")) or folder.endswith("/pkgconfig")


def _difference(file: Path, content: Content) -> str:
    """Say how a live file differs, or return an empty string."""
    try:
        if file.stat().st_size != content.size:
            return "has another size"
        expected = hashlib.sha256()
        for chunk in content.chunks():
            expected.update(chunk)
        with file.open("rb") as stream:
            return "" if Digest.of_file(stream).hex == expected.hexdigest() else "has other bytes"
    except FileNotFoundError:
        return "is missing"
    except OSError:
        return "can't be read"


def _finding(what: str, path: str) -> Finding:
    return Finding(
        code="standalone-differs", message=f"This file {what}, compared with the standalone archive.", path=path
    )
