"""What a user may have meant by a LOCK that is not there: the locks that lie near."""

import os
from pathlib import Path

from envcap import blobs
from envcap.blobs import LOCK_NAME, LockFolder
from envcap.errors import LockfileError

_USUAL_FOLDER = Path("lockfiles")
_MOST_NAMED = 6
_MOST_LOOKED_AT = 1000


def open_local_lock(path: Path) -> LockFolder:
    """Read a lock, given as the file or its folder; where there is none, the error names those near.

    Raises:
        LockfileError: There is none, or it can't be read.
    """
    try:
        return blobs.open_lock(path)
    except LockfileError as error:
        is_missing = not os.path.lexists(path / LOCK_NAME if path.is_dir() else path)
        near = near_locks(path) if is_missing else ""
        hint = f"did you mean {near}? Else {error.hint}" if near else error.hint
        if is_missing and not path.is_dir():
            hint += ", or a reference with a tag: `registry.example.org/lab/ml:2026-11`"
        raise LockfileError(error.message, hint=hint) from None


def near_locks(path: Path) -> str:
    """Name the locks that a user may have meant, for a hint; empty if none lies near.

    Looked for below a folder that holds locks (`lockfiles`), beside what was named (`lockfiles/typo`), and, for a bare
    name, in the folder that snapshots are written to by default.
    """
    folders = [path] if path.is_dir() else [path.parent, *([_USUAL_FOLDER] if path.parent == Path() else [])]
    for folder in folders:
        if found := _locks_in(folder):
            named = [row for row in found if row.name == path.name] or found[:_MOST_NAMED]
            return " or ".join(map(str, named))
    return ""


def _locks_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_LOOKED_AT), strict=False)]
        return [folder / name for name in sorted(names) if name.isprintable() and (folder / name / LOCK_NAME).is_file()]
    except OSError:
        return []
