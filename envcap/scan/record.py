"""Reads an installed RECORD (PEP 376, PEP 627) or an egg's installed-files.txt, and resolves its paths.

Installers differ: pip writes CRLF, uv LF; scripts are `../../../bin/x`, some rows are absolute; bytecode has no hash.
"""

import csv
import io
import posixpath
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from envcap.environment import RecordRow
from envcap.scan.files import Tree, is_plain

LIMIT = 32 << 20
"""Bytes of a RECORD that are read: the largest known ones (a few 10,000 rows) have some MB."""

_MAX_ROWS = 250_000
_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")
_SIZE = re.compile(r"\d{1,18}\Z", re.ASCII)
_SHA256_BYTES = 32


@dataclass(slots=True)
class Record:
    """What a RECORD claims.

    Attributes:
        rows: By path relative to the prefix, in the order of the file.
        escapes: Rows whose path leaves the prefix.
        odd: Rows whose path can't be one (empty, control characters, not UTF-8).
        conflicts: Rows that name a path again, with another hash.
        broken: Why reading stopped early, or empty.
    """

    rows: dict[str, RecordRow] = field(default_factory=dict)
    escapes: int = 0
    odd: int = 0
    conflicts: int = 0
    broken: str = ""

    def sorted_rows(self) -> tuple[RecordRow, ...]:
        """Return the rows by path."""
        return tuple(self.rows[path] for path in sorted(self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where the paths of a RECORD start.

    Attributes:
        folder: What they are relative to, itself relative to the prefix: site-packages.
        roots: The prefix's absolute names (as given, as resolved), for absolute rows.
        tree: The walked files: knows which folders are symlinks.
    """

    folder: str
    roots: Sequence[str]
    tree: Tree


def read_record(data: bytes, base: Base) -> Record:
    """Read a RECORD; rows that make no sense are counted, never fatal."""
    record = Record()
    text = data.decode("utf-8", "surrogateescape")
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            if len(record.rows) >= _MAX_ROWS:
                record.broken = f"more than {_MAX_ROWS} rows"
                break
            if row:
                path, digest, size = (*row, "", "")[:3]
                _add(record, base, path, digest, size)
    except csv.Error as error:
        record.broken = str(error)
    return record


def read_installed_files(data: bytes, base: Base) -> Record:
    """Read installed-files.txt (setuptools): one path a line, relative to the egg-info folder."""
    record = Record()
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if (path := line.strip("\r")) and len(record.rows) < _MAX_ROWS:
            _add(record, base, path, "", "")
    return record


def parse_hash(text: str) -> str:
    """Return the 64 hex digits of `sha256=<urlsafe base64>`, also where it is padded or hex; else an empty string."""
    algorithm, _, value = text.strip().partition("=")
    if algorithm.lower() != "sha256":
        return ""
    if _HEX.match(value):
        return value.lower()
    try:
        raw = a2b_base64(value.rstrip("=").replace("-", "+").replace("_", "/") + "=", strict_mode=True)
    except (Base64Error, ValueError):
        return ""
    return raw.hex() if len(raw) == _SHA256_BYTES else ""


def resolve(path: str, base: Base) -> str | None:
    """Resolve a row's path to the prefix, via the real folders; None if it leaves the prefix."""
    if path.startswith("/"):
        path = posixpath.normpath("/" + path.lstrip("/"))
        root = next((root for root in base.roots if path.startswith(root + "/")), None)
        if root is None:
            return None
        path = path[len(root) + 1 :]
    else:
        path = f"{base.folder}/{path}"
        if "//" in path or "/." in path or path.endswith("/"):
            path = posixpath.normpath(path)
    if path == ".." or path.startswith("../") or path == ".":
        return None
    return base.tree.real_path(path)


def _add(record: Record, base: Base, path: str, digest: str, size: str) -> None:
    if not path or not is_plain(path):
        record.odd += 1
        return
    resolved = resolve(path, base)
    if resolved is None:
        record.escapes += 1
        return
    row = RecordRow(path=resolved, sha256=parse_hash(digest), size=int(size) if _SIZE.match(size) else -1)
    known = record.rows.setdefault(resolved, row)
    record.conflicts += known.sha256 != row.sha256
