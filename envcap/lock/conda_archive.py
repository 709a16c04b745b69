"""A conda package that no channel has, kept with the lock: a `.conda` archive, made of its installed files.

Each file is taken where the record's hash proves it: live, with the prefix taken out again, or from where the installer
unpacked the package. One that nothing proves is taken as it is live, with a placeholder for the prefix that it names.
Same files, same bytes: the archive depends on nothing else, not even on where the prefix lies.
Source: CEP 35 (package formats) and CEP 34 (contents of conda packages).
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import zstandard

from envcap.build.conda_content import PREFIX, MadeContent, restore_original
from envcap.build.conda_live import edited_content, live_entry_point, original_bytes, read_live
from envcap.build.tar import tar_header
from envcap.conda.channel import archive_stem
from envcap.conda.paths import BINARY, DIRECTORY, ENTRY_POINT, HARDLINK, SOFTLINK, TEXT, is_target_hash, unplace_noarch
from envcap.conda.placeholder import take_prefix
from envcap.digest import Digest
from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.environment import CondaPath, CondaRecord, Environment, InstalledFile
from envcap.errors import BuildError
from envcap.files import FileContent
from envcap.lock.conda import is_moved
from envcap.lock.conda_unpacked import Placeholders, find_original, read_placeholders, with_placeholder
from envcap.lock.zip_writer import ZipWriter
from envcap.recipe import EXECUTABLE_MODE, FILE_MODE
from envcap.ustar import padding, trailer

_LEVEL = 6
_PIECE = 128 << 10  # RFC 8878, section 3.1.1.2: the largest block
_MAX_RATIO = 100
"""What shrinks more is stored, so that the archive doesn't look like a bomb to its own reader."""

