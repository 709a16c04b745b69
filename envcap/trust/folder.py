"""Attestations as files beside a lock: `lockfiles/NAME/attestations/KIND-KEY.json`, small, plain, at home in git.

One file for each kind, platform and key: who signs again replaces what they said before.
"""

import base64
import os
import stat
from pathlib import Path
from typing import Final

from envcap.errors import TrustError
from envcap.staging import new_file
from envcap.trust import ATTESTATIONS
from envcap.trust.claims import KINDS
from envcap.trust.judge import MAX_ATTESTATIONS, Attestation
from envcap.trust.keys import PublicKey
from envcap.trust.statement import Statement
from envcap.trust.strict_json import MAX_BYTES

_SHORT: Final = 16
_HASH: Final = 32
_MAX_ENTRIES: Final = 4 * MAX_ATTESTATIONS


def read_attestations(lock: Path) -> tuple[Attestation, ...]:
    """Read what lies beside a lockfile, sorted by name; nothing is checked yet.

    Args:
        lock: The lockfile.

    Raises:
        TrustError: A file is no regular file, too long or can't be read, or there are too many.
    """
    folder = lock.parent / ATTESTATIONS
    if not os.path.lexists(folder):
        return ()
    _refuse_foreign(folder)
    try:
        names = _names(folder)
        return tuple(Attestation(name=name, data=_read(folder / name)) for name in names)
    except OSError as error:
        raise TrustError(f"{error.filename or folder} can't be read: {error.strerror or error}") from None


def write_attestation(lock: Path, statement: Statement, key: PublicKey, data: bytes) -> Path:
    """Lay a bundle beside a lockfile, whole or not at all.

    Args:
        lock: The lockfile.
        statement: What the bundle says.
        key: Who says it.
        data: The bundle.

    Returns:
        The file.

    Raises:
        TrustError: It can't be written.
    """
    return keep_attestation(lock, file_name(statement, key), data)


def keep_attestation(lock: Path, name: str, data: bytes) -> Path:
    """Lay an attestation beside a lockfile under a name that was checked, whole or not at all.

    Raises:
        TrustError: It can't be written.
    """
    folder = lock.parent / ATTESTATIONS
    path = folder / name
    try:
        folder.mkdir(exist_ok=True)
        _refuse_foreign(folder)
        with new_file(path) as file:
            file.write(data)
    except OSError as error:
        raise TrustError(f"{path} can't be written: {error.strerror or error}") from None
    return path


def key_name(hint: str) -> str:
    """Name a key shortly, from its hint in a bundle; `?` if that is no hash."""
    return (hint_digest(hint) or "?")[:_SHORT]


def hint_digest(hint: str) -> str | None:
    """Give the hash of a key, hex, from its hint in a bundle, or None if that is no hash."""
    try:
        found = base64.b64decode(hint, validate=True)
    except ValueError:
        found = b""
    return found.hex() if len(found) == _HASH else None


def file_name(statement: Statement, key: PublicKey) -> str:
    """Name the file of a statement by one key: `rebuild-linux-amd64-0123456789abcdef.json`."""
    platform = str(statement.predicate.get("platform", "")).replace("/", "-")
    parts = [KINDS[statement.predicate_type], platform, key.digest.hex[:_SHORT]]
    return f"{'-'.join(filter(None, parts))}.json"


def _names(folder: Path) -> list[str]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= _MAX_ENTRIES:
                raise TrustError(f"{folder} holds too many files (at most {_MAX_ENTRIES})")
            if entry.name.endswith(".json") and not entry.name.startswith("."):
                names.append(entry.name)
    if len(names) > MAX_ATTESTATIONS:
        raise TrustError(f"{folder} holds too many attestations ({len(names)}, at most {MAX_ATTESTATIONS})")
    return sorted(names)


def _read(path: Path) -> bytes:
    """Read a small regular file; never through a symlink, never waiting for a FIFO."""
    with open(path, "rb", opener=_open_plainly) as file:  # a Path takes no opener
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise TrustError(f"{path} is no attestation (expected a regular file)")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TrustError(f"{path} is too long for an attestation (at most {MAX_BYTES} bytes)")
    return data


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _refuse_foreign(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise TrustError(f"{folder} is not a folder of its own (expected no symlink and no file)")
