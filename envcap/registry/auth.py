"""Authorizing requests to one registry: Basic, and Bearer tokens from the registry's token server.

The rule (notes/security.md, T18): a login is shown to the registry itself, to a token server on the registry's own
host over https (or on its very origin), and to hosts that the user allowed by name; never over http where the registry
speaks https. A realm elsewhere may be asked without a login: that gives nothing away, and public images need no more.
Source: RFC 7235, RFC 7617; distribution's "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

import base64
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from envcap.errors import RegistryError
from envcap.registry.credentials import Login, RegistryLogins
from envcap.registry.settings import REALMS_VARIABLE
from envcap.registry.strict_json import JsonError, read_json
from envcap.secrets.urls import scrub_url
from envcap.sources.credentials import Origin, origin_of

_MAX_CHALLENGE: Final = 8192
_PAIR: Final = re.compile(r'[\s,]*([A-Za-z_-]{1,32})\s*=\s*(?:"([^"\\]*)"|([^\s",]+))')
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,65536}\Z")
_SHORTEST: Final = 60.0
"""Seconds: how long a token lives that says nothing of it (Token Authentication Specification)."""
_MARGIN: Final = 10.0
_CLIENT: Final = "envcap"

Scope = tuple[str, ...]
"""What a request needs, as token servers write it: `repository:NAME:pull,push`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a registry wants to see: `realm` and `service` are for Bearer."""

    scheme: str
    realm: str = field(default="", repr=False)
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request to a token server: a GET, or a POST of a form."""

    url: str = field(repr=False)
    authorization: str = field(default="", repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


AskRealm = Callable[[TokenRequest], bytes]
"""Asks a token server; gives the body of an answer with status 200, and raises `RegistryError`."""


class Authorizer:
    """Finds the `Authorization` header for requests to one registry; threads may share it."""

    def __init__(
        self,
        host: str,
        origin: Origin,
        *,
        logins: RegistryLogins,
        realms: frozenset[str],
        ask: AskRealm,
        clock: Callable[[], float],
    ) -> None:
        self._host = host
        self._origin = origin
        self._logins = logins
        self._realms = realms
        self._ask = ask
        self._clock = clock
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._found: dict[str, Login | None] = {}
        self._headers: dict[Scope, tuple[str, float]] = {}

    def header(self, scope: Scope) -> str:
        """Give the header for a scope, or an empty string while the registry has not asked for one.

        Raises:
            RegistryError: The token server refuses.
        """
        with self._lock:
            header, until = self._headers.get(scope, ("", 0.0))
            if header and self._clock() < until:
                return header
            return self._authorize(self._challenge, scope) if self._challenge else ""

    def answer(self, challenges: Sequence[str], scope: Scope, *, refused: str) -> str:
        """Give the header that answers a 401, or an empty string where there is none to give.

        Args:
            challenges: The answer's `WWW-Authenticate` headers.
            scope: What the request needs.
            refused: The header that was refused, or empty.

        Raises:
            RegistryError: The registry wants the login to go where it may not, or the token server refuses.
        """
        with self._lock:
            header, _ = self._headers.get(scope, ("", 0.0))
            if header and header != refused:
                return header  # another thread was faster
            self._headers.pop(scope, None)
            self._challenge = choose_challenge(challenges)
            if self._challenge is None:
                return ""
            header = self._authorize(self._challenge, scope)
            return header if header != refused else ""

    def _authorize(self, challenge: Challenge, scope: Scope) -> str:
        login = self._login(scope)
        if login is not None and login.registry_token:
            header, until = f"Bearer {_checked_token(login.registry_token, self._host)}", float("inf")
        elif challenge.scheme == "basic":
            if login is None or not login.password:
                return ""
            header, until = _basic(login), float("inf")
        else:
            header, until = self._bearer(challenge, scope, login)
        self._headers[scope] = header, until
        return header

    def _login(self, scope: Scope) -> Login | None:
        repository = scope[0].split(":")[1] if scope else ""
        if repository not in self._found:
            self._found[repository] = self._logins.find(self._host, repository)
        return self._found[repository]

    def _bearer(self, challenge: Challenge, scope: Scope, login: Login | None) -> tuple[str, float]:
        self._check_realm(challenge.realm, shows_login=login is not None)
        asked = self._clock()
        body = self._ask(_token_request(challenge, scope, login))
        where = f"The token server {scrub_url(challenge.realm)} of {self._host}"
        try:
            answer = read_json(body, where)
        except JsonError:
            raise RegistryError(f"{where} answered no JSON") from None
        token = answer.get("token") or answer.get("access_token")
        seconds = answer.get("expires_in")
        lifetime = max(float(seconds), _SHORTEST) if type(seconds) is int and 0 < seconds < 1 << 31 else _SHORTEST
        return f"Bearer {_checked_token(token, self._host)}", asked + lifetime - _MARGIN

    def _check_realm(self, realm: str, *, shows_login: bool) -> None:
        try:
            origin, parts = origin_of(realm), urlsplit(realm)
        except ValueError:
            origin, parts = ("", "", 0), urlsplit("")
        scheme, host, port = origin
        if scheme not in {"http", "https"} or not host or "@" in parts.netloc or not realm.isprintable():
            raise RegistryError(f"{self._host} names a token server that is no URL: {scrub_url(realm)[:200]!r}")
        if scheme == "http" and self._origin[0] == "https":
            raise RegistryError(f"{self._host} names a token server without TLS: {scrub_url(realm)}")
        if not shows_login or origin == self._origin or {host, f"{host}:{port}"} & self._realms:
            return
        if scheme == "https" and host == self._origin[1]:
            return
        raise RegistryError(
            f"{self._host} wants its login to be sent to another host: {scrub_url(realm)}",
            hint=f"if that is its token server, allow it: `{REALMS_VARIABLE}={parts.netloc}`",
        )


def choose_challenge(headers: Sequence[str]) -> Challenge | None:
    """Choose what to answer of `WWW-Authenticate` headers: Bearer with a realm, else Basic, else nothing."""
    challenges = [challenge for header in headers[:8] if (challenge := _read_challenge(header[:_MAX_CHALLENGE]))]
    bearer = (challenge for challenge in challenges if challenge.scheme == "bearer" and challenge.realm)
    basic = (challenge for challenge in challenges if challenge.scheme == "basic")
    return next(bearer, None) or next(basic, None)


def pull_scope(repository: str) -> Scope:
    """Say that a repository is read."""
    return (f"repository:{repository}:pull",)


def push_scope(repository: str, *sources: str) -> Scope:
    """Say that a repository is written, and that blobs are mounted from others."""
    return (f"repository:{repository}:pull,push", *(f"repository:{source}:pull" for source in sources))


def _read_challenge(header: str) -> Challenge | None:
    scheme, _, rest = header.strip().partition(" ")
    values: dict[str, str] = {}
    position = 0
    while match := _PAIR.match(rest, position):
        values.setdefault(match[1].lower(), match[2] if match[2] is not None else match[3])
        position = match.end()
    match scheme.lower():
        case "bearer":
            return Challenge(scheme="bearer", realm=values.get("realm", ""), service=values.get("service", ""))
        case "basic":
            return Challenge(scheme="basic")
        case _:
            return None


def _token_request(challenge: Challenge, scope: Scope, login: Login | None) -> TokenRequest:
    pairs = [("service", challenge.service)] if challenge.service else []
    if login is not None and login.identity_token:
        form = {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": login.identity_token}
        return TokenRequest(url=challenge.realm, form=form | dict(pairs) | {"scope": " ".join(scope)})
    query = urlencode([*pairs, *(("scope", part) for part in scope)])
    url = challenge.realm + ("&" if "?" in challenge.realm else "?") + query
    return TokenRequest(url=url, authorization=_basic(login) if login is not None and login.password else "")


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _checked_token(token: object, host: str) -> str:
    """Refuse what could end a header line."""
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise RegistryError(f"The token for {host} is none (expected printable ASCII)")
    return token
