"""Turn what the operating system refuses into errors that a user can act on.

Every `OSError` of the store becomes a `StoreError` of one line: what was tried, on which path, why it failed,
and, for a full disk, how much was needed and how much is free.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from envcap.errors import StoreError

_MOVE: Final = "choose another folder with --store or ENVCAP_STORE"
_HINTS: Final = {
    errno.ENOSPC: f"free some space (`envcap store gc`), or {_MOVE}",
    errno.EDQUOT: f"free some of your quota (`envcap store gc`), or {_MOVE}",
    errno.EROFS: f"the file system is read-only: {_MOVE}",
    errno.EACCES: f"make the folder yours (chown, chmod u+rwx), or {_MOVE}",
    errno.EPERM: f"make the folder yours (chown, chmod u+rwx), or {_MOVE}",
    errno.EMFILE: "raise the limit of open files (`ulimit -n 4096`) or lower --jobs",
    errno.ENFILE: "the machine has too many open files: close some programs, or lower --jobs",
    errno.EIO: "the disk reports a fault: look into the kernel log, then run `envcap store fsck`",
    errno.ENAMETOOLONG: f"the path is too long: {_MOVE}",
    errno.ENOTDIR: f"a file stands where a folder is needed: {_MOVE}",
    errno.ELOOP: "a symbolic link stands where an object is needed: run `envcap store fsck`",
}
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain_fault(error: OSError, doing: str, path: Path, *, need: int | None = None) -> StoreError:
    """Make the `StoreError` that tells of an `OSError`.

    Args:
        error: What the operating system said.
        doing: A verb: `read`, `write`, `rename`.
        path: What it was done to.
        need: Bytes needed on the disk, where known; told when it is full.
    """
    code = error.errno or 0
    reason = os.strerror(code) if code else str(error)
    message = f"Can't {doing} {show_path(path)}: {reason}"
    if code in _FULL:
        message += _tell_space(path, need)
    return StoreError(message, hint=_HINTS.get(code, ""))


@contextmanager
def faults_explained(doing: str, path: Path, *, need: int | None = None) -> Iterator[None]:
    """Run a block whose `OSError` becomes a `StoreError` (arguments as of `explain_fault`).

    Raises:
        StoreError: The block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise explain_fault(error, doing, path, need=need) from error


def show_path(path: Path) -> str:
    """Write a path on one line: control characters could otherwise drive the user's terminal."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _tell_space(path: Path, need: int | None) -> str:
    parts = [] if need is None else [f"{need / 1e6:.1f} MB needed"]
    for folder in path.parents:
        try:
            space = os.statvfs(folder)
        except OSError:
            continue
        parts.append(f"{space.f_bavail * space.f_frsize / 1e6:.1f} MB free")
        break
    return f" ({', '.join(parts)})" if parts else ""
