"""Which files of a prefix are Python's own, and which of those an image needs.

A prefix may belong to Python alone (pyenv, a standalone build) or to a whole system (`/usr`), so ownership is told by
name. Left out: what packages own (`site-packages`, `dist-packages`), test packages and their extension modules,
bytecode, the static library, and the marker that forbids pip (PEP 668), since the image's owner is not the system.
Source of the names: CPython's `Makefile.pre.in`, targets `bininstall`, `libinstall`, `inclinstall`, `libainstall`.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from envcap.errors import ScanError

_STDLIB = re.compile(r"(?P<lib>lib|lib64)/python(?P<version>\d+\.\d+)(?P<abi>[a-z]*)\Z")
_MULTIARCH = r"(?:/[a-z0-9_]+-linux-[a-z0-9]+)?"

TEST_PACKAGES = (
    "test",
    "ctypes/test",
    "distutils/tests",
    "idlelib/idle_test",
    "lib2to3/tests",
    "sqlite3/test",
    "tkinter/test",
    "unittest/test",
)
"""Below the standard library, as CPython's `TESTSUBDIRS` has had them since 3.8."""

_TEST_MODULE = re.compile(r"lib-dynload/_?(?:test\w+|ctypes_test|xxtestfuzz)\.[^/]*so\Z")
_PACKAGES = ("site-packages", "dist-packages")


# Not slotted: cached_property needs a `__dict__`.
@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one Python lies in its prefix.

    Attributes:
        stdlib: The standard library relative to the prefix, such as `lib/python3.11` or `lib/python3.13t`.
        whole: True if the prefix belongs to Python alone: all of `lib`, and the terminfo database, are its own.
    """

    stdlib: str
    whole: bool = False

    @property
    def name(self) -> str:
        """`python3.11`: the name of the executable and of the library's folder."""
        return self.stdlib.rpartition("/")[2]

    @cached_property
    def _match(self) -> re.Match[str]:
        match = _STDLIB.match(self.stdlib)
        if match is None:
            raise ScanError(
                f"Can't tell the files of this Python apart: its standard library is {self.stdlib!r} below its prefix "
                "(expected `lib/pythonX.Y` or `lib64/pythonX.Y`)",
                hint="use a Python from your distribution, pyenv, uv or /usr/local",
            )
        return match

    @property
    def version(self) -> str:
        """`3.11`."""
        return self._match["version"]

    @cached_property
    def _owned(self) -> re.Pattern[str]:
        # 3.7 and older add `m` to some names, free-threaded builds `t`, debug builds `d`.
        versioned = re.escape(f"python{self.version}") + "[a-z]*"
        return re.compile(
            # `bin/python` and `bin/python3` may be another version's: `tree.own_entries` makes them.
            rf"(?:bin/{versioned}(?:-config)?"
            rf"|lib(?:64)?{_MULTIARCH}/lib(?:{versioned}|python3)\.so[0-9.]*"
            rf"|lib(?:64)?{_MULTIARCH}/pkgconfig/python(?:3|-{re.escape(self.version)}[a-z]*)(?:-embed)?\.pc"
            rf"|include{_MULTIARCH}/{versioned}/.+"
            rf"|lib(?:64)?/{versioned}/.+)\Z"
        )

    @cached_property
    def _folders(self) -> re.Pattern[str]:
        versioned = re.escape(f"python{self.version}") + "[a-z]*"
        return re.compile(
            rf"(?:bin|include{_MULTIARCH}|lib(?:64)?{_MULTIARCH}(?:/pkgconfig)?"
            rf"|include{_MULTIARCH}/{versioned}(?:/.*)?|lib(?:64)?/{versioned}(?:/.*)?)\Z"
        )

    def enters(self, folder: str) -> bool:
        """Tell whether a folder, relative to the prefix, may hold files that `keeps` keeps."""
        if _is_dropped(self._below(folder)):
            return False
        if self.whole and re.match(r"(?:lib|include|share\Z|share/terminfo)", folder):
            return True
        return self._folders.match(folder) is not None

    def keeps(self, path: str) -> bool:
        """Tell whether a file, relative to the prefix, goes into the image."""
        if path.endswith((".pyc", ".pyo", ".a", ".o")) or _is_dropped(self._below(path)):
            return False
        if self.whole and path.startswith(("lib/", "include/", "share/terminfo/")):
            return True
        return self._owned.match(path) is not None

    def _below(self, path: str) -> str:
        """Return a path relative to the standard library, or an empty string if it is not there."""
        match = re.match(rf"lib(?:64)?/python{re.escape(self.version)}[a-z]*/(.+)\Z", path)
        return match[1] if match else ""

    def walk(self, prefix: Path, *, report: Callable[[str, OSError], None]) -> Iterator[str]:
        """Yield the files and symlinks of a live prefix that `keeps` keeps, relative to it, in any order.

        Args:
            prefix: The real prefix, symlinks resolved.
            report: Told of each folder that can't be read.
        """
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                rows = list(os.scandir(prefix / folder))
            except OSError as error:
                report(folder, error)
                continue
            for row in rows:
                path = f"{folder}/{row.name}" if folder else row.name
                if row.is_dir(follow_symlinks=False):
                    if self.enters(path):
                        pending.append(path)
                elif (row.is_symlink() or row.is_file(follow_symlinks=False)) and self.keeps(path):
                    yield path


def is_generated(path: str) -> bool:
    """Tell whether a file, relative to the prefix, is one that Python's build fills with its own paths.

    Source: CPython's configure and `Makefile.pre.in`; `build-details.json` is PEP 739's.
    """
    folder, _, name = path.rpartition("/")
    if name.startswith(("_sysconfigdata", "_sysconfig_vars")) or name == "build-details.json":
        return True
    return folder == "bin" or folder.endswith("/pkgconfig") or "/config-" in folder


def find_stdlib(paths: Iterator[str]) -> str:
    """Find the standard library among the paths of a tree.

    Raises:
        ScanError: There is none.
    """
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == "os.py" and _STDLIB.match(folder):
            return folder
    raise ScanError("This tree holds no Python: no `lib/pythonX.Y/os.py` was found")


def _is_dropped(below: str) -> bool:
    parts = below.split("/")
    return (
        parts[0] in _PACKAGES
        or "__pycache__" in parts
        or below == "EXTERNALLY-MANAGED"
        or any(below == package or below.startswith(package + "/") for package in TEST_PACKAGES)
        or _TEST_MODULE.match(below) is not None
    )
