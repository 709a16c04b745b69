"""The record of a conda package in the image: what conda, mamba and pixi read there, without anything that varies.

It follows from the lock's row and the package's files, so both sides write the same; it can be scanned again.
`url` names the package cache of the image, which holds no package: where it came from is each machine's own matter.
Source: conda's `models/records.py` (`PrefixRecord`), rattler's `rattler_conda_types::PrefixRecord`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from envcap.build.package import environment_entry
from envcap.conda.paths import BINARY, DIRECTORY, ENTRY_POINT, HARDLINK, TEXT
from envcap.entry import Entry, LiteralContent
from envcap.environment import CondaPath
from envcap.lockfile.model import CondaPackage
from envcap.recipe import CONDA_ROOT

_PIECES = "conda-meta"
_quote = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPath:
    """A file of a package, as the image has it.

    Attributes:
        row: Its row, with the path in the prefix.
        entry: What goes into the layer, before patches.
        sha256: Of the bytes in the image, where they differ from the archive's.
    """

    row: CondaPath
    entry: Entry | None
    sha256: str = ""


def record_entry(package: CondaPackage, placed: Iterable[PlacedPath]) -> Entry:
    """Write `conda-meta/NAME-VERSION-BUILD.json`."""
    patched = {patch.path for patch in package.patches}
    rows = sorted(placed, key=lambda one: one.row.path)
    table: dict[str, object] = {
        "build": package.build,
        "build_number": package.build_number,
        "channel": package.channel,
        "constrains": list(package.constrains),
        "depends": list(package.depends),
        "files": [one.row.path for one in rows if one.row.kind != DIRECTORY],
        "fn": package.file,
        "link": {"source": f"/{CONDA_ROOT}/pkgs/{package.name}-{package.version}-{package.build}", "type": 1},
        "name": package.name,
        "paths_data": {"paths": [_row(one, patched) for one in rows], "paths_version": 1},
        "requested_spec": package.requested[0] if package.requested else "None",
        "requested_specs": list(package.requested),
        "sha256": package.sha256,
        "size": package.size,
        "subdir": package.subdir,
        "url": f"file:///{CONDA_ROOT}/pkgs/{package.channel}/{package.subdir}/{package.file}",
        "version": package.version,
    }
    table |= {"md5": package.md5} if package.md5 else {}
    table |= {"noarch": package.noarch} if package.noarch else {}
    data = f"{indented(table)}\n".encode()
    path = f"{_PIECES}/{package.name}-{package.version}-{package.build}.json"
    return environment_entry(path, executable=False, content=LiteralContent(data), owner=owner_of(package))


def indented(value: object, line: str = "\n") -> str:
    """Write JSON as `json.dumps(…, indent=2, sort_keys=True, ensure_ascii=False)` does, in a fifth of the time.

    The standard library indents in Python, a generator for each value; records hold tens of thousands of them.

    Args:
        value: Tables with text keys, lists, texts, numbers.
        line: A line break and the indent of what the value is in.
    """
    below = f"{line}  "
    if isinstance(value, dict) and value:
        rows = [f"{_quote(key)}: {indented(value[key], below)}" for key in sorted(value)]
        return f"{{{below}{f',{below}'.join(rows)}{line}}}"
    if isinstance(value, list) and value:
        return f"[{below}{f',{below}'.join([indented(item, below) for item in value])}{line}]"
    return _quote(value) if isinstance(value, str) else json.dumps(value)


def owner_of(package: CondaPackage) -> str:
    """Name a conda package in messages and lists: pip may have one of the same name."""
    return f"{OWNER}{package.name}"


OWNER = "conda "


def _row(one: PlacedPath, patched: set[str]) -> dict[str, object]:
    """Write one path. What was patched live is listed as the archive has it, as far as that is known on both sides."""
    row = one.row
    table: dict[str, object] = {"_path": row.path, "path_type": row.kind}
    if row.kind == HARDLINK:
        table["sha256"] = row.sha256
    if row.placeholder:
        table |= {"prefix_placeholder": row.placeholder, "file_mode": BINARY if row.binary else TEXT}
    if row.kind in {HARDLINK, ENTRY_POINT} and one.entry is not None and row.path not in patched:
        table |= {"sha256_in_prefix": one.sha256 or row.sha256, "size_in_bytes": one.entry.content.size}
    return table
