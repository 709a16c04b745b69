"""Joins what the readers found into one `Environment`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, InstalledFile
from envcap.finding import Finding, FindingLevel
from envcap.scan.distributions import Installed
from envcap.scan.files import Tree
from envcap.scan.hashing import HashedFile
from envcap.scan.metadata import UNKNOWN_VERSION
from envcap.scan.owners import Ownership

UNREADABLE = "unreadable"
_MANY_LINKS = 50


def join_distributions(
    tree: Tree, installed: Sequence[Installed], ownership: Ownership, hashed: Mapping[str, HashedFile]
) -> tuple[Distribution, ...]:
    """Complete the distributions with their files, sorted by normalised name, version and folder."""
    complete = [
        dataclasses.replace(
            one.distribution,
            version=one.distribution.version or UNKNOWN_VERSION,
            files=installed_files(tree, owned, hashed),
            missing=missing,
        )
        for one, owned, missing in zip(installed, ownership.owned, ownership.missing, strict=True)
    ]
    return tuple(sorted(complete, key=lambda one: (canonicalize_name(one.name), one.version, one.directory)))


def installed_files(
    tree: Tree, paths: Iterable[str], hashed: Mapping[str, HashedFile], unread: frozenset[str] = frozenset()
) -> tuple[InstalledFile, ...]:
    """Describe files with their hashes; those that could not be hashed are left out (they are findings).

    Args:
        tree: The walked files.
        paths: Which to describe.
        hashed: Their hashes.
        unread: Those that were not to be hashed.
    """
    files: list[InstalledFile] = []
    for path in paths:
        file = tree.files[path]
        if file.is_link:
            files.append(
                InstalledFile(path=path, mode=file.mode, size=0, sha256="", target=file.target, links=file.links)
            )
        elif (content := hashed.get(path)) is not None:
            files.append(
                InstalledFile(
                    path=path,
                    mode=file.mode,
                    size=content.size,
                    sha256=content.sha256,
                    links=file.links,
                    source=tree.sources.get(path, ""),
                )
            )
        elif path in unread:
            files.append(InstalledFile(path=path, mode=file.mode, size=file.size, sha256="", links=file.links))
    return tuple(files)


def count_ignored(tree: Tree, ownership: Ownership, unreadable: int) -> dict[str, int]:
    """Count what was left out, by reason, reasons sorted."""
    counts = dict(tree.skipped)
    for reason, paths in ownership.ignored.items():
        counts[reason] = counts.get(reason, 0) + len(paths)
    if unreadable:
        counts[UNREADABLE] = counts.get(UNREADABLE, 0) + unreadable
    return dict(sorted(counts.items()))


def duplicate_findings(distributions: Iterable[Distribution]) -> list[Finding]:
    """Report names that are installed more than once: Python sees only one of them."""
    folders: dict[str, list[str]] = {}
    for one in distributions:
        folders.setdefault(canonicalize_name(one.name), []).append(one.directory)
    return [
        Finding(code="distribution-duplicate", message=f"{name} is installed {len(paths)} times", path=path)
        for name, paths in folders.items()
        if len(paths) > 1
        for path in paths
    ]


def link_findings(tree: Tree, paths: Iterable[str]) -> list[Finding]:
    """Report symlinks that lead out of the prefix: what they point to is not captured."""
    leaving = [path for path in paths if tree.files[path].is_link and tree.leaves_prefix(path)]
    if len(leaving) > _MANY_LINKS:
        message = (
            f"{len(leaving)} files are symlinks out of the environment, as `uv --link-mode symlink` makes them: "
            "what they point to is not captured"
        )
        return [Finding(code="symlink-escapes", message=message)]
    message = "The symlink leads out of the environment: what it points to is not captured"
    return [Finding(code="symlink-escapes", message=message, path=path) for path in leaving]


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Bring findings into a fixed order, each once: warnings first, then by code, path and message."""
    return tuple(
        sorted(set(findings), key=lambda one: (one.level is not FindingLevel.WARNING, one.code, one.path, one.message))
    )
