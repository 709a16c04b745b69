"""What an installer unpacked of a conda package: originals of files, and which of them hold the prefix.

It lies in a folder of a package cache, its files linked into environments. An edit in place may have reached it, so
that a file there is believed by its hash.
Source: CEP 34 (`info/paths.json`; packages older than that have `info/has_prefix`).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envcap.archives.conda import read_has_prefix
from envcap.conda.paths import HARDLINK, read_path
from envcap.digest import Digest
from envcap.entry import Content
from envcap.environment import CondaPath
from envcap.errors import BuildError
from envcap.files import FileContent

_MOST = 64 << 20
"""Bytes of an `info/paths.json`; those of the largest packages have some 20 MB."""

Placeholders = dict[tuple[str, str], CondaPath]
"""Rows by path in the archive and hash; the hash is empty where an old package names none."""


def read_placeholders(folders: Sequence[Path]) -> Placeholders:
    """Read which files hold the prefix, by path and hash; what can't be read says nothing."""
    found: Placeholders = {}
    for folder in folders:
        for raw in (*_rows(folder / "info/paths.json"), *_old_rows(folder / "info/has_prefix")):
            row = read_path(raw)
            if row is not None and row.placeholder:
                found.setdefault((row.path, row.sha256), row)
    return found


def with_placeholder(row: CondaPath, path: str, known: Placeholders) -> CondaPath:
    """Say of a file how it holds the prefix, where its record does not.

    Args:
        row: What the record says.
        path: Its path in the archive.
        known: What the installer unpacked says.
    """
    if row.placeholder or row.kind != HARDLINK:
        return row
    said = known.get((path, row.sha256)) or known.get((path, ""))
    return replace(row, placeholder=said.placeholder, binary=said.binary) if said else row


def find_original(row: CondaPath, path: str, folders: Sequence[Path]) -> tuple[Content, bool] | None:
    """Find the bytes that a row's hash names, and whether they can be executed.

    Args:
        row: What the record says.
        path: Its path in the archive.
        folders: Where installers may have unpacked it.
    """
    if row.kind != HARDLINK or not row.sha256:
        return None
    for folder in folders:
        place = folder / path
        try:
            state = place.lstat()
            content = FileContent(path=place, size=state.st_size)
            if Digest.of_chunks(content.chunks()).hex == row.sha256:
                return content, bool(state.st_mode & 0o111)
        except (OSError, BuildError):
            continue
    return None


def _rows(place: Path) -> list[object]:
    try:
        table = json.loads(_read(place))
    except (ValueError, RecursionError):
        return []
    rows = table.get("paths") if isinstance(table, dict) else None
    return rows if isinstance(rows, list) else []


def _old_rows(place: Path) -> list[dict[str, object]]:
    return [
        {"_path": path, "prefix_placeholder": placeholder, "file_mode": mode}
        for path, (placeholder, mode) in read_has_prefix(_read(place).decode("utf-8", "replace"))
    ]


def _read(place: Path) -> bytes:
    """Read a file; nothing where there is none, or one that is too large."""
    try:
        with place.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError:
        return b""
    return data if len(data) <= _MOST else b""
