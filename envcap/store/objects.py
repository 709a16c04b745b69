"""Files of the store as they lie on the disk: opened without following links, told apart, set aside."""

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self


class FileIdentity(NamedTuple):
    """What changes when a file is replaced or written to: the key of what this process has checked."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of_state(cls, state: os.stat_result) -> Self:
        """Take it from a stat."""
        return cls(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)

    @classmethod
    def of_file(cls, file: BinaryIO) -> Self:
        """Take it from an open file. Raises `OSError`."""
        return cls.of_state(os.fstat(file.fileno()))


def open_object(path: Path) -> BinaryIO:
    """Open a regular file for reading, and nothing else.

    Raises:
        OSError: `ELOOP` for a link, `EINVAL` for a folder, FIFO or device; or whatever the system says.
    """
    # Without O_NONBLOCK, opening a planted FIFO would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))  # noqa: TRY301 -- closed below
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def move_aside(path: Path, quarantine: Path, *, inode: int) -> Path | None:
    """Move what was found damaged to a new name in `quarantine/`.

    Args:
        path: Where it was found.
        quarantine: The folder to move it to.
        inode: Of what was found; if another has replaced it meanwhile, that one stays.

    Returns:
        Where it is now, or None if it was gone or replaced.

    Raises:
        OSError: It can't be moved.
    """
    target = quarantine / f"{path.name}-{secrets.token_hex(4)}"
    try:
        if path.lstat().st_ino != inode:
            return None
        path.rename(target)
    except FileNotFoundError:
        return None
    return target
