"""Asking a registry's token server. Whether it may be shown a login, `auth` has decided before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envcap.errors import RegistryError, SourceError
from envcap.lazy import lazy_module
from envcap.registry.answer import TRANSIENT, status_hint
from envcap.registry.request import describe, raw_chunks
from envcap.secrets.urls import scrub_url
from envcap.sources.credentials import origin_of
from envcap.sources.guard import check_url, is_inner_host

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from envcap.registry.auth import TokenRequest
else:
    httpx = lazy_module("httpx")

_TRIES: Final = 3
_MAX_BODY: Final = 1 << 20
_OK: Final = 200
_UNAUTHORIZED: Final = 401


def ask_realm(client: httpx.Client, host: str, asked: TokenRequest, pause: Callable[[int], None]) -> bytes:
    """Ask for a token; a redirect is not followed with what is shown.

    Args:
        client: Asks.
        host: The registry, with its port.
        asked: What to ask.
        pause: Waits after a try, by its number.

    Raises:
        RegistryError: Anything but a short body with status 200.
    """
    where = f"The token server {scrub_url(asked.url)} of {host}"
    _check_address(host, asked.url, where)
    failure = ""
    for attempt in range(_TRIES):
        if attempt:
            pause(attempt - 1)
        try:
            status, body = _ask(client, host, asked)
        except (httpx.TransportError, httpx.StreamError, httpx.InvalidURL) as error:
            failure = f"can't be reached: {describe(error)}"
            continue
        if status == _OK:
            return body
        failure = f"answered {status}"
        if status not in TRANSIENT:
            break
    raise RegistryError(f"{where} {failure}", hint=status_hint(_UNAUTHORIZED, host))


def _ask(client: httpx.Client, host: str, asked: TokenRequest) -> tuple[int, bytes]:
    headers = {"Authorization": asked.authorization} if asked.authorization else {}
    form = dict(asked.form) or None
    request = client.build_request("POST" if form else "GET", asked.url, headers=headers, data=form)
    # auth=None would make httpx read userinfo out of the URL; a callable that adds nothing does not.
    response = client.send(request, stream=True, auth=lambda request: request)
    try:
        body = bytearray()
        for chunk in raw_chunks(response, host):
            body += chunk
            if len(body) > _MAX_BODY:
                raise RegistryError(f"A token server of {host} sent more than {_MAX_BODY} bytes")
        return response.status_code, bytes(body)
    finally:
        response.close()


def _check_address(host: str, url: str, where: str) -> None:
    """Let no registry of the outer world make us ask an inner address (T19)."""
    own = origin_of(f"https://{host}")[1]
    known = {origin_of(url)[1]} if is_inner_host(own) else {own}
    try:
        check_url(url, known_hosts=known)
    except SourceError:
        raise RegistryError(f"{where} is not asked: it has an inner address") from None
