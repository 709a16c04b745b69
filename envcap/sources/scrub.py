"""Taking secrets out of URLs and messages, before they reach a lock, a log or an error.

Source of the places where secrets hide: notes/security.md, T20 (userinfo, query, `/t/<token>/`, tokens in paths).
"""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY: Final = re.compile(r"(://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_URL: Final = re.compile(r"://[^\s'\"<>]*")
_CONDA_TOKEN: Final = re.compile(r"/t/[^/\s]+(?=/|\Z)")
_SEGMENT: Final = re.compile(r"(?<=/)[A-Za-z0-9_-]{16,}(?=/|\Z)")
_HEX: Final = re.compile(r"(?![0-9a-f]{40}\Z)[0-9a-f]{16,55}\Z")
_LONGEST: Final = 300
HIDDEN: Final = "***"


def scrub_url(url: str) -> str:
    """Take userinfo, query, fragment and tokens in the path out of a URL.

    A path segment counts as a token if it is 16 characters or longer and mixes upper case, lower case and digits, as
    the entitlement tokens of hosted indexes do, or if it is 16 to 55 hex digits, as other hosts' read tokens are.
    Commits (40 hex digits), addresses by sha256 (56 and more: some are cut off) and file names (with dots) stay.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = _SEGMENT.sub(_hide_token, _CONDA_TOKEN.sub("", parts.path))
        return _printable(urlunsplit((parts.scheme, host, path, "", "")))
    except ValueError:
        return HIDDEN


def scrub_text(text: str) -> str:
    """Take secrets of URLs and control characters out of a library's message, and cut it at 300 characters."""
    text = _CONDA_TOKEN.sub("", _QUERY.sub(r"\1", _USERINFO.sub("", text)))
    text = _URL.sub(lambda match: _SEGMENT.sub(_hide_token, match[0]), text)
    return _printable(text)[:_LONGEST]


def _hide_token(match: re.Match[str]) -> str:
    text = match[0]
    mixed = any(c.isupper() for c in text) and any(c.islower() for c in text) and any(c.isdigit() for c in text)
    return HIDDEN if mixed or _HEX.match(text) else text


def _printable(text: str) -> str:
    """Replace what could steer a terminal (T29)."""
    return "".join(character if character.isprintable() else " " for character in text)
