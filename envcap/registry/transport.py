"""The httpx client for one registry: certificates, proxies, and a floor under the speed of every answer.

A timeout between two bytes does not stop a server that sends one now and then, in a body or in the headers, so the
stream below httpx counts: once an answer has begun, it must come at a least rate (notes/security.md, T17).
"""

from __future__ import annotations

import http.cookiejar
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import certifi

from envcap import __version__
from envcap.errors import RegistryError
from envcap.lazy import lazy_module
from envcap.sources.client import bypass_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import httpcore
    import httpx

    from envcap.registry.settings import RegistrySettings
else:
    httpx = lazy_module("httpx")

SLOWEST: Final = 16_384
"""Bytes a second that an answer may trickle at, once its grace time is over."""
_CONNECT_TIMEOUT: Final = 15.0
_CONNECTIONS: Final = 16
_READ: Final = 256 << 10
"""Bytes read at a time: httpcore asks for 64 KiB, which costs a fifth of the speed on a fast network."""
_MAX_AUTHORITIES: Final = 64


def make_client(host: str, settings: RegistrySettings) -> httpx.Client:
    """Make a client; it follows no redirect, keeps no cookie and looks into no environment.

    Args:
        host: The registry, with its port: CAs may be configured for it alone.
        settings: This machine's.

    Raises:
        RegistryError: A configured certificate or proxy can't be used.
    """
    context = _context(host, settings)
    proxies = settings.proxies
    mounts: dict[str, httpx.BaseTransport | None] = {}
    for scheme, proxy in (("http", proxies.http), ("https", proxies.https)):
        if proxy and "*" not in proxies.bypass:
            mounts[f"{scheme}://"] = _transport(context, settings, proxy=proxy)
    for name in (*proxies.bypass, "localhost", "127.0.0.1", "[::1]") if mounts else ():
        mounts |= dict.fromkeys(bypass_patterns(name))
    return httpx.Client(
        transport=_transport(context, settings),
        mounts=mounts,
        timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, _CONNECT_TIMEOUT)),
        # RFC 9110, 12.5.3: digests are of the bytes as they are stored, and an inflated answer could have any size.
        headers={"User-Agent": f"envcap/{__version__}", "Accept-Encoding": "identity"},
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


class SteadyStream:
    """A network stream that breaks off an answer which comes too slowly, and copies no buffer to send it."""

    def __init__(self, inner: httpcore.NetworkStream, grace: float, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._grace = grace
        self._clock = clock
        self._began: float | None = None
        self._received = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read as httpcore does."""
        data = self._inner.read(max(max_bytes, _READ), timeout)
        now = self._clock()
        if self._began is None:
            self._began = now
        self._received += len(data)
        if now - self._began > self._grace + self._received / SLOWEST:
            import httpcore  # noqa: PLC0415  # see `SteadyBackend`

            raise httpcore.ReadTimeout(f"sends too slowly ({self._received} bytes so far)")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write as httpcore does: what follows is another answer."""
        self._began, self._received = None, 0
        # httpcore cuts the rest off after each partial send; of a memoryview that is no copy.
        self._inner.write(memoryview(buffer), timeout)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SteadyStream:
        """Speak TLS on it."""
        return SteadyStream(
            self._inner.start_tls(ssl_context, server_hostname, timeout), grace=self._grace, clock=self._clock
        )

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore declares it
        """Tell what httpcore asks of a stream."""
        return self._inner.get_extra_info(info)


class SteadyBackend:
    """Makes such streams; what httpcore calls a network backend."""

    def __init__(self, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        # Not by `lazy_module`: httpx imports it too, and an `import` of a module that loads lazily swallows whatever
        # its loading raises (CPython, `_PyModuleSpec_IsInitializing`), Ctrl-C as well; half a module is left.
        import httpcore  # noqa: PLC0415  # only what asks a registry waits for it

        self._inner = httpcore.SyncBackend()
        self._grace = grace
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> SteadyStream:
        """Connect."""
        inner = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return SteadyStream(inner, self._grace, self._clock)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)


def _transport(context: ssl.SSLContext, settings: RegistrySettings, *, proxy: str = "") -> httpx.HTTPTransport:
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    try:
        transport = httpx.HTTPTransport(verify=context, limits=limits, proxy=httpx.Proxy(proxy) if proxy else None)
    except (ValueError, httpx.InvalidURL):
        raise RegistryError(
            "The configured proxy is no URL (expected `http://host:port`)",
            hint="check the variables `http_proxy` and `https_proxy`",
        ) from None
    # httpx has no argument for httpcore's public one; tests of slow answers would tell if this stopped working.
    transport._pool._network_backend = SteadyBackend(2 * settings.timeout)  # type: ignore[assignment]  # noqa: SLF001
    return transport


def _context(host: str, settings: RegistrySettings) -> ssl.SSLContext:
    # docker and podman look for a registry's own CAs in certs.d/HOST:PORT/*.crt.
    folders = [folder / host for folder in settings.authorities]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.crt"))][:_MAX_AUTHORITIES]
    try:
        if settings.bundle is not None:
            context = ssl.create_default_context(cafile=str(settings.bundle))
        else:
            context = ssl.create_default_context()
            context.load_verify_locations(certifi.where())
        for path in files:
            context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(
            f"A configured CA certificate can't be read: {type(error).__name__}",
            hint="check SSL_CERT_FILE and the files `*.crt` in /etc/docker/certs.d and /etc/containers/certs.d",
        ) from None
    return context
