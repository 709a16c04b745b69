"""Debian packages as image entries: unpacked by us, merged, and finished without maintainer scripts.

`system_files` is what the "OS packages" layer of an image holds: a pure function of the packages, whatever their order,
the host, its clock, user or number of processors.
"""

import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from envcap.archives.access import RandomAccess
from envcap.build.debian.alternatives import diversions
from envcap.build.debian.fixups import CA_BUNDLE, SYSTEM_ENVIRONMENT, apply_fixups
from envcap.build.debian.merge import check_parents, complete, merge_packages
from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import Tree, tree_of
from envcap.build.debian.unpack import deb_entries
from envcap.entry import Entry
from envcap.errors import BuildError

__all__ = [
    "SYSTEM_ENVIRONMENT",
    "DebContents",
    "SystemFiles",
    "Tree",
    "read_packages",
    "system_entries",
    "system_files",
    "tree_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFiles:
    """The operating system of an image.

    Attributes:
        packaged: What the packages bring, every parent directory present, sorted by raw path bytes.
        fixups: What maintainer scripts would have added, with missing parents, sorted; disjoint from `packaged`.
        libc_version: Version of libc6, or an empty string: for `fixups.library_cache` over a larger tree.
        findings: What maintainer scripts would do and nothing here does; a sentence each.
    """

    packaged: tuple[Entry, ...]
    fixups: tuple[Entry, ...]
    libc_version: str
    findings: tuple[str, ...]

    @property
    def entries(self) -> list[Entry]:
        """All of it, sorted by raw path bytes."""
        return complete([*self.packaged, *self.fixups])

    @property
    def environment(self) -> Mapping[str, str]:
        """`SYSTEM_ENVIRONMENT`, as far as these files support it."""
        has_bundle = any(entry.path == CA_BUNDLE for entry in self.fixups)
        return {key: value for key, value in SYSTEM_ENVIRONMENT.items() if has_bundle or key != "SSL_CERT_FILE"}


def system_entries(
    debs: Sequence[tuple[str, RandomAccess]], *, architecture: str, spools: Sequence[BinaryIO]
) -> list[Entry]:
    """Turn packages into the entries of an image; see `system_files`."""
    return system_files(debs, architecture=architecture, spools=spools).entries


def system_files(
    debs: Sequence[tuple[str, RandomAccess]], *, architecture: str, spools: Sequence[BinaryIO]
) -> SystemFiles:
    """Unpack packages, merge them and add what their maintainer scripts would have made.

    Args:
        debs: File name and bytes of each package; the order doesn't matter.
        architecture: Debian's name of the image's architecture: `amd64` or `arm64`.
        spools: Empty temporary files that take the unpacked bytes, one for each thread (two are worth while: lzma
            releases the GIL). The entries read from them, so they must stay open.

    Raises:
        ArchiveError: A package is damaged or hostile.
        BuildError: Packages disagree about a path, or are of another architecture.
    """
    contents = sorted(read_packages(debs, spools=spools), key=lambda package: package.package)
    for package in contents:
        if package.architecture not in {architecture, "all"}:
            raise BuildError(
                f"The package {package.package} is built for {package.architecture} (expected {architecture} or all)",
                hint="lock the packages again for this platform",
            )
    packaged = merge_packages(contents)
    tree = tree_of(packaged)
    fixups, findings = apply_fixups(tree, contents, architecture=architecture)
    everything = complete([*packaged, *fixups])
    check_parents(everything)
    added = [entry for entry in everything if entry.path not in tree]
    return SystemFiles(
        packaged=tuple(packaged),
        fixups=tuple(added),
        libc_version=next((package.version for package in contents if package.package == "libc6"), ""),
        findings=(*findings, *(finding for package in contents for finding in diversions(package))),
    )


def read_packages(debs: Sequence[tuple[str, RandomAccess]], *, spools: Sequence[BinaryIO]) -> list[DebContents]:
    """Read packages, as many at a time as there are spools.

    Returns:
        Their contents, in the order given.

    Raises:
        ArchiveError: A package is damaged or hostile; of several, the first in order is told.
    """
    free: queue.SimpleQueue[BinaryIO] = queue.SimpleQueue()
    for spool in spools:
        free.put(spool)

    def read(deb: tuple[str, RandomAccess]) -> DebContents:
        spool = free.get()
        try:
            return deb_entries(deb[1], name=deb[0], spool=spool)
        finally:
            free.put(spool)

    # Large packages first, so that none is left alone at the end.
    largest_first = sorted(range(len(debs)), key=lambda position: -debs[position][1].size)
    with ThreadPoolExecutor(max_workers=len(spools)) as pool:
        futures = {position: pool.submit(read, debs[position]) for position in largest_first}
        return [futures[position].result() for position in range(len(debs))]
