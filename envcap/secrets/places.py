"""Files in which tools keep passwords in words of their own: `.netrc`, `.pypirc`, `pip.conf` and the like, by name.

A password of any form counts there, where elsewhere only tokens of a known shape do. Placeholders (`${TOKEN}`) do not.
Sources: the manuals of curl and pip (`.netrc`, configuration), twine (`.pypirc`), uv, npm, git-credential-store, docker
login, and python-dotenv.
"""

import re
from dataclasses import dataclass
from typing import Final

LARGEST_PLACE: Final = 1 << 20
"""Bytes of such a file that are looked at; no real one is larger."""

_URL = (
    rb"(?m)\b[a-z][a-z0-9+]{1,9}://"
    rb"(?:[^\s/@:\"'$<>{}]{0,200}:(?![${<])[^\s/@\"']{1,500}|[^\s/@:\"'$<>{}]{16,200})@"
)
"""A user's password, or a long user name, which is a token, in a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One kind of file.

    Attributes:
        kind: What a match is, for people.
        names: File names, in lower case.
        pattern: What gives a password away.
    """

    kind: str
    names: frozenset[str]
    pattern: re.Pattern[bytes]


def _place(kind: str, names: str, pattern: bytes) -> Place:
    return Place(kind=kind, names=frozenset(names.split()), pattern=re.compile(pattern))


_PLACES: Final = (
    _place(
        "a password of .netrc",
        ".netrc _netrc netrc",
        rb"(?m)^[ \t]{0,80}(?:machine|default)\b[\s\S]{0,400}?\bpassword\s{1,80}(?![$<{])\S",
    ),
    _place(
        "a password of .pypirc",
        ".pypirc pypirc",
        rb"(?m)^[ \t]{0,80}password[ \t]{0,80}[=:][ \t]{0,80}(?![$<{%])\S",
    ),
    _place(
        "a password in a URL",
        "pip.conf pip.ini uv.toml .condarc condarc poetry.toml auth.toml pdm.toml .pdm.toml .git-credentials "
        ".gitconfig .npmrc config",
        _URL,
    ),
    _place("an npm token", ".npmrc", rb"(?m)_(?:authToken|auth|password)[ \t]{0,80}=[ \t]{0,80}(?![$<{])\S"),
    _place(
        "a docker login",
        "config.json .dockercfg .dockerconfigjson",
        rb"\"auth\"\s{0,80}:\s{0,80}\"[A-Za-z0-9+/]{8}",
    ),
    _place(
        "a secret of .env",
        ".env .envrc .env.local .env.production",
        rb"(?m)^[ \t]{0,80}(?:export[ \t]{1,80})?[A-Za-z0-9_]{0,80}"
        rb"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|APIKEY|ACCESS_KEY|PRIVATE_KEY)[A-Za-z0-9_]{0,80}"
        rb"[ \t]{0,80}=[ \t]{0,80}[\"']?(?![$<{])[^\s\"']{8}",
    ),
    _place("a password of .pgpass", ".pgpass", rb"(?m)^[^#\s:]{1,200}:[^:\s]{1,200}:[^:\s]{1,200}:[^:\s]{1,200}:\S"),
)


def places_of(name: str) -> tuple[Place, ...]:
    """Give the kinds of file that a file of this name is."""
    lower = name.lower()
    return tuple(place for place in _PLACES if lower in place.names)
