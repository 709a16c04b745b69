"""Takes secrets out of a URL: userinfo, token-like query keys and values, `/t/<token>/` paths, known token shapes.

A scrubbed URL is a hint for people and machines that have their own credentials. When in doubt it loses too much.
"""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

REDACTED = "REDACTED"
"""Stands where a secret was."""

_SECRET_KEY = re.compile(
    r"token|secret|sig\b|sign|auth|pass|pwd|cred|key|session|jwt|bearer|access|code|sas\b|x-amz|x-goog|\bs[epvrt]\b",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"[A-Za-z0-9+/=_.~%-]{20,}\Z")
_TOKEN = re.compile(
    r"(?:gh[pousr]_|github_pat_|glpat-|glptt-|pypi-|hf_|xox[abprs]-|sk-|AKIA|ASIA|eyJ)[A-Za-z0-9_.-]{12,}|\$\{[^}]*\}"
)
_TOKEN_PATH = re.compile(r"/t/[^/]+(?=/|\Z)")
# Hosted indexes and repositories take read tokens as a folder: mixed letters and digits, or hex digits. Of these 40
# are a commit, and from 56 on they name content: 60 in the usual layout of an index, 64 for sha256.
_TOKEN_FOLDER = re.compile(
    r"(?<=/)(?:(?![0-9a-f]{40}(?:/|\Z))[0-9a-f]{16,55}"
    r"|(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*[0-9])[A-Za-z0-9_-]{16,})(?=/|\Z)"
)
_FRAGMENT = re.compile(
    r"(?:(?:egg|subdirectory|sha256|sha384|sha512)=[^&]*)(?:&(?:egg|subdirectory|sha256|sha384|sha512)=[^&]*)*\Z"
)


def scrub_url(url: str) -> str:
    """Return the URL without its secrets; `REDACTED` alone if it can't be understood.

    `git@` stays: it is the account everybody uses (PEP 610 allows it too).
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
    # `https:user:secret@host/x`, without slashes, has no netloc: nothing in front of an @ is trusted.
    path = parts.path if parts.netloc or "@" not in parts.path else parts.path.rpartition("@")[2]
    path = _TOKEN_FOLDER.sub(REDACTED, _TOKEN_PATH.sub(f"/t/{REDACTED}", path))
    fragment = parts.fragment if _FRAGMENT.match(parts.fragment) else ""
    return _TOKEN.sub(REDACTED, urlunsplit((parts.scheme, user + host, path, query, fragment)))


def _scrub_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    # A bare `?abcdef` is a value without a name: it may be a token too.
    kept = [
        (key, value)
        for key, value in pairs
        if not _SECRET_KEY.search(key) and not _RANDOM.match(key) and not _RANDOM.match(value)
    ]
    return urlencode(kept, quote_via=quote)
