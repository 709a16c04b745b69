"""Reading live files of an environment, where the hash of the scan alone doesn't tell."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from envcap.digest import CHUNK_SIZE
from envcap.environment import InstalledFile
from envcap.errors import ScanError
from envcap.lock.proof import LARGEST_SCRIPT


class LiveTree:
    """The files of an environment; links are not followed.

    Args:
        prefix: Its folder.
        files: What the scan found, for those that lie elsewhere.
    """

    def __init__(self, prefix: Path, files: Iterable[InstalledFile] = ()) -> None:
        self.prefix = prefix
        self._elsewhere = {file.path: file.source for file in files if file.source}

    def read(self, path: str) -> bytes:
        """Read a file of at most 1 MiB.

        Raises:
            ScanError: It can't be read, or has grown since the scan.
        """
        try:
            with open(self._place(path), "rb", opener=_open_file) as file:
                data = file.read(LARGEST_SCRIPT + 1)
        except OSError as error:
            raise _changed(path, error.strerror or "") from error
        if len(data) > LARGEST_SCRIPT:
            raise _changed(path, "it has grown")
        return data

    def crc(self, path: str) -> int:
        """Compute the CRC-32 of a file.

        Raises:
            ScanError: It can't be read.
        """
        crc = 0
        try:
            with open(self._place(path), "rb", opener=_open_file) as file:
                while chunk := file.read(CHUNK_SIZE):
                    crc = zlib.crc32(chunk, crc)
        except OSError as error:
            raise _changed(path, error.strerror or "") from error
        return crc

    def _place(self, path: str) -> Path:
        return Path(self._elsewhere.get(path) or self.prefix / path)


def _open_file(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _changed(path: str, reason: str) -> ScanError:
    return ScanError(
        f"The environment changed while it was read: {path!r}: {reason}", hint="run it again when nothing installs"
    )
