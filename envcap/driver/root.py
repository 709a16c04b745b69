"""Reads the files of a system below a root folder: `/` on the machine itself, a fake tree in tests.

Links are followed as if the root were `/` (an absolute one stays below it), and nothing waits: a pipe or a device in a
file's place is no file. Whatever can't be read reads as absent, since a kernel without a driver has no files for it.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_MAX_NAMES = 4096
_MAX_LINKS = 40  # as Linux has it: path_resolution(7), MAXSYMLINKS
_SMALL = 16 * 1024


@dataclass(frozen=True, slots=True)
class SystemRoot:
    """A system's file tree.

    Attributes:
        path: Its root on this machine.
    """

    path: Path

    def resolve(self, name: str) -> str:
        """Follow all links of an absolute path as a process in this root would; gives an absolute path in it.

        Raises:
            OSError: More links than a kernel follows.
        """
        todo = [part for part in reversed(name.split("/")) if part not in {"", "."}]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = done[:-1]
                continue
            try:
                target = str(self.path.joinpath(*done, part).readlink())
            except (OSError, ValueError):
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError("too many links")
            if target.startswith("/"):
                done = []
            todo += [piece for piece in reversed(target.split("/")) if piece not in {"", "."}]
        return "/" + "/".join(done)

    def place(self, name: str) -> Path:
        """Tell where on this machine a resolved path lies."""
        return self.path / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Tell whether something is there, whatever it is."""
        try:
            return os.path.lexists(self.place(self.resolve(name)))
        except (OSError, ValueError):
            return False

    def read_bytes(self, name: str, limit: int) -> bytes:
        """Read the beginning of a regular file; empty if there is none."""
        try:
            handle = os.open(self.place(self.resolve(name)), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return b""
        try:
            return _read(handle, limit) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        except OSError:
            return b""  # some files of /sys answer with an error: a cgroup forbids them
        finally:
            os.close(handle)

    def read(self, name: str) -> str:
        """Read a small text; empty if there is none."""
        return self.read_bytes(name, _SMALL).decode("ascii", "replace")

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted; empty if there is none."""
        try:
            return tuple(sorted(os.listdir(self.place(self.resolve(folder))))[:_MAX_NAMES])  # noqa: PTH208  # names only
        except (OSError, ValueError):
            return ()

    def link(self, name: str) -> str:
        """Give the last name of a link's target, such as a device's driver; empty if it is no link."""
        try:
            return self.place(name).readlink().name
        except (OSError, ValueError):
            return ""


def _read(handle: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    while limit > 0 and (piece := os.read(handle, limit)):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
