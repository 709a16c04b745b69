"""Reads files that lie outside the environment and take a place in it: those of a project folder."""

import hashlib
import os
from pathlib import Path

from envcap.digest import CHUNK_SIZE
from envcap.environment import InstalledFile


def read_file(path: str, source: Path) -> InstalledFile | None:
    """Hash a file that takes the place `path`; None for what is no regular file or can't be read."""
    try:
        place = source.resolve(strict=True)
        if not place.is_file():
            return None
        sha256 = hashlib.sha256()
        with place.open("rb") as file:
            state = os.fstat(file.fileno())
            while chunk := file.read(CHUNK_SIZE):
                sha256.update(chunk)
    except (OSError, RuntimeError):
        return None
    return InstalledFile(
        path=path, mode=state.st_mode & 0o7777, size=state.st_size, sha256=sha256.hexdigest(), source=str(place)
    )
