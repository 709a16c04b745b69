"""Find the shared libraries of a tree as `ldconfig` would: which directories, which files, under which names.

Source: glibc elf/ldconfig.c as of 2.36 to 2.41, and Debian's patch that adds the multiarch directories to the
built-in ones.
Left out on purpose: libraries of another architecture, names outside printable ASCII, and the hwcap directories that
glibc gave up in 2.37 (`tls`, `haswell`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from envcap.build.debian.elf import SharedLibrary, read_shared_library
from envcap.build.debian.tree import Tree
from envcap.entry import Entry, EntryKind

TRIPLETS: Final = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
"""Debian's multiarch name of each architecture that envcap builds for."""

_NAME = re.compile(r"[!-.0-~]+\Z")
_MAX_INCLUDES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryDirectory:
    """A directory that the loader searches.

    Attributes:
        path: As the configuration spells it, which is how the cache prints it.
        real: Its canonical path in the tree.
        hwcaps: Name of the glibc-hwcaps subdirectory (`x86-64-v3`), or an empty string.
    """

    path: str
    real: str
    hwcaps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLibrary:
    """One line of the cache.

    Attributes:
        soname: What programs ask for.
        name: The file or link in the directory that it was found under.
        directory: Where.
        is_link: Whether the name is a symlink that stands for itself.
        isa_level: x86-64 level of the file, only told of files in glibc-hwcaps.
    """

    soname: str
    name: str
    directory: LibraryDirectory
    is_link: bool
    isa_level: int = 0

    @property
    def path(self) -> str:
        """The path that the cache gives: by soname, or by file name in glibc-hwcaps, where there are no links."""
        return f"{self.directory.path}/{self.name if self.directory.hwcaps else self.soname}"


def version_key(name: str) -> tuple[tuple[int, int], ...]:
    """Give the order of `_dl_cache_libcmp`: runs of digits compare as numbers and come after everything else."""
    return tuple((1, int(digits)) if digits else (0, ord(other)) for digits, other in re.findall(r"([0-9]+)|(.)", name))


def find_libraries(tree: Tree, *, architecture: str) -> list[FoundLibrary]:
    """List the libraries of all search directories, in the order of the directories, then of their names."""
    known: dict[str, SharedLibrary | None] = {}
    found: list[FoundLibrary] = []
    for directory in library_directories(tree, architecture=architecture):
        best: dict[str, FoundLibrary] = {}
        for library in _candidates(tree, directory, known, architecture):
            previous = best.get(library.soname)
            if previous is None or _is_newer(library, previous):
                best[library.soname] = library
        found.extend(best.values())
    return found


def missing_links(tree: Tree, *, architecture: str) -> list[Entry]:
    """Make the SONAME links that `ldconfig` would add beside libraries whose file name differs."""
    links = {}
    for library in find_libraries(tree, architecture=architecture):
        path = f"{library.directory.real}/{library.soname}".lstrip("/")
        if not (library.directory.hwcaps or library.is_link or path in tree):
            links[path] = Entry(path, EntryKind.SYMLINK, 0o777, target=library.name, owner="envcap")
    return list(links.values())


def library_directories(tree: Tree, *, architecture: str) -> list[LibraryDirectory]:
    """List the directories that `ldconfig` scans: configured, then built in, each followed by its glibc-hwcaps."""
    triplet = TRIPLETS[architecture]
    # Debian's order; unlike upstream's ldconfig on x86-64 it doesn't scan /lib64 (seen with 2.36 and 2.41).
    built_in = [f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib", "/usr/lib"]
    seen: dict[str, LibraryDirectory] = {}
    for path in [*_configured(tree, "/etc/ld.so.conf", _MAX_INCLUDES), *built_in]:
        real = tree.resolve(path)
        if real is None or not tree.is_directory(real) or real in seen:
            continue
        seen[real] = LibraryDirectory(path=path, real=real)
        for level in _hwcaps(tree, path):
            seen.setdefault(level.real, level)
    return list(seen.values())


def _hwcaps(tree: Tree, path: str) -> Iterator[LibraryDirectory]:
    parent = tree.resolve(f"{path}/glibc-hwcaps")
    for name in tree.names.get(parent, ()) if parent is not None else ():
        real = tree.resolve(f"{parent}/{name}")
        if real is not None and tree.is_directory(real) and name[0] != "." and ":" not in name:
            yield LibraryDirectory(path=f"{path}/glibc-hwcaps/{name}", real=real, hwcaps=name)


def _configured(tree: Tree, path: str, depth: int) -> Iterator[str]:
    """Yield the directories of a configuration file and of those that it includes (ldconfig(8))."""
    raw = tree.read(path)
    if raw is None or not depth:
        return
    for line in raw.decode("utf-8", "surrogateescape").split("\n"):
        text = line.partition("#")[0].strip()
        words = text.split()
        if len(words) > 1 and words[0] == "include":
            for pattern in words[1:]:
                base = "" if pattern.startswith("/") else path.rpartition("/")[0] + "/"
                for included in _matching(tree, base + pattern):
                    yield from _configured(tree, included, depth - 1)
        elif text.startswith("/") and not text.lower().startswith("hwcap "):
            yield text.partition("=")[0].rstrip().rstrip("/")


def _matching(tree: Tree, pattern: str) -> list[str]:
    """Expand a glob, sorted by bytes; as in glob(3), wildcards don't match a leading dot."""
    found = [""]
    for part in pattern.strip("/").split("/"):
        expanded = []
        for base in found:
            real = tree.resolve(base)
            names = tree.names.get(real, ()) if real is not None else ()
            expanded += [
                f"{base}/{name}"
                for name in names
                if fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
        found = expanded
    return found


def _candidates(
    tree: Tree, directory: LibraryDirectory, known: dict[str, SharedLibrary | None], architecture: str
) -> Iterator[FoundLibrary]:
    for name in tree.names.get(directory.real, ()):
        if not (name.startswith(("lib", "ld-")) and ".so" in name and _NAME.match(name)):
            continue
        path = f"{directory.real}/{name}".lstrip("/")
        entry = tree.file(path)
        if entry is None:
            continue
        if entry.path not in known:
            known[entry.path] = read_shared_library(entry.content, architecture=architecture)
        library = known[entry.path]
        if library is not None and _NAME.match(library.soname or name):
            is_symlink = tree.entries[path].kind is EntryKind.SYMLINK
            yield _found(directory, name, library, is_symlink=is_symlink)


def _found(directory: LibraryDirectory, name: str, library: SharedLibrary, *, is_symlink: bool) -> FoundLibrary:
    """Decide the key of a library: a symlink stands for itself only as SONAME or as its `.so` development link."""
    soname = library.soname or name
    is_link = is_symlink and (name == soname or (name.endswith(".so") and soname.startswith(name)))
    return FoundLibrary(
        soname=name if is_link else soname,
        name=name,
        directory=directory,
        is_link=is_link,
        isa_level=library.isa_level if directory.hwcaps else 0,
    )


def _is_newer(library: FoundLibrary, previous: FoundLibrary) -> bool:
    """Prefer a file to a link, then the higher version."""
    if library.is_link != previous.is_link:
        return previous.is_link
    return version_key(previous.name) < version_key(library.name)
