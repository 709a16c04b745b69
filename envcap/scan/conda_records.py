"""Reads the records of a conda prefix, `conda-meta/*.json`, as conda, mamba, pixi and rattler write them.

Each tool adds and leaves out keys, so nothing but name, version and build is demanded; a record that can't be read is
one finding, and its files are nobody's. Source: CEP draft "prefix records"; conda's `models/records.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from envcap.conda.channel import FILE, SUBDIR, channel_name, channel_url, split_url
from envcap.conda.paths import is_generated_row, place_noarch, read_path
from envcap.digest import is_sha256
from envcap.environment import CondaPath, CondaRecord
from envcap.scan.distributions import children
from envcap.scan.reader import TreeReader
from envcap.wheel.layout import is_bytecode

FOLDER = "conda-meta"
_LIMIT = 128 << 20
_SUFFIXES = (".conda", ".tar.bz2")


def read_conda_records(reader: TreeReader, *, site_packages: str = "") -> tuple[CondaRecord, ...]:
    """Read all records, sorted by name; what is odd becomes a finding of the reader.

    Args:
        reader: Reads the prefix.
        site_packages: Where the files of noarch Python packages lie: conda writes them as they are in the archive.
    """
    found: dict[str, CondaRecord] = {}
    for name in children(reader.tree, FOLDER):
        path = f"{FOLDER}/{name}"
        if not name.endswith(".json") or name.startswith(".") or path not in reader.tree.files:
            continue
        record = _read(reader, path, site_packages)
        if record is None:
            continue
        if record.name in found:
            message = f"conda's records name {record.name} twice: this one is left out"
            reader.note("conda-record-duplicate", message, path)
            continue
        found[record.name] = record
    return tuple(found[name] for name in sorted(found))


def _read(reader: TreeReader, path: str, site_packages: str) -> CondaRecord | None:
    data = reader.read(path, limit=_LIMIT)
    if data is None:
        return None
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        message = f"The conda record {path} is no JSON object: whose its files are is unknown"
        reader.note("conda-record-unreadable", message, path)
        return None
    identity = [_text(table.get(key)) for key in ("name", "version", "build")]
    file, subdir = _file_name(table, identity), _text(table.get("subdir"))
    if not all(identity) or not FILE.match(file) or not SUBDIR.match(subdir):
        message = f"The conda record {path} names no package with version, build, folder and file: it is left out"
        reader.note("conda-record-invalid", message, path)
        return None
    channel, noarch = _channel(table), _noarch(table.get("noarch"))
    return CondaRecord(
        name=identity[0],
        version=identity[1],
        build=identity[2],
        build_number=_count(table.get("build_number"), 0),
        channel=channel_name(channel),
        channel_url=channel if "://" in channel else "",
        subdir=subdir,
        file=file,
        size=_count(table.get("size"), -1),
        md5=_hex(table.get("md5"), 32),
        sha256=_hex(table.get("sha256"), 64),
        noarch=noarch,
        requested=_requested(table),
        depends=_texts(table.get("depends")),
        constrains=_texts(table.get("constrains")),
        directory=path,
        paths=_paths(reader, table, path, site_packages if noarch == "python" else ""),
        unpacked=_unpacked(table, file),
    )


def _paths(reader: TreeReader, table: Mapping[str, object], path: str, site: str) -> tuple[CondaPath, ...]:
    """Read the rows of `paths_data`, or, in old records, the names in `files`; bytecode is left out."""
    data = table.get("paths_data")
    rows = data.get("paths") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        names = table.get("files")
        rows = [{"_path": name} for name in names] if isinstance(names, list) else []
    found: dict[str, CondaPath] = {}
    odd = 0
    for row in rows:
        read = None if is_generated_row(row) else read_path(_original(row))
        if read is None:
            odd += not is_generated_row(row)
        elif not is_bytecode(read.path):
            read = replace(read, path=place_noarch(read.path, site)) if site else read
            found[read.path] = read
    if odd:
        reader.note("conda-record-odd", f"{odd} files of the conda record {path} have no usable path: left out", path)
    return tuple(found[name] for name in sorted(found))


def _unpacked(table: Mapping[str, object], file: str) -> str:
    """Read where the installer unpacked the package: its folder in a package cache, which has the archive's name."""
    link = table.get("link")
    named = [link.get("source") if isinstance(link, Mapping) else "", table.get("extracted_package_dir")]
    stem = next(file.removesuffix(suffix) for suffix in _SUFFIXES if file.endswith(suffix))
    for text in map(_text, named):
        if text.startswith("/") and text.rpartition("/")[2] == stem:
            return text
    return ""


def _original(row: object) -> object:
    """Give a row under the path that its package wanted: rattler renames what another package would overwrite."""
    original = row.get("original_path") if isinstance(row, dict) else None
    return {**row, "_path": original} if isinstance(row, dict) and isinstance(original, str) else row


def set_aside(reader: TreeReader, records: tuple[CondaRecord, ...]) -> frozenset[str]:
    """Name the files that rattler set aside because two packages hold them.

    They lie in `__clobbers__/NAME/`, or, as older releases left them, beside the other as `x__clobber-from-NAME`.
    """
    folders = tuple(f"__clobbers__/{record.name}/" for record in records)
    endings = tuple(f"__clobber-from-{record.name}" for record in records)
    return frozenset(path for path in reader.tree.files if path.startswith(folders) or path.endswith(endings))


def _channel(table: Mapping[str, object]) -> str:
    """Give the channel's scrubbed URL, by the package's own URL where there is one, else its name."""
    url = _text(table.get("url"))
    if "://" in url:
        return channel_url(url)
    channel, subdir = _text(table.get("channel")), _text(table.get("subdir"))
    bare = channel_url(channel) if "://" in channel else channel
    return bare.removesuffix(f"/{subdir}") if subdir else bare


def _file_name(table: Mapping[str, object], identity: list[str]) -> str:
    by_url = unquote(split_url(_text(table.get("url"))).path.rpartition("/")[2])
    name = _text(table.get("fn"))
    for candidate in (name, by_url):
        if candidate.endswith(_SUFFIXES) and "/" not in candidate:
            return candidate
    return name or "-".join(identity)


def _requested(table: Mapping[str, object]) -> tuple[str, ...]:
    """Read what a user asked for: `requested_spec` (conda) or `requested_specs`; a channel's URL in it is left out."""
    specs = {*_texts(table.get("requested_specs")), *_texts([table.get("requested_spec")])} - {"", "None"}
    return tuple(sorted({spec.rpartition("::")[2] if "://" in spec else spec for spec in specs} - {""}))


def _noarch(value: object) -> str:
    if value is True:
        return "generic"
    return value if value in {"python", "generic"} and isinstance(value, str) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) < 4096 else ""  # noqa: PLR2004  # no name is longer


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for row in value if (text := _text(row))) if isinstance(value, list) else ()


def _count(value: object, default: int) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
    return int(str(value)) if is_count else default


def _hex(value: object, length: int) -> str:
    text = value.lower() if isinstance(value, str) else ""
    return text if len(text) == length and is_sha256(text.rjust(64, "0")) else ""
