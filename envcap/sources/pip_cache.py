"""pip's cache of wheels that it built here: beside each, `origin.json` names the sdist with its sha256.

pip writes it since 22.2 (`wheels/ab/cd/ef/…/origin.json`, in the form of PEP 610). Only read, and only believed where
the wheel beside it holds what is installed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from envcap.archives.access import FileReader
from envcap.archives.zip import open_zip
from envcap.digest import is_sha256
from envcap.errors import ArchiveError
from envcap.secrets.urls import scrub_url
from envcap.sources.simple import is_file_name
from envcap.wheel.record import parse_record

_MAX_ORIGIN: Final = 64 << 10
_MAX_RECORD: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel that pip built.

    Attributes:
        hashes: The sha256 of each of its members, as its RECORD has them.
        sdist: File name of what it was built from.
        sha256: Its hash.
        url: Where it was, scrubbed; empty for a file of this machine.
    """

    hashes: frozenset[str]
    sdist: str
    sha256: str
    url: str


def pip_cache_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Tell where pip's cache is, by its variable or the platform's rule (XDG Base Directory)."""
    if named := environ.get("PIP_CACHE_DIR"):
        return Path(named)
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "pip"


def find_built_wheels(cache: Path, wanted: Callable[[str], bool]) -> Iterator[BuiltWheel]:
    """Yield the wheels of pip's cache whose origin is known, sorted by place.

    Args:
        cache: pip's cache.
        wanted: Tells by its file name whether a wheel is of interest.
    """
    for path in sorted((cache / "wheels").glob("*/*/*/*/*.whl")):
        if wanted(path.name):
            found = _read_origin(path)
            if found is not None:
                yield found


def _read_origin(wheel: Path) -> BuiltWheel | None:
    try:
        with (wheel.parent / "origin.json").open("rb") as file:
            origin = json.loads(file.read(_MAX_ORIGIN))
        with FileReader(wheel) as reader:
            archive = open_zip(reader, name=wheel.name)
            record = next(row for row in archive.members if row.name.endswith(".dist-info/RECORD"))
            hashes = parse_record(archive.read_member(record, _MAX_RECORD))
    except (OSError, ValueError, RecursionError, StopIteration, ArchiveError):
        return None
    match origin:
        case {"url": str(url), "archive_info": {"hashes": {"sha256": str(sha256)}}} if is_sha256(sha256):
            pass
        case _:
            return None
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not is_file_name(name):
        return None
    public = "" if url.startswith("file:") else scrub_url(url)
    return BuiltWheel(hashes=frozenset(hashes.values()), sdist=name, sha256=sha256, url=public)
