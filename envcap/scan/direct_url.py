"""Reads `direct_url.json` (PEP 610), leniently, and scrubs it."""

import json
import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from envcap.digest import is_sha256
from envcap.environment import DirectUrl
from envcap.secrets.urls import scrub_origin

_WORD = re.compile(r"[A-Za-z0-9._/+@:-]{1,255}\Z")


def parse_direct_url(text: str) -> DirectUrl | None:
    """Read a direct_url.json; None if it says nothing usable."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("url"), str):
        return None
    vcs, folder, archive = (_table(data.get(key)) for key in ("vcs_info", "dir_info", "archive_info"))
    url, subdirectory = scrub_origin(data["url"]), _subdirectory(data.get("subdirectory"))
    if vcs is not None:
        return DirectUrl(
            url=url,
            kind="vcs",
            vcs=_word(vcs.get("vcs")),
            commit=_word(vcs.get("commit_id")),
            subdirectory=subdirectory,
        )
    if folder is not None:
        kind = "editable" if folder.get("editable") is True else "directory"
        return DirectUrl(url=url, kind=kind, subdirectory=subdirectory)
    return DirectUrl(url=url, kind="archive", sha256=_sha256(archive or {}), subdirectory=subdirectory)


def project_name(direct_url: DirectUrl) -> str:
    """Return the last folder of an editable's project: what may be shown of its path."""
    return PurePosixPath(urlsplit(direct_url.url).path).name


def _sha256(archive: dict[str, object]) -> str:
    hashes = _table(archive.get("hashes")) or {}
    legacy = archive.get("hash")
    for value in (hashes.get("sha256"), legacy.removeprefix("sha256=") if isinstance(legacy, str) else None):
        if isinstance(value, str) and is_sha256(value.lower()):
            return value.lower()
    return ""


def _table(value: object) -> dict[str, object] | None:
    return value if isinstance(value, dict) else None


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.match(value) else ""


def _subdirectory(value: object) -> str:
    """A folder below the root; one that climbs out of it is nobody's honest subdirectory."""
    text = _word(value)
    return "" if text.startswith("/") or ".." in text.split("/") else text
