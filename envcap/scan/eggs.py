"""Reads what came before wheels: `.egg-info` (folder or file), `.egg` (folder or zip) and `.egg-link`.

Source: setuptools, "The Internal Structure of Python Eggs". Only what is on disk is read; a zip's members are
read in memory, bounded.
"""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from envcap.environment import DirectUrl, Distribution
from envcap.finding import FindingLevel
from envcap.scan.distributions import Installed, note_editable, note_record, read_identity, read_scripts, read_top_level
from envcap.scan.entry_points import parse_entry_points
from envcap.scan.metadata import Identity, identity_of_folder, parse_identity
from envcap.scan.reader import TreeReader
from envcap.scan.record import LIMIT, Base, Record, read_installed_files

_ZIP_LIMIT = 256 << 20
_MEMBER_LIMIT = 256 << 10


def read_egg_installs(reader: TreeReader, site: str, names: Sequence[str], roots: Sequence[str]) -> list[Installed]:
    """Read the eggs among the `names` in the folder `site`; arguments as `read_wheel_installs`."""
    found: list[Installed] = []
    for name in names:
        path = f"{site}/{name}"
        file = reader.tree.files.get(path)
        is_folder, is_file = path in reader.tree.folders, file is not None and not file.is_link
        if name.startswith("~"):
            continue
        if name.endswith(".egg-info") and (is_folder or is_file):
            found.append(_read_egg_info(reader, path, roots) if is_folder else _read_egg_info_file(reader, path))
        elif name.endswith(".egg") and (is_folder or is_file):
            found.append(_read_egg_folder(reader, path) if is_folder else _read_egg_zip(reader, path))
        elif name.endswith(".egg-link") and is_file:
            found.append(_read_egg_link(reader, path))
    return found


def _read_egg_info(reader: TreeReader, folder: str, roots: Sequence[str]) -> Installed:
    identity = read_identity(reader, f"{folder}/PKG-INFO", folder)
    path = f"{folder}/installed-files.txt"
    data = reader.read(path, limit=LIMIT)
    record = (
        read_installed_files(data, Base(folder=folder, roots=roots, tree=reader.tree)) if data is not None else Record()
    )
    if data is None:
        reader.note("record-missing", "Nothing says which files belong to it: its top-level modules are taken", path)
    note_record(reader, record, path)
    distribution = Distribution(
        name=identity.name,
        version=identity.version,
        form="egg-info",
        directory=folder,
        entry_points=read_scripts(reader, f"{folder}/entry_points.txt").entry_points,
        record=record.sorted_rows(),
    )
    modules = read_top_level(reader, folder) if data is None else ()
    return Installed(distribution=distribution, folders=(folder,), claims=frozenset(record.rows), modules=modules)


def _read_egg_info_file(reader: TreeReader, path: str) -> Installed:
    """Read the PKG-INFO that distutils wrote as one file beside the modules, and kept no list of them."""
    identity = read_identity(reader, path, path)
    message = "Nothing says which files belong to it (distutils install): they count as nobody's, and are captured so"
    reader.note("record-missing", message, path)
    distribution = Distribution(name=identity.name, version=identity.version, form="egg-info", directory=path)
    return Installed(distribution=distribution, claims=frozenset((path,)))


def _read_egg_folder(reader: TreeReader, folder: str) -> Installed:
    identity = read_identity(reader, f"{folder}/EGG-INFO/PKG-INFO", folder)
    distribution = Distribution(
        name=identity.name,
        version=identity.version,
        form="egg",
        directory=folder,
        entry_points=read_scripts(reader, f"{folder}/EGG-INFO/entry_points.txt").entry_points,
    )
    return Installed(distribution=distribution, folders=(folder,))


def _read_egg_zip(reader: TreeReader, path: str) -> Installed:
    members = _read_zip(reader, path, ("EGG-INFO/PKG-INFO", "EGG-INFO/entry_points.txt"))
    named = identity_of_folder(path.rpartition("/")[2])
    stated = parse_identity(members["EGG-INFO/PKG-INFO"])
    if not stated.name or not stated.version:
        reader.note("metadata-invalid", "The egg names no valid name and version: its file name is used instead", path)
    identity = Identity(stated.name or named.name, stated.version or named.version)
    distribution = Distribution(
        name=identity.name,
        version=identity.version,
        form="egg",
        directory=path,
        entry_points=parse_entry_points(members["EGG-INFO/entry_points.txt"]).entry_points,
    )
    return Installed(distribution=distribution, claims=frozenset((path,)))


def _read_zip(reader: TreeReader, path: str, names: Sequence[str]) -> dict[str, str]:
    """Read a few text members of a zip that lies in the environment; empty texts where there are none."""
    texts = dict.fromkeys(names, "")
    if reader.tree.files[path].size > _ZIP_LIMIT:
        reader.note("egg-unreadable", "The egg is too large to be looked into", path)
        return texts
    try:
        with zipfile.ZipFile(f"{reader.tree.prefix}/{path}") as archive:
            for name in sorted(set(names) & set(archive.namelist())):
                with archive.open(name) as member:
                    texts[name] = member.read(_MEMBER_LIMIT).decode("utf-8", "replace")
    # zipfile raises all of these on damaged or hostile input; RuntimeError for encryption.
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        RuntimeError,
        EOFError,
        NotImplementedError,
        zlib.error,
    ) as error:
        reader.note("egg-unreadable", f"The egg is no readable zip: {type(error).__name__}", path)
    return texts


def _read_egg_link(reader: TreeReader, path: str) -> Installed:
    """`setup.py develop`: the first line names the project's folder."""
    target = (reader.read_text(path, limit=4096) or "").partition("\n")[0].strip()
    named = identity_of_folder(path.rpartition("/")[2])
    direct_url = None
    if target.startswith("/") and target.isprintable():
        direct_url = DirectUrl(url=f"file://{quote(str(PurePosixPath(target)))}", kind="editable")
        note_editable(reader, direct_url, path)
    else:
        reader.note("egg-link-invalid", "It names no project folder", path)
    message = "Its version stands in the project's folder, outside the environment: it is not read"
    reader.note("version-unknown", message, path, FindingLevel.NOTE)
    distribution = Distribution(
        name=named.name, version=named.version, form="egg-link", directory=path, direct_url=direct_url
    )
    return Installed(distribution=distribution, claims=frozenset((path,)))
