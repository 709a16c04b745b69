"""A locked conda package's files, from the live prefix: what `snapshot` computes the image ID from.

The twin of `conda.py`. The live prefix is taken out of each file that holds it, which gives the archive's bytes again;
their hash proves it, and so where the prefix lies does not matter.
"""

import re

from envcap.build.conda import place_directory, place_entry_point, reroot_paths
from envcap.build.conda_content import PREFIX, read_whole, relocated, restore_original
from envcap.build.conda_record import PlacedPath, owner_of, record_entry
from envcap.build.package import environment_entry, symlink_entry
from envcap.conda.paths import DIRECTORY, ENTRY_POINT
from envcap.conda.placeholder import plain_shebang
from envcap.entry import Content, Entry, LiteralContent
from envcap.environment import CondaPath, CondaRecord, EntryPoint, Environment, InstalledFile
from envcap.errors import BuildError
from envcap.files import FileContent
from envcap.lockfile.model import CondaPackage
from envcap.wheel.scripts import is_generated_script

_MAX_TEXT = 16 << 20
_ENV = re.compile(rb"\A#!/usr/bin/env ")
_GENERATED = re.compile(
    rb"^from (?P<module>[\w.]+) import \w+[ \t]*\r?$.*^[ \t]+sys\.exit\((?P<call>[\w.]+)\(\)\)",
    re.MULTILINE | re.DOTALL,
)


def live_conda_entries(record: CondaRecord, package: CondaPackage, environment: Environment) -> list[Entry]:
    """Give the files that a live conda package brings to the image, and its record.

    Args:
        record: What the scan found.
        package: Its row of the lock.
        environment: The scan.

    Raises:
        BuildError: A file changed since the lock was made.
    """
    owner = owner_of(package)
    patches = {patch.path: patch for patch in package.patches}
    files = {file.path: file for file in record.files}
    placed = []
    for row in record.paths:
        if row.kind == DIRECTORY:
            placed.append(place_directory(row, owner))
        elif row.path in patches or row.path not in files:
            placed.append(PlacedPath(row=row, entry=None))
        else:
            placed.append(_placed(row, files[row.path], environment, owner))
    entries = [one.entry for one in placed if one.entry is not None]
    edited = [_edited(files[path], environment, owner) for path, row in patches.items() if row.change != "deleted"]
    return reroot_paths([*entries, *edited, record_entry(package, placed)])


def edited_content(file: InstalledFile, environment: Environment) -> Content:
    """Give the bytes of an edited file as the image gets them: a text names the image's prefix, not the live one."""
    live = FileContent(path=file.location(environment.prefix), size=file.size)
    data = read_whole(live) if file.size <= _MAX_TEXT else b"\0"
    if b"\0" in data:
        return live
    mapped = data
    for prefix in environment.baked_prefixes:
        mapped = mapped.replace(prefix.encode("utf-8", "surrogateescape"), PREFIX)
    return live if mapped == data else LiteralContent(mapped)


def live_entry_point(data: bytes, path: str) -> EntryPoint | None:
    """Read the entry point out of a generated script; None if it is no such script, or an edited one."""
    data = _ENV.sub(b"#!/usr/bin/", plain_shebang(data), count=1)
    match = _GENERATED.search(data)
    if match is None:
        return None
    value = f"{match['module'].decode('ascii', 'replace')}:{match['call'].decode('ascii', 'replace')}"
    point = EntryPoint(name=path.rpartition("/")[2], value=value)
    return point if is_generated_script(data, point) else None


def read_live(file: InstalledFile, environment: Environment) -> bytes:
    """Read a live file whole.

    Raises:
        BuildError: It can't be read.
    """
    return read_whole(FileContent(path=file.location(environment.prefix), size=file.size))


def original_bytes(row: CondaPath, file: InstalledFile, environment: Environment) -> bytes:
    """Give the archive's bytes of a live file.

    Raises:
        BuildError: They are not what the lock was made from.
    """
    found = restore_original(read_live(file, environment), row, environment.baked_prefixes)
    if found is None:
        raise BuildError(f"{row.path!r} has changed since it was scanned", hint="run it again")
    return found


def _placed(row: CondaPath, file: InstalledFile, environment: Environment, owner: str) -> PlacedPath:
    if file.target:
        return PlacedPath(row=row, entry=symlink_entry(row.path, file.target, owner))
    executable = bool(file.mode & 0o111)
    if row.kind == ENTRY_POINT:
        point = live_entry_point(read_live(file, environment), row.path)
        if point is None:
            raise BuildError(f"{row.path!r} has changed since it was scanned", hint="run it again")
        return place_entry_point(row, point, owner)
    if row.placeholder:
        content, sha256 = relocated(lambda: original_bytes(row, file, environment), row)
        entry = environment_entry(row.path, executable=executable, content=content, owner=owner)
        return PlacedPath(row=row, entry=entry, sha256=sha256)
    live = FileContent(path=file.location(environment.prefix), size=file.size)
    entry = environment_entry(row.path, executable=executable, content=live, owner=owner, sha256=file.sha256)
    return PlacedPath(row=row, entry=entry)


def _edited(file: InstalledFile, environment: Environment, owner: str) -> Entry:
    if file.target:
        return symlink_entry(file.path, file.target, owner)
    content = edited_content(file, environment)
    return environment_entry(file.path, executable=bool(file.mode & 0o111), content=content, owner=owner)
