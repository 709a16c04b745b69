"""Asking one registry: retries, redirects, authorization, and refusals in one line that say who answered what.

The login goes to the registry's own origin only (and where `auth` says): a redirect, or the place of an upload, on
another scheme, host or port is asked without it (notes/security.md, T18). Source: RFC 9110; OCI distribution-spec 1.1.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin

from envcap.errors import RegistryError, SourceError
from envcap.lazy import lazy_module
from envcap.registry.answer import MAX_ERROR_BODY, RegistryAnswerError
from envcap.registry.auth import Authorizer, Scope
from envcap.registry.docker_hub import asked_host, token_hosts
from envcap.registry.realm import ask_realm
from envcap.registry.request import Payload, Request, broken, is_not_tls, raw_chunks, refusal, said
from envcap.registry.settings import RegistrySettings, is_loopback
from envcap.registry.transport import make_client
from envcap.secrets.urls import scrub_url
from envcap.sources.credentials import Origin, origin_of
from envcap.sources.guard import check_url, is_inner_host

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import httpx
else:
    httpx = lazy_module("httpx")

TRIES: Final = 5
REDIRECTS: Final = 5
LONGEST_PAUSE: Final = 60.0
"""Seconds: a Retry-After beyond this is not waited for in full."""
COMMIT_TIMEOUT: Final = 600.0
"""Seconds for an answer to a commit: a registry on object storage copies the whole blob before it answers."""

_FIRST_PAUSE: Final = 0.25
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_UNAUTHORIZED: Final = 401
_OK: Final = 200


class Connection:
    """Connections to one registry; threads may share it. Close it, or use it in a `with` statement.

    Attributes:
        host: The registry's host and port, as the user named it.
    """

    def __init__(
        self,
        host: str,
        settings: RegistrySettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            host: Host and port of a `Reference`.
            settings: This machine's.
            sleep: Waits.
            clock: Seconds that only grow.
            jitter: Gives a number from 0 to 1, so that many clients don't come back at once.

        Raises:
            RegistryError: A configured certificate or proxy can't be used.
        """
        self.host = host
        self._settings = settings
        self._client = make_client(host, settings)
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._found: tuple[str, Origin, Authorizer] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @property
    def base(self) -> str:
        """The registry's URL, without a slash at its end: asked over https, but for what `plain_http` allows.

        Raises:
            RegistryAnswerError: A registry of this machine does not answer.
        """
        return self._where()[0]

    def pause(self, attempt: int, asked: float = 0.0) -> None:
        """Wait before another try: longer each time, as long as asked for, and not all at once.

        Args:
            attempt: Number of the try that failed, from 0.
            asked: Seconds that the registry asked for (Retry-After), or 0.
        """
        own = _FIRST_PAUSE * 2.0 ** min(attempt, 8)
        self._sleep(min(max(asked, own * (0.5 + self._jitter())), LONGEST_PAUSE))

    @contextmanager
    def open(
        self,
        method: str,
        target: str,
        *,
        scope: Scope,
        accept: Collection[int] = (_OK,),
        headers: Mapping[str, str] | None = None,
        payload: Payload | None = None,
        repeat: bool = True,
        timeout: float = 0.0,
    ) -> Iterator[httpx.Response]:
        """Ask, and stream the answer.

        Args:
            method: HTTP method.
            target: Path below the registry, or a whole URL that the registry gave.
            scope: What it needs the right to.
            accept: Statuses that are an answer; others are errors.
            headers: Added to the request.
            payload: Its body, or None.
            repeat: Whether the same request may be sent again after a failure that may pass.
            timeout: Least seconds to wait for the answer, where it may take longer than others.

        Raises:
            RegistryAnswerError: Another status, or no answer.
            RegistryError: The registry sends us where we don't go.
        """
        request = Request(
            method=method, target=target, scope=scope, headers=headers or {}, payload=payload, timeout=timeout
        )
        response = self._ask(request, accept, tries=TRIES if repeat else 1)
        try:
            yield response
        except (httpx.TransportError, httpx.StreamError) as error:
            raise broken(self.host, request, error) from None
        finally:
            response.close()

    def read(self, response: httpx.Response, *, limit: int) -> bytes:
        """Read a bounded body as it was sent.

        Raises:
            RegistryError: It is longer.
            httpx.TransportError: It breaks off; `open` makes that an error of the registry.
        """
        data = bytearray()
        for chunk in raw_chunks(response, self.host):
            data += chunk
            if len(data) > limit:
                raise RegistryError(f"{self.host} sent more than {limit} bytes in answer to {said(response)}")
        return bytes(data)

    def follow(self, target: str, location: str) -> str:
        """Give the URL that a registry sends us to.

        Args:
            target: What was asked.
            location: The answer's `Location`: a URL or a path.

        Raises:
            RegistryError: It is no URL that we ask.
        """
        url = self._join(self._url(target), location)
        self._check(url)
        return url

    def _ask(self, request: Request, accept: Collection[int], *, tries: int) -> httpx.Response:
        for attempt in range(tries):
            try:
                response = self._redirected(request)
                if response.status_code in accept:
                    return response
                raise self._refused(request, response)
            except RegistryAnswerError as error:
                if not error.is_transient or attempt == tries - 1:
                    raise
                self.pause(attempt, error.retry_after)
        raise AssertionError  # pragma: no cover - the last try raises

    def _redirected(self, request: Request) -> httpx.Response:
        url = self._url(request.target)
        for _ in range(REDIRECTS + 1):
            self._check(url)
            response = self._authorized(request, url)
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTING or not location:
                return response
            self._drain(response)
            if request.method not in {"GET", "HEAD"}:
                # The login, and the bytes, would go where nobody pushed to.
                raise RegistryError(f"{self.host} redirects {request.method} {request.path} (expected an answer)")
            url = self._join(url, location)
        raise RegistryError(f"{self.host} redirects {request.method} {request.path} more than {REDIRECTS} times")

    def _authorized(self, request: Request, url: str) -> httpx.Response:
        _, origin, authorizer = self._where()
        if origin_of(url) != origin:
            return self._send(request, url, "")
        header = authorizer.header(request.scope)
        response = self._send(request, url, header)
        if response.status_code != _UNAUTHORIZED:
            return response
        try:
            challenges = response.headers.get_list("www-authenticate")
            header = authorizer.answer(challenges, request.scope, refused=header)
        except BaseException:
            response.close()
            raise
        if not header:
            return response
        self._drain(response)
        return self._send(request, url, header)

    def _send(self, request: Request, url: str, authorization: str) -> httpx.Response:
        headers = dict(request.headers)
        if authorization:
            headers["Authorization"] = authorization
        payload = request.payload
        if payload is not None:
            headers["Content-Length"] = str(payload.size)
            headers.setdefault("Content-Type", "application/octet-stream")
        timeout = httpx.Timeout(
            self._settings.timeout,
            connect=self._client.timeout.connect,
            read=max(request.timeout, self._settings.timeout),
        )
        try:
            built = self._client.build_request(
                request.method,
                url,
                headers=headers,
                content=payload.chunks() if payload is not None else None,
                timeout=timeout,
            )
            # auth=None would make httpx read userinfo out of the URL; a callable that adds nothing does not.
            return self._client.send(built, stream=True, auth=lambda request: request)
        except (httpx.TransportError, httpx.StreamError, httpx.InvalidURL) as error:
            raise broken(self.host, request, error) from None

    def _refused(self, request: Request, response: httpx.Response) -> RegistryAnswerError:
        try:
            body = self.read(response, limit=MAX_ERROR_BODY)
        except (RegistryError, httpx.TransportError, httpx.StreamError):
            body = b""
        finally:
            response.close()
        return refusal(self.host, request, response, body)

    def _drain(self, response: httpx.Response) -> None:
        """Read what is left of a small answer, so that its connection can be used again."""
        try:
            self.read(response, limit=MAX_ERROR_BODY)
        except (RegistryError, httpx.TransportError, httpx.StreamError):
            pass
        finally:
            response.close()

    def _url(self, target: str) -> str:
        return self.base + target if target.startswith("/") else target

    def _check(self, url: str) -> None:
        """Refuse to go where no registry may send us: off TLS, or to an inner address from an outer registry (T19)."""
        base, origin, _ = self._where()
        try:
            found = origin_of(url)
        except ValueError:
            raise self._elsewhere(url) from None
        if found == origin:
            return
        if base.startswith("https:") and not url.startswith("https:"):
            raise RegistryError(f"{self.host} sends us away from https, to {scrub_url(url)}")
        try:
            known = {found[1]} if is_inner_host(origin[1]) or found[1] == origin[1] else set()
            check_url(url, known_hosts=known)
        except SourceError:
            raise self._elsewhere(url) from None

    def _join(self, url: str, location: str) -> str:
        try:
            return urljoin(url, location)
        except ValueError:
            raise self._elsewhere(location) from None

    def _elsewhere(self, url: str) -> RegistryError:
        return RegistryError(f"{self.host} sends us to {scrub_url(url)[:200]!r}, which is not asked")

    def _where(self) -> tuple[str, Origin, Authorizer]:
        with self._lock:
            if self._found is None:
                base = f"{self._scheme()}://{asked_host(self.host)}"
                origin = origin_of(base)
                authorizer = Authorizer(
                    self.host,
                    origin,
                    logins=self._settings.logins,
                    realms=self._settings.realms | token_hosts(self.host),
                    ask=lambda asked: ask_realm(self._client, self.host, asked, self.pause),
                    clock=self._clock,
                )
                self._found = base, origin, authorizer
            return self._found

    def _scheme(self) -> str:
        """Find out what a registry speaks: https, but on this machine perhaps http, as docker takes it too."""
        if self._settings.plain_http:
            return "http"
        if not is_loopback(self.host):
            return "https"
        try:
            # Nothing is shown yet, and nothing of the answer is read: this request has no login.
            asked = self._client.build_request("GET", f"https://{self.host}/v2/")
            self._client.send(asked, stream=True, auth=lambda request: request).close()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            if is_not_tls(error) or isinstance(error, httpx.RemoteProtocolError):
                return "http"
            raise broken(self.host, Request(method="GET", target="/v2/", scope=(), headers={}), error) from None
        return "https"