_MAX_TEXT = 16 << 20
_PLACEHOLDER = "/opt/envcap" + "_placehold" * 24
_SYMLINK_MODE = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A file of the archive: its row of `info/paths.json`, and its entry in the tar (none for a folder)."""

    row: CondaPath
    entry: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unpacked:
    """Where installers may have unpacked the package, and which files hold the prefix by what lies there."""

    folders: Sequence[Path]
    placeholders: Placeholders


def write_conda_archive(
    record: CondaRecord,
    environment: Environment,
    *,
    unpacked: Sequence[Path],
    scratch: Path,
    write: Callable[[bytes], object],
) -> tuple[str, ...]:
    """Write an archive of a package's installed files.

    Args:
        record: The package, as scanned.
        environment: The scan.
        unpacked: Folders where installers may have unpacked it; each file there is believed by its hash.
        scratch: Folder for temporary files.
        write: Receives the archive.

    Returns:
        The files that are in it as they are live although the record says that they were something else.

    Raises:
        BuildError: A file can't be read, changed meanwhile, or the archive would have more than 4 GiB.
    """
    files = {file.path: file for file in record.files}
    says_prefix = not any(map(is_moved, record.paths))
    places = _Unpacked(folders=unpacked, placeholders={} if says_prefix else read_placeholders(unpacked))
    parts: list[_Part] = []
    points: list[str] = []
    unproved: list[str] = []
    for row in record.paths:
        file = files.get(row.path)
        point = live_entry_point(read_live(file, environment), row.path) if _is_script(row, file) and file else None
        if point is not None:
            points.append(f"{point.name} = {point.value}")
            continue
        part = _part(record, row, file, environment, places)
        if part is None:
            continue
        parts.append(part)
        if _is_edited(row, part.row, file):
            unproved.append(row.path)
    stem = archive_stem(record.file)
    archive = ZipWriter(write)
    archive.add("metadata.json", LiteralContent(b'{"conda_pkg_format_version": 2}'), executable=False, stored=True)
    trees = {"info": _info(record, parts, points), "pkg": [part.entry for part in parts if part.entry is not None]}
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for kind, entries in trees.items():
            place = Path(folder) / kind
            _write_tree(entries, place)
            content = FileContent(path=place, size=place.stat().st_size)
            archive.add(f"{kind}-{stem}.tar.zst", content, executable=False, stored=True)
    archive.finish()
    return tuple(unproved)


def _is_edited(row: CondaPath, kept: CondaPath, file: InstalledFile | None) -> bool:
    """Tell whether a file is kept as it is live although its record says that it was something else."""
    if kept.kind == SOFTLINK:
        return is_target_hash(row.target)
    as_installed = file is not None and file.sha256 == row.installed_sha256
    return bool(row.sha256) and kept.kind == HARDLINK and kept.sha256 != row.sha256 and not as_installed


def _is_script(row: CondaPath, file: InstalledFile | None) -> bool:
    return row.kind == ENTRY_POINT and file is not None and not file.target


def _part(
    record: CondaRecord, row: CondaPath, file: InstalledFile | None, environment: Environment, unpacked: _Unpacked
) -> _Part | None:
    path = unplace_noarch(row.path, environment.site_packages) if record.noarch == "python" else row.path
    if row.kind == DIRECTORY:
        return _Part(row=CondaPath(path=path, kind=DIRECTORY), entry=None)
    if file is not None and file.target:
        target = file.target if not row.target or is_target_hash(row.target) else row.target
        entry = Entry(path=path, kind=EntryKind.SYMLINK, mode=_SYMLINK_MODE, target=target, owner=record.name)
        return _Part(row=CondaPath(path=path, kind=SOFTLINK), entry=entry)
    row = with_placeholder(row, path, unpacked.placeholders)
    proved = _proved(row, file, environment) or _original(row, path, unpacked.folders)
    if proved is None and file is None:
        return None
    if proved is None:
        assert file is not None  # noqa: S101 - said above
        proved = _as_it_is(row, file, environment)
    kept, content, executable = proved
    mode = EXECUTABLE_MODE if executable else FILE_MODE
    entry = Entry(path=path, kind=EntryKind.FILE, mode=mode, content=content, owner=record.name)
    return _Part(row=replace(kept, path=path, kind=HARDLINK, size=content.size), entry=entry)


_Found = tuple[CondaPath, Content, bool]
"""A row that says hash and placeholder, the bytes, and whether they can be executed."""


def _proved(row: CondaPath, file: InstalledFile | None, environment: Environment) -> _Found | None:
    """Take a live file whose original bytes the record's hash proves."""
    if file is None or row.kind != HARDLINK or not row.sha256:
        return None
    executable = bool(file.mode & 0o111)
    if not row.placeholder:
        live = FileContent(path=file.location(environment.prefix), size=file.size)
        return (row, live, executable) if file.sha256 == row.sha256 else None
    original = restore_original(read_live(file, environment), row, environment.baked_prefixes)
    if original is None:
        return None
    made = MadeContent(size=len(original), make=lambda: original_bytes(row, file, environment), where=row.path)
    return row, made, executable


def _original(row: CondaPath, path: str, folders: Sequence[Path]) -> _Found | None:
    """Take a file where an installer unpacked the package, unless it holds the prefix and nothing says how."""
    found = None if is_moved(row) else find_original(row, path, folders)
    return (row, *found) if found else None


def _as_it_is(row: CondaPath, file: InstalledFile, environment: Environment) -> _Found:
    """Take a live file that nothing proves, with a placeholder where it names one prefix."""
    executable = bool(file.mode & 0o111)
    live = FileContent(path=file.location(environment.prefix), size=file.size)
    plain = CondaPath(path=row.path, sha256=file.sha256)
    if file.size > _MAX_TEXT and not row.placeholder:
        return plain, live, executable
    data = read_live(file, environment)
    spellings = [prefix.encode("utf-8", "surrogateescape") for prefix in environment.baked_prefixes]
    named = [spelling for spelling in spellings if spelling in data]
    if not named:
        return plain, live, executable
    binary = row.binary or b"\0" in data
    for placeholder in _placeholders(row, named[0], binary=binary):
        found = take_prefix(data, named[0], placeholder.encode(), binary=binary)
        if found is None or any(spelling in found for spelling in spellings):
            continue
        sha256 = hashlib.sha256(found).hexdigest()
        kept = replace(plain, sha256=sha256, placeholder=placeholder, binary=binary)
        if restore_original(data, kept, environment.baked_prefixes) is not None:
            make = partial(original_bytes, kept, file, environment)
            return kept, MadeContent(size=len(found), make=make, where=row.path), executable
    edited = edited_content(file, environment)
    return replace(plain, sha256=Digest.of_chunks(edited.chunks()).hex), edited, executable


