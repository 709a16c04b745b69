"""Make one tree of many packages: what `dpkg` does by unpacking one after the other, but independent of the order.

Source: Debian policy 7.6 (overwriting files is an error) and 10.1 (merged /usr). `Replaces` isn't honoured: in current
suites it only serves upgrades from older packages. Diversions aren't either; see `alternatives.diversions`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import ancestors, path_order
from envcap.digest import Digest
from envcap.entry import Content, Entry, EntryKind
from envcap.errors import BuildError

OWNER: Final = "envcap"
"""Who brings the entries that no package brings."""

DEFAULT_MODE: Final = 0o755
ALIASES: Final = ("bin", "sbin", "lib")
"""Directories of the root that are links into /usr on every architecture."""

OPTIONAL_ALIASES: Final = ("lib32", "lib64", "libx32")
"""The same, where a package has files in them: lib64 is where amd64's loader is."""


def merge_packages(contents: Sequence[DebContents]) -> list[Entry]:
    """Unite packages into one list of entries, sorted by raw path bytes, every parent directory present.

    A directory may come from several packages: of a mode or owner other than 0755 and root, at most one may be named.
    Another path may do so only if it is the same file: kind, mode, owner, group, target and bytes.

    Raises:
        BuildError: Two packages disagree about a path, one writes below another's file or link, or a package is
            there twice.
    """
    merged: dict[str, Entry] = {}
    previous = ""
    for package in sorted(contents, key=lambda package: package.package):
        if package.package == previous:
            raise BuildError(f"The package {previous} is there twice", hint="lock one version of each package")
        previous = package.package
        for entry in package.entries:
            known = merged.get(entry.path)
            merged[entry.path] = entry if known is None else _combine(known, entry)
    check_parents(merged.values())
    return complete([*merged.values(), *_aliases(merged)])


def complete(entries: Iterable[Entry]) -> list[Entry]:
    """Add missing parent directories (0755, root) and sort by raw path bytes, which puts parents first."""
    by_path = {entry.path: entry for entry in entries}
    missing = {parent for path in by_path for parent in ancestors(path)} - by_path.keys()
    return sorted([*by_path.values(), *map(directory, missing)], key=lambda entry: path_order(entry.path))


def check_parents(entries: Iterable[Entry]) -> None:
    """Refuse entries below a link or file: written through it, they would land elsewhere (CVE-2021-32760).

    Raises:
        BuildError: An entry's parent isn't a directory.
    """
    by_path = {entry.path: entry for entry in entries}
    for entry in by_path.values():
        for parent in ancestors(entry.path):
            found = by_path.get(parent)
            if found is not None and found.kind is not EntryKind.DIRECTORY:
                raise BuildError(
                    f"{entry.owner} brings /{entry.path}, but in {found.owner} /{parent} is a {found.kind.value}"
                    " (expected a directory)",
                    hint="leave one of the two packages out",
                )


def directory(path: str, mode: int = DEFAULT_MODE, *, owner: int = 0) -> Entry:
    """Make a directory of our own; `owner` is both user and group."""
    return Entry(path, EntryKind.DIRECTORY, mode, uid=owner, gid=owner, owner=OWNER)


def symlink(path: str, target: str) -> Entry:
    """Make a symlink of our own."""
    return Entry(path, EntryKind.SYMLINK, 0o777, target=target, owner=OWNER)


def _combine(known: Entry, entry: Entry) -> Entry:
    if known.kind is not entry.kind:
        raise _conflict(known, entry, f"a {known.kind.value} and a {entry.kind.value}")
    if entry.kind is EntryKind.DIRECTORY:
        return _combine_directories(known, entry)
    ours = (known.mode, known.uid, known.gid, known.target)
    theirs = (entry.mode, entry.uid, entry.gid, entry.target)
    if ours != theirs:
        raise _conflict(known, entry, "mode, owner or target differ")
    if not same_content(known.content, entry.content):
        raise _conflict(known, entry, "their bytes differ")
    return known


def _combine_directories(known: Entry, entry: Entry) -> Entry:
    default = (DEFAULT_MODE, 0, 0)
    ours, theirs = (known.mode, known.uid, known.gid), (entry.mode, entry.uid, entry.gid)
    if theirs in (ours, default):
        return known
    if ours == default:
        return replace(entry, owner=known.owner)
    raise _conflict(known, entry, f"directory modes {known.mode:04o} and {entry.mode:04o}, or owners")


def _conflict(known: Entry, entry: Entry, difference: str) -> BuildError:
    return BuildError(
        f"The packages {known.owner} and {entry.owner} both bring /{entry.path}: {difference}",
        hint="leave one of the two packages out; diversions (dpkg-divert) are not supported",
    )


def same_content(one: Content, other: Content) -> bool:
    """Tell whether two contents have equal bytes, without holding either in memory."""
    return one.size == other.size and Digest.of_chunks(one.chunks()) == Digest.of_chunks(other.chunks())


def _aliases(merged: dict[str, Entry]) -> list[Entry]:
    """Make the links of merged /usr that no package brings (fix-up F9), and what they point to."""
    used = {path.split("/")[1] for path in merged if path.startswith("usr/")}
    links = [symlink(name, f"usr/{name}") for name in (*ALIASES, *used.intersection(OPTIONAL_ALIASES))]
    targets = [directory(link.target) for link in links]
    return [entry for entry in links + targets if entry.path not in merged]
