"""The table of a conda package's files, as `info/paths.json` and the records of a prefix write it.

Source: CEP 34 (contents of conda packages), conda's `models/package_info.py` (`PathType`, `FileMode`).
"""

import re
from dataclasses import replace

from envcap.digest import is_sha256
from envcap.environment import CondaPath

HARDLINK, SOFTLINK, DIRECTORY, ENTRY_POINT = "hardlink", "softlink", "directory", "unix_python_entry_point"
KINDS = frozenset({HARDLINK, SOFTLINK, DIRECTORY, ENTRY_POINT})
TEXT, BINARY = "text", "binary"

LIBRARY = re.compile(r"\.so(?:\.[0-9][0-9.]{0,40})?\Z")
"""Names of shared libraries, which need no permission to be executed, and mostly have it."""

TARGET_HASH = "sha256:"
"""What stands before the hash of a link's target where only that is known (`CondaPath.target`)."""

_GENERATED = frozenset({"pyc_file", "linked_package_record"})
_UNSAFE = re.compile(r"(?:\A|/)(?:\.{0,2}(?:/|\Z)|\.wh\.)|[\0-\x1f\x7f\ud800-\udfff\\]")


def read_path(row: object) -> CondaPath | None:
    """Read one row; None if it is none, names a path outside the prefix, or a file that installers make themselves."""
    if not isinstance(row, dict):
        return None
    path, kind = row.get("_path"), row.get("path_type", HARDLINK)
    if not isinstance(path, str) or not is_inside(path) or kind not in KINDS:
        return None
    size, placeholder, mode = row.get("size_in_bytes"), row.get("prefix_placeholder"), row.get("file_mode")
    has_placeholder = isinstance(placeholder, str) and placeholder != "" and kind == HARDLINK
    return CondaPath(
        path=path,
        kind=kind,
        sha256=_sha256(row.get("sha256")),
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else -1,
        placeholder=str(placeholder) if has_placeholder else "",
        binary=has_placeholder and mode == BINARY,
        installed_sha256=_sha256(row.get("sha256_in_prefix")),
    )


def write_path(row: CondaPath) -> dict[str, object]:
    """Write one row in the same words, as far as it has a value; `target` is ours."""
    table: dict[str, object] = {"_path": row.path, "path_type": row.kind}
    table |= {"sha256": row.sha256} if row.sha256 else {}
    table |= {"size_in_bytes": row.size} if row.size >= 0 else {}
    if row.placeholder:
        table |= {"prefix_placeholder": row.placeholder, "file_mode": BINARY if row.binary else TEXT}
    return table | ({"target": row.target} if row.target is not None else {})


def read_written(row: object) -> CondaPath | None:
    """Read a row that `write_path` wrote; None for any other."""
    found = read_path(row)
    target = row.get("target") if isinstance(row, dict) else None
    return replace(found, target=target) if found and isinstance(target, str) else found


def is_generated_row(row: object) -> bool:
    """Tell whether a row is of a file that installers make: bytecode, or the record itself."""
    return isinstance(row, dict) and row.get("path_type") in _GENERATED


def is_inside(path: str) -> bool:
    """Tell whether a path is a plain one below the prefix."""
    return _UNSAFE.search(path) is None


def is_target_hash(target: str | None) -> bool:
    """Tell whether what is known of a link's target is its hash alone."""
    return target is not None and target.startswith(TARGET_HASH) and is_sha256(target.removeprefix(TARGET_HASH))


def place_noarch(path: str, site_packages: str) -> str:
    """Give the place of a file of a noarch Python package.

    Args:
        path: In the archive.
        site_packages: Of the prefix, such as `lib/python3.11/site-packages`.
    """
    if path.startswith("site-packages/"):
        return f"{site_packages}/{path.removeprefix('site-packages/')}"
    if path.startswith("python-scripts/"):
        return f"bin/{path.removeprefix('python-scripts/')}"
    return path


def unplace_noarch(path: str, site_packages: str) -> str:
    """Give the place that a file of a noarch Python package has in its archive: the inverse of `place_noarch`."""
    if path.startswith(f"{site_packages}/"):
        return f"site-packages/{path.removeprefix(f'{site_packages}/')}"
    if path.startswith("bin/"):
        return f"python-scripts/{path.removeprefix('bin/')}"
    return path


def _sha256(value: object) -> str:
    return value if isinstance(value, str) and is_sha256(value) else ""