def _placeholders(row: CondaPath, prefix: bytes, *, binary: bool) -> Iterator[str]:
    """Give what may stand for the prefix. In a binary where nothing is known of it: what is as long as the prefix."""
    if row.placeholder:
        yield row.placeholder
    if not binary:
        yield _PLACEHOLDER
    elif len(PREFIX) <= len(prefix) <= len(_PLACEHOLDER):
        yield _PLACEHOLDER[: len(prefix)]


def _info(record: CondaRecord, parts: Sequence[_Part], points: Sequence[str]) -> list[Entry]:
    index: dict[str, object] = {
        "build": record.build,
        "build_number": record.build_number,
        "constrains": list(record.constrains),
        "depends": list(record.depends),
        "name": record.name,
        "subdir": record.subdir,
        "version": record.version,
    }
    if record.noarch:
        index["noarch"] = record.noarch
    rows = [_row(part.row) for part in sorted(parts, key=lambda part: part.row.path)]
    tables: dict[str, object] = {"index.json": index, "paths.json": {"paths": rows, "paths_version": 1}}
    if record.noarch == "python" or points:
        noarch = {"entry_points": list(points), "type": "python"}
        tables["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    return [_json_entry(f"info/{name}", tables[name], record.name) for name in sorted(tables)]


def _row(row: CondaPath) -> dict[str, object]:
    table: dict[str, object] = {"_path": row.path, "path_type": row.kind}
    if row.kind == HARDLINK:
        table |= {"sha256": row.sha256, "size_in_bytes": row.size}
    if row.placeholder:
        table |= {"file_mode": BINARY if row.binary else TEXT, "prefix_placeholder": row.placeholder}
    return table


def _json_entry(path: str, value: object, owner: str) -> Entry:
    data = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    return Entry(path=path, kind=EntryKind.FILE, mode=FILE_MODE, content=LiteralContent(data), owner=owner)


def _write_tree(entries: Sequence[Entry], place: Path) -> None:
    """Write a compressed tar, by one thread and in pieces of one size, so that its bytes follow from the entries."""
    plain = place.with_suffix(".tar")
    with plain.open("w+b") as tar:
        for entry in sorted(entries, key=lambda entry: entry.path.encode("utf-8", "surrogateescape")):
            tar.write(tar_header(entry, epoch=0))
            if entry.kind is EntryKind.FILE:
                _copy(entry, tar)
        tar.write(trailer(tar.tell()))
        size = tar.tell()
        tar.seek(0)
        with place.open("wb") as file:
            packer = zstandard.ZstdCompressor(level=_LEVEL, threads=0)
            packer.copy_stream(tar, file, size=size, read_size=_PIECE, write_size=_PIECE)
            packed = file.tell()
        if size > _MAX_RATIO * packed:
            tar.seek(0)
            with place.open("wb") as file:
                file.writelines(_stored_frame(tar, size))
    plain.unlink()


def _copy(entry: Entry, tar: BinaryIO) -> None:
    start = tar.tell()
    tar.writelines(entry.content.chunks())
    if tar.tell() - start != entry.content.size:
        raise BuildError(f"{entry.path!r} changed while it was captured", hint="try again when nothing writes to it")
    tar.write(padding(entry.content.size))


def _stored_frame(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Write a zstd frame of raw blocks (RFC 8878, section 3.1.1), with a window of 128 KiB."""
    yield b"\x28\xb5\x2f\xfd" + bytes([0, (17 - 10) << 3])
    for start in range(0, size, _PIECE):
        piece = file.read(_PIECE)
        is_last = start + _PIECE >= size
        yield (len(piece) << 3 | is_last).to_bytes(3, "little") + piece
