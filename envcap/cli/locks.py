"""Opening what a command line calls LOCK: a lockfile, its folder, or a bundle."""

from pathlib import Path

from envcap import blobs
from envcap.blobs import LockFolder
from envcap.bundle.read import is_bundle, open_bundle


def open_lock(path: Path) -> LockFolder:
    """Read a lock, given as the file, its folder, or a bundle that holds it.

    Raises:
        LockfileError: There is none, or it can't be read.
    """
    return open_bundle(path) if is_bundle(path) else blobs.open_lock(path)
