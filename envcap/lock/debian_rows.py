"""Rows of a lock for Debian packages and for the suites that they come from."""

import time
from collections.abc import Iterable

from envcap.lockfile.model import Source, SystemPackage
from envcap.sources.debian_index import DebianPackage
from envcap.sources.debian_release import Release

KIND = "debian"


def row_of(package: DebianPackage, *, platform: str, source: str = "", because: Iterable[str] = ()) -> SystemPackage:
    """Write down a package.

    Args:
        package: As the index describes it.
        platform: `linux/amd64`, `linux/arm64`.
        source: Name of its source's row.
        because: Reasons.
    """
    return SystemPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        platform=platform,
        source=source,
        file=package.file,
        size=package.size,
        sha256=package.sha256,
        because=tuple(sorted(because)),
    )


def source_of(release: Release) -> Source:
    """Write down a suite at one time: `debian-bookworm-20250712T093015Z`.

    The time is part of the name since a lock may hold the same suite at two times: packages that a new snapshot
    keeps are in the snapshot archive at their time, not always at the new one.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(release.date))
    return Source(
        name=f"debian-{release.suite}-{stamp}",
        kind=KIND,
        suite=release.suite,
        release=release.date,
        signature=release.signature,
        snapshot=release.snapshot,
    )


def row_of_release(package: DebianPackage, releases: Iterable[Release], *, platform: str) -> SystemPackage:
    """Write down a package that is not locked yet, with the source that it will have: enough to fetch it."""
    release = next((release for release in releases if release.suite == package.suite), None)
    return row_of(package, platform=platform, source=source_of(release).name if release is not None else "")
