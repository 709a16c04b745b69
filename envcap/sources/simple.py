"""Project pages: what an index says about the files of a project, in JSON or HTML. Pure; nothing is asked here.

Source: PEP 691 (JSON), PEP 700 (size, upload-time), PEP 503 (HTML), PEP 592 (yanked), PEP 629 (version).
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from envcap.digest import is_sha256
from envcap.secrets.urls import scrub_text
from envcap.sources.answer import AnswerError
from envcap.sources.location import IndexLocation, ProjectFile
from envcap.sources.simple_html import HtmlPage, parse_html

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
HTML_TYPES: Final = ("application/vnd.pypi.simple.v1+html", "text/html")
ACCEPT: Final = f"{JSON_TYPE}, {HTML_TYPES[0]};q=0.2, {HTML_TYPES[1]};q=0.01"

_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,254}\Z")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z\Z")
_LONGEST_URL: Final = 4096
_MAX_SIZE: Final = 1 << 40


def everything(_: str) -> bool:
    """Want every file of a page."""
    return True


def parse_page(
    data: bytes, content_type: str, *, url: str, index: IndexLocation, wanted: Callable[[str], bool] = everything
) -> tuple[ProjectFile, ...]:
    """Read a project page; rows that are not sound are left out.

    Args:
        data: The page.
        content_type: Its media type, without parameters.
        url: Where it came from, after redirects: relative links start there.
        index: Whose page it is.
        wanted: Tells by its name whether a file is of interest; pages may list thousands.

    Raises:
        AnswerError: It is no project page, or of a version that is not known.
    """
    if content_type in {JSON_TYPE, "application/json"}:
        return tuple(_json_files(data, url, index, wanted))
    if content_type in HTML_TYPES:
        page = parse_html(data.decode("utf-8", "replace"))
        return tuple(_html_files(page, url, index, wanted))
    raise AnswerError(
        f"{index.shown} answered with the type {scrub_text(content_type)[:80]!r} (expected JSON or HTML)",
        reason="garbage",
    )


def is_file_name(name: str) -> bool:
    """Tell whether a name is a plain file name of the kind that projects have."""
    return _FILENAME.match(name) is not None


def _json_files(data: bytes, url: str, index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    try:
        page = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"{index.shown} answered with a page that is no JSON", reason="garbage") from error
    match page:
        case {"meta": {"api-version": str(version)}, "files": list(rows)}:
            _check_version(version, index)
        case _:
            raise AnswerError(f"{index.shown} answered with JSON that is no project page", reason="garbage")
    for row in rows:
        name = row.get("filename") if isinstance(row, dict) else None
        # Pages list thousands of files of which a few are wanted, so the cheapest test comes first.
        if not isinstance(name, str) or not wanted(name) or not is_file_name(name):
            continue
        link, hashes = row.get("url"), row.get("hashes")
        target = _target(url, link, index) if isinstance(link, str) else ""
        if target and isinstance(hashes, dict):
            yield ProjectFile(
                filename=name,
                url=target,
                sha256=_sha256(hashes.get("sha256")),
                size=_size(row.get("size")),
                upload_time=_time(row.get("upload-time")),
                yanked=bool(row.get("yanked", False)),
                index=index,
            )


def _html_files(page: HtmlPage, url: str, index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    if page.version:
        _check_version(page.version, index)
    base = _target(url, page.base, index) if page.base else url
    for link in page.links:
        address, _, fragment = link.href.partition("#")
        name = unquote(address.partition("?")[0].rpartition("/")[2])
        if not is_file_name(name) or not wanted(name):
            continue
        target = _target(base or url, address, index)
        if target:
            found = re.search(r"(?:^|&)sha256=([0-9A-Fa-f]{64})(?:&|\Z)", fragment)
            sha256 = found[1].lower() if found else ""
            yield ProjectFile(filename=name, url=target, sha256=sha256, yanked=link.yanked, index=index)


def _check_version(version: str, index: IndexLocation) -> None:
    """PEP 629: an unknown major version must not be read."""
    if version.partition(".")[0] != "1":
        raise AnswerError(
            f"{index.shown} speaks version {scrub_text(version)[:20]!r} of the index API (expected 1.x)",
            reason="garbage",
        )


def _target(base: str, link: str, index: IndexLocation) -> str:
    """Resolve a link; empty where it may not be followed. Only a local index may name files of this machine."""
    try:
        target = urljoin(base, link)
        parts = urlsplit(target)
    except ValueError:
        return ""
    allowed = {"http", "https", "file"} if index.is_local else {"http", "https"}
    sound = parts.scheme in allowed and len(target) <= _LONGEST_URL and target.isprintable()
    return target if sound else ""


def _sha256(value: object) -> str:
    return value if isinstance(value, str) and is_sha256(value) else ""


def _size(value: object) -> int:
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE
    return value if sound and isinstance(value, int) else -1


def _time(value: object) -> str:
    return value if isinstance(value, str) and _TIME.match(value) else ""
