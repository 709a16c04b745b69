"""What a .deb says about itself: the sonames it brings, those it needs, and its dependencies.

Read from the locked file itself, so it is exact. Remembered by the file's hash: a package is unpacked for this once.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Final

from envcap.archives.access import RandomAccess
from envcap.archives.ar import DebSection, open_section, read_deb
from envcap.archives.spool import SpooledContent
from envcap.archives.tar import TarMember, read_tar
from envcap.elf_reader import MAGIC, read_elf
from envcap.entry import EntryKind
from envcap.errors import ScanError, SystemPackageError
from envcap.lockfile.model import SystemPackage
from envcap.sources.debian_contents import TRIPLETS
from envcap.sources.debian_table import IndexCache

FORMAT: Final = "debian-deb-1"
_MACHINES: Final = {"amd64": "62-64-little", "arm64": "183-64-little"}
_SHARED: Final = re.compile(r"[^/]+\.so(?:\.[^/]+)?\Z")
_CONTINUED: Final = re.compile(r"\n[ \t]+")
_CONTROL_LIMIT: Final = 1 << 20

OpenDeb = Callable[[SystemPackage], AbstractContextManager[RandomAccess]]
"""Opens a locked .deb, fetched into the store if need be and checked by its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebFacts:
    """What resolving needs to know of a .deb.

    Attributes:
        needed: DT_NEEDED of its ELF files, sorted, less what it brings itself.
        provided: Shared libraries in the folders that the dynamic linker searches by itself, sorted.
        private: Shared libraries elsewhere, sorted.
        source: Name of its source package.
        pre_depends: As written.
        depends: As written.
    """

    needed: tuple[str, ...] = ()
    provided: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    source: str = ""
    pre_depends: str = ""
    depends: str = ""


ReadDeb = Callable[[SystemPackage], DebFacts]
"""Tells the facts of a locked .deb."""


def make_deb_reader(open_deb: OpenDeb, cache: IndexCache) -> ReadDeb:
    """Make a reader that remembers.

    Args:
        open_deb: Opens a package's file.
        cache: Keeps facts by the file's sha256.
    """
    known: dict[str, DebFacts] = {}

    def read(package: SystemPackage) -> DebFacts:
        if package.sha256 not in known:
            known[package.sha256] = _recall(cache, package) or _read(cache, package, open_deb)
        return known[package.sha256]

    return read


def _read(cache: IndexCache, package: SystemPackage, open_deb: OpenDeb) -> DebFacts:
    with open_deb(package) as reader:
        facts = read_deb_facts(reader, name=f"{package.name} {package.version}", architecture=package.architecture)
    record = [
        [facts.needed, facts.provided, facts.private],
        [facts.source, facts.pre_depends, facts.depends],
    ]
    cache.put(f"{FORMAT}:{package.sha256}", json.dumps(record).encode())
    return facts


def _recall(cache: IndexCache, package: SystemPackage) -> DebFacts | None:
    data = cache.get(f"{FORMAT}:{package.sha256}")
    if data is None:
        return None
    lists, texts = json.loads(data)
    needed, provided, private = (tuple(map(str, names)) for names in lists)
    source, pre_depends, depends = map(str, texts)
    return DebFacts(
        needed=needed, provided=provided, private=private, source=source, pre_depends=pre_depends, depends=depends
    )


def read_deb_facts(reader: RandomAccess, *, name: str, architecture: str) -> DebFacts:
    """Read a .deb's control file and ELF files.

    Args:
        reader: The file.
        name: The package, for messages.
        architecture: `amd64`, `arm64` or `all`.

    Raises:
        ArchiveError: It is damaged or hostile.
        SystemPackageError: It has no control file.
    """
    archive = read_deb(reader, name=name)
    with tempfile.TemporaryFile() as spool:
        fields = _read_control(_members(reader, archive.control, spool, name), name)
        members = _members(reader, archive.data, spool, name)
        provided, private = _libraries(members, architecture)
        needed: set[str] = set()
        for member in members if architecture in _MACHINES else ():
            if member.kind is EntryKind.FILE and member.size:
                sonames, own = _read_elf(member, architecture)
                needed |= sonames
                if own and member.path.rpartition("/")[2] in provided:
                    provided.add(own)
    return DebFacts(
        needed=tuple(sorted(needed - provided - private)),
        provided=tuple(sorted(provided)),
        private=tuple(sorted(private)),
        source=fields.get("Source", fields.get("Package", "")).partition(" ")[0],
        pre_depends=fields.get("Pre-Depends", ""),
        depends=fields.get("Depends", ""),
    )


def _members(reader: RandomAccess, section: DebSection, spool: BinaryIO, name: str) -> list[TarMember]:
    with open_section(reader, section, name=name) as stream:
        return read_tar(stream, name=name, spool=spool, compressed_size=section.size)


def _read_control(members: list[TarMember], name: str) -> dict[str, str]:
    for member in members:
        if member.path == "control" and member.kind is EntryKind.FILE and member.size <= _CONTROL_LIMIT:
            text = b"".join(member.content.chunks()).decode("utf-8", "replace")
            lines = _CONTINUED.sub(" ", text).splitlines()
            return {field: value.strip() for field, _, value in (line.partition(":") for line in lines)}
    raise SystemPackageError(f"The Debian package {name} has no control file")


def _libraries(members: list[TarMember], architecture: str) -> tuple[set[str], set[str]]:
    """Split a package's shared libraries by whether the linker finds them by itself (ld.so(8))."""
    searched = {"lib", "lib64", f"lib/{TRIPLETS.get(architecture, '')}"}
    provided: set[str] = set()
    private: set[str] = set()
    for member in members:
        folder, _, base = member.path.removeprefix("usr/").rpartition("/")
        if member.kind is not EntryKind.DIRECTORY and _SHARED.match(base):
            (provided if folder in searched else private).add(base)
    return provided, private


def _read_elf(member: TarMember, architecture: str) -> tuple[set[str], str]:
    content = member.content
    if not isinstance(content, SpooledContent):  # a spooled member's content always is one
        return set(), ""
    descriptor = content.spool.fileno()

    def read_at(offset: int, size: int) -> bytes:
        return os.pread(descriptor, max(min(size, content.size - offset), 0), content.offset + offset)

    if read_at(0, len(MAGIC)) != MAGIC:
        return set(), ""
    try:
        elf = read_elf(read_at)
    except ScanError:
        return set(), ""  # firmware, an object file for another machine: nothing that the loader would load
    return (set(elf.needed), elf.soname) if elf.machine == _MACHINES[architecture] else (set(), "")
