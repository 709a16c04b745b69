"""Reading a conda package strictly: `.conda` (a zip of two zstd tars) and `.tar.bz2`.

Source: CEP 35 (package formats) and CEP 34 (contents): `info/index.json`, `info/paths.json`, `info/link.json`, and for
packages older than those `info/files`, `info/has_prefix`.
"""

import io
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from envcap.archives.access import RandomAccess, RegionStream
from envcap.archives.decompress import decompress
from envcap.archives.limits import DEFAULT_LIMITS, ArchiveLimits
from envcap.archives.tar import TarMember, TarRules, read_tar
from envcap.archives.zip import ZipArchive, open_zip
from envcap.entry import Content, EntryKind
from envcap.errors import ArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAX_INFO = 256 << 20
_HINT = "don't use this package; ask its publisher for a correct one"
_OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""Where `info/has_prefix` names only a path: conda-build's first placeholder (conda, `gateways/disk/read.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaArchive:
    """An open conda package whose members have been checked.

    Attributes:
        name: The file's name, for messages.
        index: `info/index.json`.
        rows: The rows of `info/paths.json`, not read yet, or what the older tables say in the same words.
        entry_points: Lines `name = module:function` of a noarch Python package.
        members: Everything but `info/`, by path, hard links resolved.
    """

    name: str
    index: Mapping[str, object]
    rows: tuple[Mapping[str, object], ...]
    entry_points: tuple[str, ...]
    members: Mapping[str, TarMember]


def open_conda(
    reader: RandomAccess, *, name: str, spool: BinaryIO, limits: ArchiveLimits = DEFAULT_LIMITS
) -> CondaArchive:
    """Read a package to its end; the content of its files goes to the end of a spool.

    Args:
        reader: The archive.
        name: Its file name, which tells the format.
        spool: A temporary file that stays open as long as contents are read.
        limits: Caps on members, sizes and ratio.

    Raises:
        ArchiveError: It is damaged, hostile or no conda package.
    """
    if name.endswith(".conda"):
        members = _read_zip(reader, name, spool, limits)
    elif name.endswith(".tar.bz2"):
        stream = decompress(RegionStream(reader, 0, reader.size), ".bz2", name=name)
        members = read_tar(stream, name=name, spool=spool, compressed_size=reader.size, limits=limits, rules=_RULES)
    else:
        raise ArchiveError(f"{name}: no conda package by its name (expected `.conda` or `.tar.bz2`)")
    found = _resolved(members)
    content = {path: member for path, member in found.items() if not f"{path}/".startswith("info/")}
    return CondaArchive(
        name=name,
        index=_table(_json(found, "info/index.json", name), name, "info/index.json"),
        rows=_rows(found, name),
        entry_points=_entry_points(found, name),
        members=content,
    )


# Case twins are real (ncurses' terminfo, the kernel's headers), and images lie on file systems that keep them apart.
_RULES = TarRules.DEBIAN


