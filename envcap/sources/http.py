"""Asking servers: one session with bounded retries, our own redirects, and credentials for their own host only.

Source: RFC 9110 (HTTP semantics: redirects, Retry-After, ranges) and notes/security.md T17, T18, T25.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin, urlsplit

from envcap.lazy import lazy_module
from envcap.secrets.urls import scrub_text, scrub_url
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.client import make_client
from envcap.sources.credentials import Origin, origin_of
from envcap.sources.guard import check_url
from envcap.sources.settings import IndexSettings

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

TRIES: Final = 3
REDIRECTS: Final = 5
LONGEST_PAUSE: Final = 10.0
"""Seconds: a server's Retry-After beyond this is not waited for in full."""
SLOWEST: Final = 16_384
"""Bytes a second that a body may trickle at, once its grace time is over."""
OFFLINE_HINT: Final = "run once without `--offline` or add a bundle"

_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_FAILURES_UNTIL_DOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A whole answer in memory.

    Attributes:
        data: Its bytes, decoded.
        content_type: Media type without parameters, lower case.
        url: Where it came from after redirects; may hold a token.
    """

    data: bytes
    content_type: str
    url: str = field(repr=False)


class Session:
    """Connections to servers; safe to share between threads. Close it, or use it in a `with` statement.

    Attributes:
        settings: Where credentials come from.
        offline: True where nothing may be asked.
        reached: Origins that answered, whatever they said.
    """

    def __init__(
        self,
        settings: IndexSettings,
        *,
        mirrors: Iterable[str] = (),
        offline: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            settings: The configured indexes and credentials.
            mirrors: URLs of other servers that the configuration names: they may be inner addresses, as indexes may.
            offline: Ask nobody.
            sleep: Waits.
            clock: Seconds that only grow.
        """
        self.settings = settings
        self.offline = offline
        self.reached: set[Origin] = set()
        self._made: httpx.Client | None = None
        self._sleep = sleep
        self._clock = clock
        urls = (*(index.url for index in settings.indexes), *mirrors)
        self._known = frozenset(map(_host, urls))
        self._lock = threading.Lock()
        self._failures: dict[Origin, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        if self._made is not None:
            self._made.close()

    @property
    def client(self) -> httpx.Client:
        """The client, made when it is first needed: it loads certificates.

        Raises:
            SourceError: A configured certificate or proxy can't be used.
        """
        with self._lock:
            if self._made is None:
                self._made = make_client(self.settings)
            return self._made

    def get(self, url: str, *, limit: int, meter: Meter, headers: Mapping[str, str] | None = None) -> Body:
        """Read a whole answer with status 200.

        Args:
            url: What to ask.
            limit: Most bytes of the decoded body.
            meter: Counts what was received.
            headers: Added to the request.

        Raises:
            AnswerError: Anything else was answered, or nothing.
        """
        for attempt in range(TRIES):
            try:
                with self.open(url, headers=headers) as response:
                    if response.status_code != httpx.codes.OK:
                        raise status_error(response)
                    data = b"".join(self.chunks(response, limit=limit, meter=meter, decoded=True))
                    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                    return Body(data=data, content_type=content_type, url=str(response.url))
            except AnswerError as error:
                if error.reason != "broken" or attempt == TRIES - 1:
                    raise
                self._sleep(_pause(attempt, ""))
        raise AssertionError  # pragma: no cover - the last try raises

    @contextmanager
    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Iterator[httpx.Response]:
        """Ask for a URL and stream the answer; redirects are followed, transient failures tried again.

        Args:
            url: What to ask.
            headers: Added to the request.
            method: `GET`, or `HEAD` where the body is not wanted.

        Raises:
            AnswerError: The URL is refused, the server can't be reached, or still fails after three tries.
        """
        response = self._ask(url, headers or {}, method)
        try:
            yield response
        finally:
            response.close()

    def chunks(self, response: httpx.Response, *, limit: int, meter: Meter, decoded: bool = False) -> Iterator[bytes]:
        """Yield a body's chunks, bounded in size and time; raw bytes unless `decoded`.

        Raises:
            AnswerError: It is cut off, too slow, too large, or encoded where raw bytes were asked for.
        """
        where = scrub_url(str(response.url))
        encoding = response.headers.get("content-encoding", "identity").lower()
        if not decoded and encoding != "identity":
            raise AnswerError(f"{where} answered with the encoding {encoding[:20]!r}", reason="garbage")
        started, total = self._clock(), 0
        grace = 2 * self.settings.timeout
        try:
            for chunk in response.iter_bytes() if decoded else response.iter_raw():
                total += len(chunk)
                meter.add(len(chunk))
                if total > limit:
                    raise AnswerError(f"{where} sent more than {limit} bytes", reason="too-large")
                if self._clock() - started > grace + total / SLOWEST:
                    raise AnswerError(f"{where} sends too slowly ({total} bytes so far)", reason="broken")
                yield chunk
        except (httpx.TransportError, httpx.StreamError) as error:
            raise AnswerError(f"{where} broke off: {_describe(error)}", reason="broken") from error
        except httpx.DecodingError as error:
            raise AnswerError(f"{where} sent a damaged body", reason="garbage") from error

    def pause(self, attempt: int) -> None:
        """Wait before another try: longer each time."""
        self._sleep(_pause(attempt, "") if attempt else 0.0)

    def is_reached(self, url: str) -> bool:
        """Tell whether a URL's server answered anything in this session."""
        return origin_of(url) in self.reached

    def _ask(self, url: str, headers: Mapping[str, str], method: str) -> httpx.Response:
        for _ in range(REDIRECTS + 1):
            check_url(url, known_hosts=self._known)
            response = self._try(url, headers, method)
            if response.status_code not in _REDIRECTING or "location" not in response.headers:
                return response
            response.close()
            url = _next_url(url, response.headers["location"])
        raise AnswerError(f"{scrub_url(url)} redirects more than {REDIRECTS} times", reason="garbage")

    def _try(self, url: str, headers: Mapping[str, str], method: str) -> httpx.Response:
        """Ask one URL up to three times; a server that never answered is not asked again for each package."""
        origin = origin_of(url)
        if self.offline:
            raise AnswerError(f"{scrub_url(url)} was not asked", reason="unreachable", hint=OFFLINE_HINT)
        failure = ""
        for attempt in range(TRIES):
            if self._failures.get(origin, 0) >= _FAILURES_UNTIL_DOWN:
                failure = failure or "did not answer before"
                break
            try:
                response = self._send(url, headers, method)
            except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
                failure = _describe(error)
                self._sleep(_pause(attempt, ""))
                continue
            self._note_reached(origin)
            if response.status_code not in _TRANSIENT or attempt == TRIES - 1:
                return response
            response.close()
            self._sleep(_pause(attempt, response.headers.get("retry-after", "")))
        with self._lock:
            self._failures[origin] = self._failures.get(origin, 0) + 1
        raise AnswerError(f"{scrub_url(url)} can't be reached: {failure}", reason="unreachable")

    def _send(self, url: str, headers: Mapping[str, str], method: str) -> httpx.Response:
        authorization = self.settings.credentials.authorization(url)
        extra = {"Authorization": authorization} if authorization else {}
        request = self.client.build_request(method, url, headers={**headers, **extra})
        # auth=None would make httpx read userinfo out of the URL; a callable that adds nothing does not.
        return self.client.send(request, stream=True, auth=lambda request: request)

    def _note_reached(self, origin: Origin) -> None:
        with self._lock:
            self.reached.add(origin)
            self._failures.pop(origin, None)


def status_error(response: httpx.Response) -> AnswerError:
    """Say which status a server answered, and what may help."""
    status = response.status_code
    hint = {
        401: "check the credentials of this index in pip.conf, uv.toml or netrc",
        403: "check the credentials of this index in pip.conf, uv.toml or netrc",
        429: "wait a while, then run it again",
    }.get(status, "")
    phrase = scrub_text(httpx.codes.get_reason_phrase(status))
    return AnswerError(
        f"{scrub_url(str(response.url))} answered {status} {phrase}".rstrip(), reason="status", status=status, hint=hint
    )


def _next_url(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme, target = "", ""
    if scheme != "https" and urlsplit(url).scheme == "https":
        raise AnswerError(f"{scrub_url(url)} redirects away from https", reason="refused")
    return target


def _pause(attempt: int, retry_after: str) -> float:
    asked = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10 else 0.0  # noqa: PLR2004 - dates are ignored
    return min(max(asked, 0.25 * 4.0**attempt), LONGEST_PAUSE)


def _describe(error: Exception) -> str:
    """Say why a request failed, without what it carried."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return scrub_text(str(error)) or type(error).__name__


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a mirror's address as the user wrote it: asking it will tell
        return ""
