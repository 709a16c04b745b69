"""A request to a registry, and what went wrong with one, in one line that repeats no secret."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from envcap.errors import RegistryError
from envcap.lazy import lazy_module
from envcap.registry.answer import TRANSIENT, RegistryAnswerError, read_error_body, status_hint
from envcap.secrets.urls import scrub_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

    from envcap.registry.auth import Scope
else:
    httpx = lazy_module("httpx")

_UNAUTHORIZED: Final = 401
OFFLINE_HINT: Final = "run it again where the registry can be reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The body of a request.

    Attributes:
        size: Its bytes.
        chunks: Yields them; called again if the request must be sent again.
    """

    size: int
    chunks: Callable[[], Iterator[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Take bytes in memory."""
        return cls(size=len(data), chunks=lambda: iter((data,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked; attributes as the arguments of `Connection.open`."""

    method: str
    target: str
    scope: Scope
    headers: Mapping[str, str]
    payload: Payload | None = None
    timeout: float = 0.0

    @property
    def path(self) -> str:
        """The target for messages: places of uploads carry state in their query."""
        return scrub_text(urlsplit(self.target).path)


def refusal(host: str, request: Request, response: httpx.Response, body: bytes) -> RegistryAnswerError:
    """Say which registry answered which status, and what it said."""
    status = response.status_code
    code, message = read_error_body(body)
    said = ": ".join(part for part in (code, message) if part)
    phrase = f"{status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    # Only a login of the user's own is sent as it is; a token may be anybody's.
    is_refused = status == _UNAUTHORIZED and response.request.headers.get("authorization", "").startswith("Basic ")
    return RegistryAnswerError(
        f"{host} answered {phrase} to {request.method} {request.path}{f' ({said})' if said else ''}",
        hint=status_hint(status, host, has_login=is_refused),
        status=status,
        code=code,
        is_transient=status in TRANSIENT,
        retry_after=retry_after(response.headers.get("retry-after", "")),
    )


def broken(host: str, request: Request, error: Exception) -> RegistryAnswerError:
    """Say why there was no answer, or not the whole of it."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        what = f"{host} can't be reached: {describe(error)}"
    else:
        what = f"{host} broke off {request.method} {request.path}: {describe(error)}"
    is_lasting = "CERTIFICATE_VERIFY_FAILED" in str(error) or is_not_tls(error)
    return RegistryAnswerError(what, hint=_reach_hint(error, host), is_transient=not is_lasting)


def raw_chunks(response: httpx.Response, host: str) -> Iterator[bytes]:
    """Yield a body's bytes as they were sent.

    Raises:
        RegistryError: It is encoded: its size and digest would be those of other bytes.
        httpx.TransportError: It breaks off.
    """
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise RegistryError(
            f"{host} answered {said(response)} with the encoding {encoding[:20]!r}, which was not asked for"
        )
    yield from response.iter_raw()


def said(response: httpx.Response) -> str:
    """Name the request that was answered, for messages."""
    return f"{response.request.method} {scrub_text(response.request.url.path)}"


def retry_after(value: str) -> float:
    """Read seconds; dates are rare, and clocks differ (RFC 9110, 10.2.3)."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0.0  # noqa: PLR2004


def is_not_tls(error: Exception) -> bool:
    """Tell whether a TLS handshake was answered by a server that doesn't speak it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
        cause = cause.__cause__ or cause.__context__
    return False


def describe(error: Exception) -> str:
    """Say why a request failed, without what it carried."""
    if is_not_tls(error):
        return "it does not speak TLS"
    if isinstance(error, httpx.TimeoutException):
        return scrub_text(str(error)) if "slowly" in str(error) else "no answer in time"
    return scrub_text(str(error)) or type(error).__name__


def _reach_hint(error: Exception, host: str) -> str:
    if is_not_tls(error):
        return (
            f"if it has no TLS and the network is yours, set ENVCAP_PLAIN_HTTP={host}, or `--plain-http` if it is there"
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"put the registry's CA certificate into /etc/docker/certs.d/{host}/ca.crt"
    return OFFLINE_HINT
