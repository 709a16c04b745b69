"""What one installer's configuration says about indexes, in one shape for pip and uv. Pure."""

from dataclasses import dataclass
from typing import Final

from envcap.finding import Finding
from envcap.sources.credentials import Credential

MAX_CONFIG_SIZE: Final = 1 << 20
"""Bytes of a configuration file that are read; no real one is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """What an installer would use. URLs are as written, so they may hold userinfo: never shown.

    Attributes:
        index_url: Replacement of the default index, or empty.
        extra_index_urls: Further indexes, in order.
        find_links: Folders, pages or files, in order.
        no_index: True where the indexes are switched off.
        certificate: CA bundle, or empty.
        client_certificate: PEM file with key and certificate, or empty.
        proxy: Proxy for all requests, or empty.
        trusted_hosts: `host` or `host:port` whose certificates aren't checked.
        timeout: Seconds, or 0 where not said.
        credentials: Given beside the URLs.
        findings: What could not be read.
    """

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    certificate: str = ""
    client_certificate: str = ""
    proxy: str = ""
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = 0.0
    credentials: tuple[Credential, ...] = ()
    findings: tuple[Finding, ...] = ()


def parse_flag(text: str) -> bool:
    """Read a boolean as pip and uv do; anything that is not a plain yes is no."""
    return text.strip().lower() in {"1", "t", "true", "y", "yes", "on"}


def parse_timeout(text: str) -> float:
    """Read seconds; 0 where the text is no positive number."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def unreadable(tool: str, name: str) -> Finding:
    """Name a configuration file that can't be read, by its name alone: its folder names a user."""
    return Finding(code="config-unreadable", message=f"A configuration file of {tool} can't be read: {name}")
