"""Taking secrets out of URLs and messages, before they reach a lock, a log or an error. Pure.

`scrub_url` and `scrub_text` are for what is told: nothing but the place is left. `scrub_origin` is for what installers
and git wrote down of where something came from: it stays of use to machines that have their own credentials, and when
in doubt it loses too much.
Source of the places where secrets hide: notes/security.md, T20 (userinfo, query, `/t/<token>/`, tokens in paths).
"""

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

HIDDEN: Final = "***"
"""Stands where a secret was, in what is told."""
REDACTED: Final = "REDACTED"
"""Stands where a secret was, in an origin: a word that is a part of a URL like others."""

_LONGEST: Final = 300
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY: Final = re.compile(r"(://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_URL: Final = re.compile(r"://[^\s'\"<>]*")
_CONDA_TOKEN: Final = re.compile(r"/t/[^/\s]+(?=/|\Z)")
# Hosted indexes and repositories take read tokens as a folder: mixed letters and digits, or hex digits. Of these 40
# are a commit, and from 56 on they name content: 60 in the usual layout of an index, 64 for sha256. File names have
# dots.
_TOKEN_FOLDER: Final = re.compile(
    r"(?<=/)(?:(?![0-9a-f]{40}(?:/|\Z))[0-9a-f]{16,55}"
    r"|(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*[0-9])[A-Za-z0-9_-]{16,})(?=/|\Z)"
)
_SECRET_KEY: Final = re.compile(
    r"token|secret|sig\b|sign|auth|pass|pwd|cred|key|session|jwt|bearer|access|code|sas\b|x-amz|x-goog|\bs[epvrt]\b",
    re.IGNORECASE,
)
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/=_.~%-]{20,}\Z")
# A token stands for itself: `flask-restful-extended` is none of a key `sk-`, nor an index `pypi-remote-cache` of PyPI.
_TOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:gh[pousr]_|github_pat_|glpat-|glptt-|pypi-AgE|hf_|xox[abprs]-|sk-|AKIA|ASIA|eyJ)[A-Za-z0-9_.-]{12,}"
    r"|\$\{[^}]*\}"
)
_FRAGMENT: Final = re.compile(
    r"(?:(?:egg|subdirectory|sha256|sha384|sha512)=[^&]*)(?:&(?:egg|subdirectory|sha256|sha384|sha512)=[^&]*)*\Z"
)


def scrub_url(url: str) -> str:
    """Take userinfo, query, fragment and tokens in the path out of a URL; `***` alone if it can't be understood.

    A path segment counts as a token if it is 16 characters or longer and mixes upper case, lower case and digits, as
    the entitlement tokens of hosted indexes do, or if it is 16 to 55 hex digits, as other hosts' read tokens are.
    Commits (40 hex digits), addresses by sha256 (56 and more: some are cut off) and file names (with dots) stay.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        path = _TOKEN_FOLDER.sub(HIDDEN, _CONDA_TOKEN.sub("", _path(parts)))
        return _printable(urlunsplit((parts.scheme, host, path, "", "")))
    except ValueError:
        return HIDDEN


def scrub_text(text: str) -> str:
    """Take secrets of URLs and control characters out of a library's message, and cut it at 300 characters."""
    text = _CONDA_TOKEN.sub("", _QUERY.sub(r"\1", _USERINFO.sub("", text)))
    text = _URL.sub(lambda match: _TOKEN_FOLDER.sub(HIDDEN, match[0]), text)
    return _printable(text)[:_LONGEST]


def scrub_origin(url: str) -> str:
    """Return a URL without its secrets and with the rest of query and fragment; `REDACTED` if it makes no sense.

    Gone are userinfo, token-like query keys and values, `/t/<token>/` paths, tokens in the path, and known shapes of
    tokens. `git@` stays: it is the account everybody uses (PEP 610 allows it too).
    """
    url = "".join(char for char in url if char.isprintable() and char != " ")
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = "git@" if parts.netloc.startswith("git@") and parts.netloc.count("@") == 1 else ""
        query = _scrub_query(parts.query)
    except ValueError:
        return REDACTED
    if parts.scheme == "file":  # a place on this machine, not a request: its path must stay usable
        return urlunsplit(("file", "", parts.path, "", ""))
    path = _TOKEN_FOLDER.sub(REDACTED, _CONDA_TOKEN.sub(f"/t/{REDACTED}", _path(parts)))
    fragment = parts.fragment if _FRAGMENT.match(parts.fragment) else ""
    return _TOKEN.sub(REDACTED, urlunsplit((parts.scheme, user + host, path, query, fragment)))


def _path(parts: SplitResult) -> str:
    """Give the path. `https:user:secret@host/x`, without slashes, has no host: nothing in front of an @ is trusted."""
    return parts.path if parts.netloc else parts.path.rpartition("@")[2]


def _scrub_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    # A bare `?abcdef` is a value without a name: it may be a token too.
    kept = [
        (key, value)
        for key, value in pairs
        if not _SECRET_KEY.search(key) and not _RANDOM.match(key) and not _RANDOM.match(value)
    ]
    return urlencode(kept, quote_via=quote)


def _printable(text: str) -> str:
    """Replace what could steer a terminal (T29)."""
    return "".join(character if character.isprintable() else " " for character in text)
