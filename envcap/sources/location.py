"""Nouns of the sources: an index, and a file that an index offers. Pure.

Source: PEP 503, PEP 691 and PEP 700 (simple index), PEP 592 (yanked files).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from envcap.errors import SourceError
from envcap.secrets.urls import scrub_url

DEFAULT_NAME: Final = "pypi"
LOCAL_NAME: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexLocation:
    """An index of this machine's configuration.

    Attributes:
        name: What a lock calls it: `pypi` for the default or its replacement, `local` for a folder, else a slug.
        url: Where it is, without userinfo; may hold a token in its path, so it is never shown.
        kind: `simple` (PEP 503 or 691) or `find-links` (a page or folder of files).
        is_default: True for the default index or what replaces it.
    """

    name: str
    url: str = field(repr=False)
    kind: str = "simple"
    is_default: bool = False

    @property
    def is_local(self) -> bool:
        """Tell whether it is a folder of this machine."""
        return self.url.startswith("file:")

    @property
    def shown(self) -> str:
        """What messages may say of it."""
        return self.name if self.is_default else scrub_url(self.url)

    @property
    def hint(self) -> str:
        """The URL that a lock may keep: scrubbed, and empty where the name says enough."""
        return "" if self.is_default or self.is_local else scrub_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """A file that an index offers.

    Attributes:
        filename: Its validated name.
        url: Where it is: `https`, `http`, or `file` for a local index. Never shown.
        sha256: 64 hex digits, or empty where the index gives no sha256.
        size: Bytes, or -1 where the index doesn't say.
        upload_time: RFC 3339 in UTC, or empty.
        yanked: Withdrawn by its publisher; still usable where it is pinned (PEP 592).
        index: Who offers it.
    """

    filename: str
    url: str = field(repr=False)
    sha256: str = ""
    size: int = -1
    upload_time: str = ""
    yanked: bool = False
    index: IndexLocation

    @property
    def local_path(self) -> Path | None:
        """The file itself where it lies on this machine."""
        return path_of_file_url(self.url) if self.url.startswith("file:") else None


def name_index(url: str) -> str:
    """Name an index that is not the default: `local`, or a slug of its scrubbed host and path, alike everywhere."""
    if url.startswith("file:"):
        return LOCAL_NAME
    parts = urlsplit(scrub_url(url))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{parts.netloc}{parts.path}".lower()).strip("-")
    return slug.removesuffix("-simple") or "index"


def path_of_file_url(url: str) -> Path:
    """Turn a `file:` URL into a path.

    Raises:
        SourceError: The URL names another host.
    """
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or "\0" in unquote(parts.path):
        raise SourceError(f"Unexpected URL {scrub_url(url)!r} (expected `file:///` and a path of this machine)")
    return Path(unquote(parts.path))
