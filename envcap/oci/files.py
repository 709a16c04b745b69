"""The files of a foreign image, by name: in a folder, or as members of a tar. Names may lead nowhere else."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from envcap.archives.access import FileReader, RegionStream
from envcap.archives.limits import ArchiveLimits
from envcap.archives.tar_stream import TarStream
from envcap.errors import EnvcapError, SinkError

LIMITS = ArchiveLimits(members=1_000_000, total=1 << 40)
"""Of one layer, and of the archive of an image: an image may be large."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")
"""Names inside an image's folder or archive: what a `manifest.json` says may not lead anywhere else."""
_FILE = frozenset({"0", "\0"})
_SYMLINK = "2"


class Files(Protocol):
    """The files of an image."""

    def names(self) -> Mapping[str, object]:
        """Give the names as keys."""

    def open(self, name: str) -> BinaryIO:
        """Open a file.

        Raises:
            SinkError: It is not there, or can't be read.
        """


@contextlib.contextmanager
def refusals(where: str) -> Iterator[None]:
    """Make every way in which a foreign image can be wrong an error of this sink."""
    try:
        yield
    except SinkError:
        raise
    except EnvcapError as error:
        # Readers of archives name the archive themselves.
        message = error.message if error.message.startswith(f"{where}: ") else f"{where}: {error.message}"
        raise SinkError(message, hint=error.hint) from None
    except OSError as error:
        raise SinkError(f"{where} can't be read: {error.strerror or error}") from None


class FolderFiles:
    """A folder; only its two tables of contents are listed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Mapping[str, object]:
        """See `Files`."""
        return {name: None for name in ("index.json", "manifest.json") if (self._root / name).is_file()}

    def open(self, name: str) -> BinaryIO:
        """See `Files`; a symlink, FIFO or device in the file's place is refused."""
        try:
            # O_NONBLOCK: opening a FIFO must not wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._root / checked_name(name), flags)
        except OSError as error:
            raise SinkError(f"{name} of the image can't be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SinkError(f"{name} of the image is no regular file")
        return os.fdopen(descriptor, "rb")


class TarFiles:
    """Random access to the members of an uncompressed tar."""

    def __init__(self, reader: FileReader, name: str) -> None:
        self._reader = reader
        self._members: dict[str, tuple[int, int, str]] = {}
        stream = RegionStream(reader, 0, reader.size)
        position = _Position(stream)
        tar = TarStream(position, name=name, limits=LIMITS, compressed_size=None)  # type: ignore[arg-type]  # reads only
        try:
            for member in tar.members():
                path = member.name.removeprefix("./")
                if member.kind in _FILE or member.kind == _SYMLINK:
                    self._members[path] = (position.offset, member.size, member.link if member.kind == _SYMLINK else "")
                tar.copy_data(member.size, _Sink())  # type: ignore[arg-type]  # writes only
        except EnvcapError as error:
            raise SinkError(f"{name} is no image archive: {error.message}") from None

    def names(self) -> Mapping[str, object]:
        """See `Files`."""
        return self._members

    def open(self, name: str) -> BinaryIO:
        """See `Files`."""
        if checked_name(name) not in self._members:
            raise SinkError(f"The image's archive lacks {name!r}")
        offset, size, link = self._members[name]
        if link:  # docker before 25 writes a repeated layer as a link to the first
            target = os.path.normpath(os.path.join(os.path.dirname(name), link))  # noqa: PTH118, PTH120  # a name, not a path
            offset, size, link = self._members.get(target, (0, 0, link))
            if link:
                raise SinkError(f"The image's archive links {name!r} to {target!r}, which is no file")
        return RegionStream(self._reader, offset, size)  # type: ignore[return-value]  # reads only


def checked_name(name: str) -> str:
    """Refuse a name that could lead outside.

    Raises:
        SinkError: It is absolute, climbs, or holds characters that no image's file has.
    """
    if not _NAME.match(name):
        raise SinkError(f"The image names a file {name[:100]!r} (expected a path inside the image)")
    return name


class _Position:
    def __init__(self, file: RegionStream) -> None:
        self._file = file
        self.offset = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size) or b""
        self.offset += len(data)
        return data


class _Sink:
    def write(self, data: bytes) -> int:
        return len(data)
