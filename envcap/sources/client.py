"""Making the httpx client: certificates, proxies, limits; no cookies, no redirects, no look into the environment."""

from __future__ import annotations

import http.cookiejar
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import certifi

from envcap import __version__
from envcap.errors import SourceError
from envcap.lazy import lazy_module
from envcap.sources.credentials import origin_of
from envcap.sources.settings import IndexSettings

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_module("httpx")

MAX_CONNECTIONS: Final = 32
_CONNECT_TIMEOUT: Final = 15.0


def make_client(settings: IndexSettings) -> httpx.Client:
    """Make a client for the configured indexes and whatever their pages name.

    Raises:
        SourceError: A configured certificate can't be read.
    """
    context = _context(settings)
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    proxies = settings.proxies
    mounts: dict[str, httpx.BaseTransport | None] = {}
    for scheme, proxy in (("http", proxies.http), ("https", proxies.https)):
        if proxy and "*" not in proxies.bypass:
            mounts[f"{scheme}://"] = httpx.HTTPTransport(verify=context, limits=limits, proxy=_proxy(proxy))
    for host in proxies.bypass if mounts else ():
        for pattern in bypass_patterns(host):
            mounts[pattern] = None
    for pattern, special in _special_contexts(settings).items():
        mounts[pattern] = httpx.HTTPTransport(
            verify=special, limits=limits, proxy=_proxy(proxies.https) if proxies.https else None
        )
    return httpx.Client(
        verify=context,
        limits=limits,
        mounts=mounts,
        timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout, _CONNECT_TIMEOUT)),
        headers={"User-Agent": f"envcap/{__version__}"},
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


def _proxy(url: str) -> httpx.Proxy:
    try:
        return httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        raise SourceError(
            "The configured proxy is no URL (expected `http://host:port`)",
            hint="check `proxy` in pip.conf and the variables `http_proxy` and `https_proxy`",
        ) from None


def bypass_patterns(host: str) -> list[str]:
    """Say a `no_proxy` entry in httpx's patterns; a plain name stands for its subdomains too, as in curl."""
    name = host.lstrip("*").lstrip(".")
    if "/" in name or not name:  # networks can't be said as patterns
        return []
    name = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name
    return [f"all://{name}"] if name[:1].isdigit() or name.startswith("[") else [f"all://*{name}"]


def _context(settings: IndexSettings) -> ssl.SSLContext:
    chosen = settings.certificate
    try:
        if chosen is not None and chosen.is_dir():
            return ssl.create_default_context(capath=str(chosen))
        if chosen is not None:
            return ssl.create_default_context(cafile=str(chosen))
        # The system's store, as pip uses it: a lab's own CA is there. Images without one have certifi's.
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
    except (OSError, ssl.SSLError) as error:
        raise SourceError(
            f"The configured CA bundle can't be read: {type(error).__name__}",
            hint="check `cert` in pip.conf and the variables PIP_CERT, REQUESTS_CA_BUNDLE and SSL_CERT_FILE",
        ) from error
    return context


def _special_contexts(settings: IndexSettings) -> dict[str, ssl.SSLContext]:
    """Give the hosts whose certificates aren't checked, and those that see the client certificate."""
    contexts: dict[str, ssl.SSLContext] = {}
    if settings.client_certificate is not None:
        context = _context(settings)
        try:
            context.load_cert_chain(settings.client_certificate)
        except (OSError, ssl.SSLError) as error:
            raise SourceError(
                f"The configured client certificate can't be read: {type(error).__name__}",
                hint="check `client-cert` in pip.conf",
            ) from error
        remote = (index.url for index in settings.indexes if index.url.startswith("https:"))
        contexts |= {f"https://{urlsplit(url).hostname}:{origin_of(url)[2]}": context for url in remote}
    for host in settings.trusted_hosts:
        unchecked = ssl.create_default_context()
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        contexts[f"https://{host}"] = unchecked
    return contexts
