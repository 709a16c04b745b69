"""The sdist that a distribution was built from on this machine: found among candidates, and compared by content.

A wheel that was built here has no artifact that a rebuild could fetch: its files are captured, so that the image does
not depend on a compiler. The sdist is recorded as the origin where at least half of the installed Python modules are
in it, byte for byte (the rest is generated, or was edited since). It is never fetched by a rebuild.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from envcap.archives.access import FileReader
from envcap.archives.decompress import decompress
from envcap.archives.limits import ArchiveLimits
from envcap.archives.tar import TarRules, read_tar
from envcap.archives.zip import open_zip
from envcap.entry import EntryKind
from envcap.environment import Distribution
from envcap.errors import ArchiveError, SourceError
from envcap.lockfile.model import SourceArchive
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session
from envcap.sources.location import ProjectFile, path_of_file_url
from envcap.sources.ranges import IDENTITY

LARGEST_SDIST: Final = 100_000_000
"""Bytes that are fetched to look into an sdist; the median real one has 0.1 MB."""

_LIMITS: Final = ArchiveLimits(total=2 << 30)
_SUFFIXES: Final = {".tar.gz": ".gz", ".tgz": ".gz", ".tar.bz2": ".bz2", ".tar.xz": ".xz", ".zip": ""}


def is_sdist(filename: str) -> bool:
    """Tell whether a file is an sdist of a form that can be read."""
    return filename.endswith(tuple(_SUFFIXES))


def find_sdist(
    distribution: Distribution, candidates: Iterable[ProjectFile], session: Session, meter: Meter
) -> SourceArchive | None:
    """Find the first candidate that holds the installed modules.

    Args:
        distribution: What is installed.
        candidates: Source archives of its version.
        session: Where to fetch them.
        meter: Counts what was received.
    """
    for file in candidates:
        if not is_sdist(file.filename) or (session.offline and file.local_path is None):
            continue
        try:
            with tempfile.TemporaryFile() as data:
                sha256 = _fetch(file, data, session, meter)
                hashes = frozenset(_modules(data, file.filename))
        except (SourceError, ArchiveError, OSError):
            continue
        if explains(distribution, hashes):
            return SourceArchive(file=file.filename, sha256=sha256)
    return None


def explains(distribution: Distribution, hashes: frozenset[str]) -> bool:
    """Tell whether at least half of a distribution's Python modules, and one at least, are among some hashes."""
    modules = [file.sha256 for file in distribution.files if file.path.endswith(".py") and file.size and file.sha256]
    found = sum(sha256 in hashes for sha256 in modules)
    return found > 0 and 2 * found >= len(modules)


def _fetch(file: ProjectFile, to: BinaryIO, session: Session, meter: Meter) -> str:
    """Copy a file and give its sha256, which must be the index's where that says one."""
    sha256 = hashlib.sha256()
    for chunk in _chunks(file, session, meter):
        sha256.update(chunk)
        to.write(chunk)
    to.flush()
    if file.sha256 and sha256.hexdigest() != file.sha256:
        raise AnswerError(f"{file.filename} is not what its index says", reason="garbage")
    return sha256.hexdigest()


def _chunks(file: ProjectFile, session: Session, meter: Meter) -> Iterator[bytes]:
    if file.local_path is not None:
        with path_of_file_url(file.url).open("rb") as local:
            yield local.read(LARGEST_SDIST)
        return
    with session.open(file.url, headers=IDENTITY) as response:
        if response.is_success:
            yield from session.chunks(response, limit=LARGEST_SDIST, meter=meter)


def _modules(data: BinaryIO, filename: str) -> Iterator[str]:
    """Yield the sha256 of each Python module of an sdist."""
    suffix = next(suffix for suffix in _SUFFIXES if filename.endswith(suffix))
    if suffix == ".zip":
        archive = open_zip(FileReader(data.fileno()), name=filename, limits=_LIMITS)
        for entry in archive.members:
            if entry.name.endswith(".py"):
                yield _hash(archive.content(entry).chunks())
        return
    data.seek(0)
    with tempfile.TemporaryFile() as spool:
        stream = decompress(data, _SUFFIXES[suffix], name=filename)
        size = data.seek(0, 2)
        data.seek(0)
        members = read_tar(
            stream, name=filename, spool=spool, compressed_size=size, limits=_LIMITS, rules=TarRules.DEBIAN
        )
        for member in members:
            if member.kind is EntryKind.FILE and member.path.endswith(".py"):
                yield _hash(member.content.chunks())


def _hash(chunks: Iterable[bytes]) -> str:
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()
