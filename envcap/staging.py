"""Files that appear whole or not at all, and outlive a power cut: written beside their place, synced, then named.

The store has its own (`envcap.store.scratch`): other processes sweep its temporary files, so that they are locked.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

FOR_EVERYBODY = 0o644


@contextmanager
def new_file(path: Path, *, mode: int = FOR_EVERYBODY) -> Iterator[BinaryIO]:
    """Give a file to write and to read back; it gets its name last, in place of what has it.

    Nothing is left of it where writing it fails.

    Args:
        path: Where it will be; its folder must exist.
        mode: Its permissions, whatever the umask.

    Raises:
        OSError: It can't be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staging = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            _finish(file, mode)
        staging.rename(path)
        sync_folder(path.parent)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


@contextmanager
def synced_file(path: Path, *, mode: int = FOR_EVERYBODY) -> Iterator[BinaryIO]:
    """Give a new file to write and to read back, in a folder that is itself renamed to its place, or thrown away.

    Raises:
        OSError: It is there already, or can't be written.
    """
    with path.open("x+b") as file:
        yield file
        _finish(file, mode)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _finish(file: BinaryIO, mode: int) -> None:
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())