class _ContentStream(io.RawIOBase):
    """A content as a stream."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._chunks: Iterator[bytes] = content.chunks()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ready:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._ready = memoryview(chunk)
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def _read_zip(reader: RandomAccess, name: str, spool: BinaryIO, limits: ArchiveLimits) -> list[TarMember]:
    archive = open_zip(reader, name=name, limits=limits)
    stem = name.removesuffix(".conda")
    parts = [f"info-{stem}.tar.zst", f"pkg-{stem}.tar.zst"]
    by_name = {member.name: member for member in archive.members}
    if set(by_name) - {"metadata.json"} != set(parts):
        raise ArchiveError(
            f"{name}: unexpected members {sorted(by_name)[:5]} (expected {', '.join(parts)} and metadata.json)",
            hint=_HINT,
        )
    _check_format(archive, name)
    found: list[TarMember] = []
    seen: dict[str, str] = {}
    for part in parts:
        member = by_name[part]
        stream = decompress(io.BufferedReader(_ContentStream(archive.content(member))), ".zst", name=f"{name}: {part}")
        size = member.size
        for row in read_tar(stream, name=f"{name}: {part}", spool=spool, compressed_size=size, limits=limits,
                            rules=_RULES):  # fmt: skip
            is_info = f"{row.path}/".startswith("info/")
            if row.kind is not EntryKind.DIRECTORY and is_info != part.startswith("info-"):
                raise ArchiveError(f"{name}: {part} holds {row.path!r}, which belongs into the other part", hint=_HINT)
            if row.kind is not EntryKind.DIRECTORY and seen.setdefault(row.path, part) != part:
                raise ArchiveError(f"{name}: both parts hold {row.path!r}", hint=_HINT)
            found.append(row)
    return found


def _check_format(archive: ZipArchive, name: str) -> None:
    member = next((row for row in archive.members if row.name == "metadata.json"), None)
    if member is None:
        return
    version = _table(_parse(archive.read_member(member, 1 << 20), name, "metadata.json"), name, "metadata.json").get(
        "conda_pkg_format_version"
    )
    if version != 2:  # noqa: PLR2004  # CEP 35
        raise ArchiveError(f"{name}: unexpected format version {version!r} (expected 2)")


def _resolved(members: list[TarMember]) -> dict[str, TarMember]:
    found: dict[str, TarMember] = {}
    for member in members:
        if member.kind is EntryKind.HARDLINK:
            original = found[member.target]
            found[member.path] = TarMember(
                path=member.path,
                kind=EntryKind.FILE,
                mode=original.mode,
                uid=0,
                gid=0,
                size=original.size,
                content=original.content,
            )
        else:
            found[member.path] = member
    return found


def _rows(members: Mapping[str, TarMember], name: str) -> tuple[Mapping[str, object], ...]:
    if "info/paths.json" in members:
        rows = _table(_json(members, "info/paths.json", name), name, "info/paths.json").get("paths")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ArchiveError(f"{name}: info/paths.json holds no list of paths", hint=_HINT)
        return tuple(rows)
    prefixes = dict(read_has_prefix(_text(members, "info/has_prefix", name)))
    found = []
    for path in _text(members, "info/files", name).splitlines():
        if not path:
            continue
        is_link = path in members and members[path].kind is EntryKind.SYMLINK
        row: dict[str, object] = {"_path": path, "path_type": "softlink" if is_link else "hardlink"}
        if path in prefixes:
            row["prefix_placeholder"], row["file_mode"] = prefixes[path]
        found.append(row)
    return tuple(found)


def read_has_prefix(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Read `info/has_prefix`: `PLACEHOLDER MODE PATH`, words quoted where needed, or only a path.

    Yields paths, each with placeholder and mode.
    """
    for line in text.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            words = [line]
        if len(words) == 3:  # noqa: PLR2004
            yield words[2], (words[0], words[1])
        elif len(words) == 1:
            yield words[0], (_OLD_PLACEHOLDER, "text")


def _entry_points(members: Mapping[str, TarMember], name: str) -> tuple[str, ...]:
    if "info/link.json" not in members:
        return ()
    noarch = _table(_json(members, "info/link.json", name), name, "info/link.json").get("noarch")
    points = noarch.get("entry_points", []) if isinstance(noarch, dict) else []
    if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
        raise ArchiveError(f"{name}: info/link.json holds no list of entry points", hint=_HINT)
    return tuple(points)


def _json(members: Mapping[str, TarMember], path: str, name: str) -> object:
    return _parse(_bytes(members, path, name), name, path)


def _parse(data: bytes, name: str, path: str) -> object:
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError):
        raise ArchiveError(f"{name}: {path} is no JSON", hint=_HINT) from None
    return parsed


def _table(value: object, name: str, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ArchiveError(f"{name}: {path} holds no object", hint=_HINT)
    return value


def _text(members: Mapping[str, TarMember], path: str, name: str) -> str:
    try:
        return _bytes(members, path, name).decode() if path in members else ""
    except UnicodeDecodeError:
        raise ArchiveError(f"{name}: {path} is not UTF-8", hint=_HINT) from None


def _bytes(members: Mapping[str, TarMember], path: str, name: str) -> bytes:
    member = members.get(path)
    if member is None or member.kind is not EntryKind.FILE:
        raise ArchiveError(f"{name}: it has no {path}, so it is no conda package", hint=_HINT)
    if member.size > _MAX_INFO:
        raise ArchiveError(f"{name}: {path} has {member.size} bytes (expected at most {_MAX_INFO})", hint=_HINT)
    return b"".join(member.content.chunks())
