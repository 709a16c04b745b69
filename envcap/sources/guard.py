"""Which URLs may be asked: schemes, and hosts that only this machine's configuration may name (SSRF). Pure.

A lock or an index page may name any host; if it names an address of this machine or of its private network, the request
would come from inside (notes/security.md, T19). Names that resolve to such an address are not caught: the answer is
only ever compared with a hash or a RECORD, and never shown.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from envcap.secrets.urls import scrub_url
from envcap.sources.answer import AnswerError


def check_url(url: str, *, known_hosts: Collection[str]) -> None:
    """Refuse a URL that is not http(s), or that names an inner address which the configuration doesn't.

    Args:
        url: What is to be asked.
        known_hosts: Hosts of the configured indexes and mirrors.

    Raises:
        AnswerError: It is refused.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or not url.isprintable():
        raise AnswerError(f"Unexpected URL {scrub_url(url)!r} (expected http or https)", reason="refused")
    if host not in known_hosts and is_inner_host(host):
        raise AnswerError(
            f"Refused {scrub_url(url)!r}: an address of this machine or network that no configured index or mirror has",
            reason="refused",
            hint="if it is yours, name its index with `--index`",
        )


def is_inner_host(host: str) -> bool:
    """Tell whether a host is spelt as an address that is not public, or is `localhost`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        pass
    try:
        # inet_aton knows what resolvers know: `0x7f.1`, `2130706433`, `127.1`.
        return not ipaddress.ip_address(socket.inet_aton(host)).is_global
    except (OSError, UnicodeEncodeError):
        return False
