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


def relocate(path: str, data: bytes, relocation: Relocation) -> bytes | bytearray:
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


def relocate_binary(data: bytes, relocation: Relocation) -> bytes | bytearray:
    """Rewrite the private paths of a binary in place: the length stays, and so does every byte behind a path."""
    rewritten: bytearray | None = None
    for path in _private(relocation):
        if path.old not in (data if rewritten is None else rewritten):
            continue
        # One copy, where `sub` would hold the file twice over: libpython has tens of megabytes.
        if rewritten is None:
            rewritten = bytearray(data)
        for match in path.pattern.finditer(rewritten):
            rewritten[match.start() : match.end()] = _stretch(path, match)
    return data if rewritten is None else rewritten


def laptop_paths(data: bytes | bytearray, relocation: Relocation) -> tuple[str, ...]:
    """Return the paths of the laptop that bytes still hold; none after `relocate` of a generated or binary file."""
    return tuple(
        path.old.decode(errors="replace")
        for path in _private(relocation)
        if path.old in data and path.pattern.search(data)
    )


def _relocate_private(data: bytes, relocation: Relocation, *, with_home: bool) -> bytes:
    for path in _private(relocation):
        if path.old in data and (with_home or path.new != NOWHERE.encode()):
            data = path.pattern.sub(path.new, data)
    return data


@dataclass(frozen=True, slots=True)
class _Path:
    """A private path, what stands for it, and where it occurs."""

    old: bytes
    new: bytes
    pattern: re.Pattern[bytes]


@cache
def _private(relocation: Relocation) -> tuple[_Path, ...]:
    """List private paths, longest first, so that no path is cut by a shorter one."""
    pairs = {relocation.home: NOWHERE} if relocation.home not in ("", *PUBLIC) else {}
    pairs |= {build: BUILD for build in relocation.builds if not _is_public(build)}
    pairs |= {prefix: TARGET for prefix in relocation.prefixes if not _is_public(prefix)}
    # The home only where something follows it: its bare name is a word of many texts.
    return tuple(
        _Path(old, new.encode(), re.compile(re.escape(old) + (rb"(?=/)" if new == NOWHERE else _END)))
        for old, new in sorted(
            # File names are bytes: Python shows those that are not UTF-8 as surrogates (PEP 383).
            ((old.encode("utf-8", "surrogateescape"), new) for old, new in pairs.items()),
            key=lambda pair: (-len(pair[0]), pair[0]),
        )
    )


def _is_public(path: str) -> bool:
    # A folder right below the root is too short a word to be looked for everywhere, and names nobody.
    return path in PUBLIC or path.count("/") == 1


@cache
def _public_pattern(prefix: str, version: str) -> re.Pattern[bytes]:
    """Match a public prefix in a generated file, but not where it is the start of somebody else's path."""
    start = rb"(?:(?<![\w./-])|(?<=-[ILR])|(?<=-rpath,))" + re.escape(prefix.encode())
    if prefix in ("/usr", "/", "/opt"):
        # `/usr/bin/install` and `/usr/include/openssl` stay: only Python's own folders, and the bare scheme folders.
        python = rb"python" + re.escape(version.encode())
        own = rb"/(?:lib(?:64)?|include)(?:/[\w-]+)?/" + python + rb"(?![\w.])"
        library = rb"(?:lib|lib64)(?:/[\w]+-linux-\w+)?(?:/pkgconfig)?"
        bare = rb"(?:/(?:bin|include|share|share/man|" + library + rb"))?(?=[\"'\n]|\Z)"
        return re.compile(start + rb"(?=" + own + rb"|" + bare + rb")")
    return re.compile(start + _END)


def _stretch(path: _Path, match: re.Match[bytes]) -> bytes:
    """Write the new path at the old one's length."""
    whole = match.string[match.end() : match.end() + 1] in (b"\0", b"")
    tail = path.old[path.old.rindex(b"/") :] if whole else b""
    room = len(path.old) - len(tail)
    if len(path.new) <= room:
        return path.new.ljust(room, b"/") + tail
    blot = b"/" + b"_" * (room - 1) + tail
    # A path of underscores would stay what it is.
    return blot if blot != path.old else blot.replace(b"_", b"x")
