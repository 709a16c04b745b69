"""User names and passwords, each bound to the host that it was given for.

They come from userinfo in configured URLs, from uv's variables and from netrc, and are sent to the same scheme, host
and port only; a redirect to another host asks here anew and gets nothing (notes/security.md, T18).
"""

import base64
import netrc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One user and password for what lies below a URL.

    Attributes:
        url: URL without userinfo.
        user: User name; some indexes take a token here and no password.
        password: Password, or empty.
    """

    url: str = field(repr=False)
    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """All credentials of a run.

    Attributes:
        rules: From configured URLs; the one that shares the longest path wins.
        hosts: From netrc: user and password by host name, sent over https, or over http to that host alone.
    """

    rules: tuple[Credential, ...] = ()
    hosts: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)

    def authorization(self, url: str) -> str:
        """Give the `Authorization` header for a URL, or an empty string (RFC 7617)."""
        origin = origin_of(url)
        same = [rule for rule in self.rules if origin_of(rule.url) == origin]
        if same:
            path = urlsplit(url).path
            best = max(same, key=lambda rule: _shared(urlsplit(rule.url).path, path))
            return _basic(best.user, best.password)
        found = self.hosts.get(origin[1])
        return _basic(*found) if found else ""


def origin_of(url: str) -> Origin:
    """Give scheme, host and port: what must be equal for a credential to be sent (RFC 6454)."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    return parts.scheme, (parts.hostname or "").rstrip("."), port if port is not None else _PORTS.get(parts.scheme, 0)


def split_userinfo(url: str) -> tuple[str, Credential | None]:
    """Split a URL into itself without userinfo, and the credential that the userinfo was."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    bare = urlunsplit(SplitResult(parts.scheme, host, parts.path, parts.query, parts.fragment))
    user, _, password = userinfo.partition(":")
    return bare, Credential(url=bare, user=unquote(user), password=unquote(password))


def read_netrc(environ: Mapping[str, str], home: Path) -> dict[str, tuple[str, str]]:
    """Read the user and password of each host in netrc; its `default` entry is left out, since it names no host."""
    path = Path(environ["NETRC"]) if environ.get("NETRC") else home / ".netrc"
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        # A broken netrc holds secrets: not a word of it is repeated, and pip ignores it too.
        return {}
    return {host: (user, password or "") for host, (user, _, password) in hosts.items() if host != "default"}


def join_credentials(rules: Iterable[Credential | None], hosts: Mapping[str, tuple[str, str]]) -> Credentials:
    """Collect credentials, those that were found."""
    return Credentials(rules=tuple(rule for rule in rules if rule is not None), hosts=hosts)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _shared(left: str, right: str) -> int:
    count = 0
    for one, other in zip(left.split("/"), right.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count
