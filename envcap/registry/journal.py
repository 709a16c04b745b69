"""Where uploads stand, kept on the disk: a publish that was killed goes on in the middle of a blob.

One small file an upload, named by the hash of what it is about; it holds the place that the registry gave, which only
whoever may push there can use. A file that can't be read is as good as none: the blob is then sent from its start.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Final, Protocol

from envcap.digest import Digest
from envcap.staging import new_file

_LONGEST: Final = 8192


class UploadJournal(Protocol):
    """Remembers the place of each upload that isn't finished."""

    def recall(self, name: str, digest: Digest) -> str:
        """Give an upload's place, or an empty string."""

    def note(self, name: str, digest: Digest, place: str) -> None:
        """Keep an upload's newest place."""

    def forget(self, name: str, digest: Digest) -> None:
        """Forget an upload: it is finished, or the registry doesn't know it."""


class NoJournal:
    """Remembers nothing."""

    def recall(self, name: str, digest: Digest) -> str:  # noqa: ARG002
        """Give an empty string."""
        return ""

    def note(self, name: str, digest: Digest, place: str) -> None:
        """Keep nothing."""

    def forget(self, name: str, digest: Digest) -> None:
        """Do nothing."""


class FileJournal:
    """Remembers in a folder of the user's own (mode 0700)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, name: str, digest: Digest) -> str:
        """Give an upload's place, or an empty string."""
        try:
            with self._path(name, digest).open("rb") as file:
                text = file.read(_LONGEST + 1).decode("ascii")
        except (OSError, UnicodeDecodeError):
            return ""
        return text if len(text) <= _LONGEST and text.isprintable() else ""

    def note(self, name: str, digest: Digest, place: str) -> None:
        """Keep an upload's newest place; one that can't be kept only costs time."""
        if len(place) > _LONGEST or not place.isascii():
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with new_file(self._path(name, digest), mode=0o600) as file:
                file.write(place.encode())

    def forget(self, name: str, digest: Digest) -> None:
        """Forget an upload."""
        with contextlib.suppress(OSError):
            self._path(name, digest).unlink(missing_ok=True)

    def _path(self, name: str, digest: Digest) -> Path:
        return self._folder / hashlib.sha256(f"{name}@{digest}".encode()).hexdigest()
