"""Where a locked .deb may be fetched: the machine's mirrors first, then the distribution's snapshot archive.

A mirror drops a superseded package within days; the snapshot archive keeps every state. The lock has the time, the
Release file (field `Snapshots`) or `ENVCAP_DEBIAN_SNAPSHOT` the archive's address. The sha256 is the authority.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import IO
from urllib.parse import quote

from envcap.digest import CHUNK_SIZE
from envcap.errors import MissingArtifactError, SourceError
from envcap.lockfile.model import Source, SystemPackage
from envcap.secrets.urls import scrub_url
from envcap.sources.debian_settings import DebianMirrors
from envcap.sources.debian_transport import Transport


def locate_deb(package: SystemPackage, *, mirrors: DebianMirrors, sources: Iterable[Source]) -> Iterator[str]:
    """Give the addresses of a locked .deb, to be tried in order; they may hold credentials of the settings.

    Args:
        package: A row of the lock.
        mirrors: This machine's mirrors.
        sources: The lock's sources.
    """
    source = _source(package, sources)
    suite = source.suite if source is not None else ""
    for mirror in mirrors.of_suite(suite):
        yield f"{mirror.uri}/{_path(package)}"
    yield from locate_snapshot(package, mirrors=mirrors, source=source)


def locate_snapshot(package: SystemPackage, *, mirrors: DebianMirrors, source: Source | None) -> Iterator[str]:
    """Give the addresses of a locked .deb in snapshot archives, which keep every state of the distribution.

    Args:
        package: A row of the lock.
        mirrors: This machine's mirrors.
        source: The lock's source of the package.
    """
    if source is None or source.release <= 0:
        return
    suite = source.suite
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(source.release))
    archive = "debian-security" if suite.endswith("-security") else "debian"
    for template in dict.fromkeys((mirrors.snapshot, source.snapshot)):
        if "@SNAPSHOTID@" in template:
            base = template.replace("@SNAPSHOTID@", stamp).replace("@ARCHIVE@", archive)
            yield f"{base.rstrip('/')}/{_path(package)}"


def _source(package: SystemPackage, sources: Iterable[Source]) -> Source | None:
    return next((row for row in sources if row.name == package.source), None)


def _path(package: SystemPackage) -> str:
    # Names in a pool hold `+` and `~`, which are themselves in a path, but `%` and `?` would not be.
    return quote(package.file, safe="/+~:")


def fetch_deb(package: SystemPackage, urls: Iterable[str], *, transport: Transport, file: IO[bytes]) -> str:
    """Fetch a locked .deb into a file, from the first address that has the right bytes.

    Args:
        package: A row of the lock.
        urls: From `locate_deb`.
        transport: Reads mirrors.
        file: Empty, writable and seekable; holds the package afterwards.

    Returns:
        The address, scrubbed.

    Raises:
        MissingArtifactError: No address has it; the message lists what each of them said.
    """
    said: list[str] = []
    for url in urls:
        file.seek(0)
        file.truncate()
        sha256 = hashlib.sha256()
        try:
            for chunk in transport.stream(url, limit=package.size + CHUNK_SIZE):
                sha256.update(chunk)
                file.write(chunk)
        except SourceError as error:
            said.append(error.message)
            continue
        if file.tell() == package.size and sha256.hexdigest() == package.sha256:
            return scrub_url(url)
        said.append(
            f"{scrub_url(url)} has other bytes (expected {package.size} with sha256 {package.sha256},"
            f" found {file.tell()} with {sha256.hexdigest()})"
        )
    raise MissingArtifactError(
        f"No source has {package.name} {package.version} ({'; '.join(said) or 'no mirror was asked'})",
        hint="set ENVCAP_DEBIAN_SNAPSHOT to a snapshot archive, or renew the pins with `--refresh-system`",
    )
