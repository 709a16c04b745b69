"""The system calls of x86-64 that touch files, and the kernel's questions about those that a process makes.

See seccomp_unotify(2): the kernel stops a thread at a call, tells us its number and arguments, and waits for a word.
"""

import fcntl
import os
import platform
import select
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATIENCE = 300.0
"""Seconds without any call and without an end, after which a run is taken to hang."""

_FOLDER = -100  # AT_FDCWD: relative to the current folder
_ANYWHERE = -1
_QUESTION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1
_PAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A system call.

    Attributes:
        number: Its number.
        files: Which arguments are descriptors of open files.
        paths: Which are paths, each after the argument that is the folder it is relative to (-1: the current folder).
    """

    number: int
    files: tuple[int, ...] = ()
    paths: tuple[tuple[int, int], ...] = ()


KINDS = {
    "chmod": Kind(number=90, paths=((-1, 0),)),
    "fchmod": Kind(number=91, files=(0,)),
    "fdatasync": Kind(number=75, files=(0,)),
    "flock": Kind(number=73, files=(0,)),
    "fstat": Kind(number=5, files=(0,)),
    "fsync": Kind(number=74, files=(0,)),
    "ftruncate": Kind(number=77, files=(0,)),
    "getdents64": Kind(number=217, files=(0,)),
    "link": Kind(number=86, paths=((-1, 0), (-1, 1))),
    "linkat": Kind(number=265, paths=((0, 1), (2, 3))),
    "mkdir": Kind(number=83, paths=((-1, 0),)),
    "mkdirat": Kind(number=258, paths=((0, 1),)),
    "newfstatat": Kind(number=262, paths=((0, 1),)),
    "openat": Kind(number=257, paths=((0, 1),)),
    "read": Kind(number=0, files=(0,)),
    "rename": Kind(number=82, paths=((-1, 0), (-1, 1))),
    "renameat": Kind(number=264, paths=((0, 1), (2, 3))),
    "renameat2": Kind(number=316, paths=((0, 1), (2, 3))),
    "rmdir": Kind(number=84, paths=((-1, 0),)),
    "symlink": Kind(number=88, paths=((-1, 0), (-1, 1))),
    "symlinkat": Kind(number=266, paths=((-1, 0), (1, 2))),
    "unlink": Kind(number=87, paths=((-1, 0),)),
    "unlinkat": Kind(number=263, paths=((0, 1),)),
    "utimensat": Kind(number=280, paths=((0, 1),)),
    "write": Kind(number=1, files=(0,)),
}


def wrong_machine() -> str:
    """Why the numbers above mean nothing here; empty if they do."""
    known = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return "" if known else "the numbers of the system calls are those of Linux on x86-64"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCall:
    """A call that a thread is about to make: its name and all paths that it names or has descriptors of."""

    name: str
    paths: tuple[str, ...]
    question: int

    def touches(self, folder: Path) -> bool:
        """Whether it is about the folder or something in it."""
        return any(path == str(folder) or path.startswith(f"{folder}/") for path in self.paths)


class Listener:
    """The descriptor on which the kernel asks."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def calls(self, names: Sequence[str]) -> Iterator[WatchedCall]:
        """Give each call, until all processes that are watched have ended; each wants an answer, or a death."""
        by_number = {KINDS[name].number: name for name in names}
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while True:
            events = poll.poll(PATIENCE * 1000)
            if not events:
                raise TimeoutError(f"the watched process has neither ended nor called anything for {PATIENCE:.0f} s")
            if not events[0][1] & select.POLLIN:
                return
            asked = bytearray(_QUESTION.size)
            try:
                fcntl.ioctl(self._descriptor, _RECEIVE, asked)
            except FileNotFoundError:  # it was killed meanwhile
                continue
            question, thread, _, number, _, _, *arguments = _QUESTION.unpack(asked)
            name = by_number[number]
            yield WatchedCall(name=name, paths=tuple(_paths(KINDS[name], thread, arguments)), question=question)

    def wait(self) -> None:
        """Wait until all processes have ended, none of whose calls are watched."""
        for _ in self.calls(()):
            raise AssertionError("unreachable: nothing is asked")

    def let(self, call: WatchedCall) -> None:
        """Let the kernel do it."""
        self._answer(call.question, 0, _GO_ON)

    def fail(self, call: WatchedCall, error: int) -> None:
        """Let it fail with an `errno`, undone."""
        self._answer(call.question, -error, 0)

    def _answer(self, question: int, error: int, flags: int) -> None:
        with suppress(FileNotFoundError):  # it was killed meanwhile
            fcntl.ioctl(self._descriptor, _SEND, _ANSWER.pack(question, 0, error, flags))


def _paths(kind: Kind, thread: int, arguments: Sequence[int]) -> Iterator[str]:
    process = Path(f"/proc/{thread}")
    gone = (FileNotFoundError, ProcessLookupError)  # no such descriptor is open, or it was killed meanwhile
    for at in kind.files:
        with suppress(*gone):
            yield str((process / f"fd/{_signed(arguments[at])}").readlink())
    for relative, at in kind.paths:
        with suppress(*gone):
            folder = _FOLDER if relative == _ANYWHERE else _signed(arguments[relative])
            base = (process / ("cwd" if folder == _FOLDER else f"fd/{folder}")).readlink()
            yield os.path.normpath(base / _text(thread, arguments[at]))


def _signed(descriptor: int) -> int:
    return (descriptor & 0xFFFFFFFF) - ((descriptor & 0x80000000) << 1)


def _text(thread: int, address: int) -> str:
    """Read a string of a thread's memory, page by page, as the next page may not be there."""
    if not address:
        return ""  # `utimensat` of an open file
    text = b""
    memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY)
    try:
        while b"\0" not in text:
            at = address + len(text)
            read = os.pread(memory, _PAGE - at % _PAGE, at)
            if not read:
                raise ProcessLookupError(thread)
            text += read
    finally:
        os.close(memory)
    return os.fsdecode(text.partition(b"\0")[0])
