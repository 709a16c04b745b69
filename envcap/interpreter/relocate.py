"""Relocation of an interpreter to `/opt/python`, as pure functions from bytes to bytes.

Two aims: what the interpreter says of itself is true in the image, and no path of the laptop stays inside.

Text is rewritten word by word. Binaries are rewritten in place, at the same length, without moving any byte behind the
path: linkers let strings share their tails (`SHF_MERGE | SHF_STRINGS`; ELF gABI, "Special Sections"), and pyenv's
`/home/u/.pyenv/versions/3.11.7` really ends in the bytes that `sys.version` prints. So a path is stretched with
slashes, which POSIX reads as one (XBD 4.13), rather than shortened and filled with NUL; and where the string ends with
the path, its last component stays. Such a string (the compiled-in PREFIX) no longer names a real folder, which is
harmless: CPython finds its prefix from the executable (`Modules/getpath.py`).
"""

import re
from dataclasses import dataclass
from functools import cache

from envcap.interpreter.layout import is_generated
from envcap.interpreter.sysconfigdata import relocate_sysconfigdata
from envcap.recipe import PYTHON_ROOT

TARGET = f"/{PYTHON_ROOT}"
BUILD = "/build"
"""Stands for the folder that the interpreter was compiled in."""

NOWHERE = "/nonexistent"
"""Stands for the home directory: the home of users who have none (Debian policy, section 9.2.3)."""

PUBLIC = ("/", "/usr", "/usr/local", "/opt", "/install", TARGET)
"""Prefixes that tell nothing of their machine, and that other files may mention for good reasons of their own.
`/install` is python-build-standalone's."""

_END = rb"(?![A-Za-z0-9_.+-])"
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """Which paths go where.

    Attributes:
        prefixes: Old prefixes, absolute, without a trailing slash.
        builds: Folders that it was compiled in.
        home: The user's home directory, or empty.
        version: `3.11`, to tell Python's own folders below `/usr` from others.
    """

    prefixes: tuple[str, ...]
    builds: tuple[str, ...] = ()
    home: str = ""
    version: str = ""


def relocate(path: str, data: bytes, relocation: Relocation) -> bytes:
    """Rewrite one file; the same bytes come back if nothing in it is to be changed.

    Args:
        path: The file relative to the old prefix: generated files are rewritten more freely than others.
        data: Its bytes.
        relocation: Which paths go where.
    """
    if data.startswith(_ELF) or b"\0" in data:
        return relocate_binary(data, relocation)
    if not is_generated(path):
        return _relocate_private(data, relocation, with_home=False)
    if path.rpartition("/")[2].startswith("_sysconfigdata") and path.endswith(".py"):
        return relocate_sysconfigdata(data, lambda value: relocate_text(value, relocation))
    return relocate_text(data, relocation)


def relocate_text(data: bytes, relocation: Relocation) -> bytes:
    """Rewrite a text that Python's build filled with its paths."""
    for prefix in sorted(relocation.prefixes, key=len, reverse=True):
        if _is_public(prefix):
            data = _public_pattern(prefix, relocation.version).sub(TARGET.encode(), data)
    return _relocate_private(data, relocation, with_home=True)


def relocate_binary(data: bytes, relocation: Relocation) -> bytes:
    """Rewrite the private paths of a binary in place: the length stays, and so does every byte behind a path."""
    for old, new in _private(relocation):
        pattern = _pattern(old)
        if old.encode() in data:
            data = pattern.sub(lambda match, old=old, new=new: _stretch(match, old, new), data)
    return data


def laptop_paths(data: bytes, relocation: Relocation) -> tuple[str, ...]:
    """Return the paths of the laptop that bytes still hold; none after `relocate` of a generated or binary file."""
    return tuple(old for old, _ in _private(relocation) if old.encode() in data and _pattern(old).search(data))


def _relocate_private(data: bytes, relocation: Relocation, *, with_home: bool) -> bytes:
    for old, new in _private(relocation):
        if old.encode() in data and (with_home or not old.endswith("/")):
            data = _pattern(old).sub(new.encode(), data)
    return data


def _private(relocation: Relocation) -> list[tuple[str, str]]:
    """List old and new paths, longest first, so that no path is cut by a shorter one."""
    pairs = {build: BUILD for build in relocation.builds if not _is_public(build)}
    pairs |= {prefix: TARGET for prefix in relocation.prefixes if not _is_public(prefix)}
    if relocation.home and relocation.home not in PUBLIC:
        # With its slash: a bare `/root` is a word of many texts.
        pairs.setdefault(relocation.home + "/", NOWHERE + "/")
    return sorted(pairs.items(), key=lambda pair: (-len(pair[0]), pair[0]))


def _is_public(path: str) -> bool:
    # A folder right below the root is too short a word to be looked for everywhere, and names nobody.
    return path in PUBLIC or path.count("/") == 1


@cache
def _pattern(old: str) -> re.Pattern[bytes]:
    return re.compile(re.escape(old.encode()) + (b"" if old.endswith("/") else _END))


@cache
def _public_pattern(prefix: str, version: str) -> re.Pattern[bytes]:
    """Match a public prefix in a generated file, but not where it is the start of somebody else's path."""
    start = rb"(?:(?<![\w./-])|(?<=-[ILR])|(?<=-rpath,))" + re.escape(prefix.encode())
    if prefix in ("/usr", "/", "/opt"):
        # `/usr/bin/install` and `/usr/include/openssl` stay: only Python's own folders, and the bare scheme folders.
        python = rb"python" + re.escape(version.encode())
        own = rb"/(?:lib(?:64)?|include)(?:/[\w-]+)?/" + python + rb"(?![\w.])"
        bare = rb"(?:/(?:bin|lib|lib64|include|share|share/man))?(?=[\"'\n]|\Z)"
        return re.compile(start + rb"(?=" + own + rb"|" + bare + rb")")
    return re.compile(start + _END)


def _stretch(match: re.Match[bytes], old: str, new: str) -> bytes:
    """Write the new path at the old one's length."""
    whole = match.string[match.end() : match.end() + 1] in (b"\0", b"")
    tail = old[old.rindex("/") :] if whole and not old.endswith("/") else ""
    room = len(old.encode()) - len(tail.encode())
    if len(new) <= room:
        return (new.ljust(room, "/") + tail).encode()
    end = "/" if old.endswith("/") else ""
    return ("/" + "_" * (room - 1 - len(end)) + end + tail).encode()
