"""How this machine is set up for registries: logins, proxies, certificates, and what the command line allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from envcap.registry.credentials import RegistryLogins, RunHelper, read_logins
from envcap.sources.guard import is_inner_host
from envcap.sources.proxies import Proxies, read_proxies

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds without a byte."""
REALMS_VARIABLE: Final = "ENVCAP_TOKEN_REALMS"
_CERTIFICATES: Final = ("etc/docker/certs.d", "etc/containers/certs.d")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """What to show to registries, and what to believe of them.

    Attributes:
        logins: Logins by host.
        plain_http: Ask over http; without it only registries of this machine are, and only if they don't speak TLS.
        realms: Hosts (`host` or `host:port`) that may see the login of another: token servers elsewhere.
        authorities: Folders with one folder a registry of `*.crt` files: CAs to trust for it beside the system's.
        bundle: CA bundle that replaces the system's, or None.
        proxies: Proxies by scheme.
        timeout: Seconds without a byte.
    """

    logins: RegistryLogins = field(default_factory=RegistryLogins)
    plain_http: bool = False
    realms: frozenset[str] = frozenset()
    authorities: tuple[Path, ...] = ()
    bundle: Path | None = None
    proxies: Proxies = field(default_factory=Proxies)
    timeout: float = DEFAULT_TIMEOUT


def find_registry_settings(
    environ: Mapping[str, str],
    home: Path,
    *,
    run: RunHelper,
    plain_http: bool = False,
    realms: tuple[str, ...] = (),
    root: Path = Path("/"),
) -> RegistrySettings:
    """Read this machine's settings.

    Args:
        environ: The process's environment variables.
        home: The user's home.
        run: Runs a credential helper.
        plain_http: Whether the user allows http beyond this machine.
        realms: Token servers that the user names; `ENVCAP_TOKEN_REALMS` (separated by commas) adds to them.
        root: Where `/etc` lies.

    Raises:
        RegistryError: A file of logins is there and can't be read.
    """
    named = [*realms, *environ.get(REALMS_VARIABLE, "").split(",")]
    bundle = environ.get("SSL_CERT_FILE", "")
    return RegistrySettings(
        logins=read_logins(environ, home, run),
        plain_http=plain_http,
        realms=frozenset(realm.strip().lower() for realm in named if realm.strip()),
        authorities=(*(root / place for place in _CERTIFICATES), home / ".config" / "containers" / "certs.d"),
        bundle=Path(bundle) if bundle else None,
        proxies=read_proxies(environ),
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host (with or without port) is spelt as this machine itself."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name in {"localhost", "::1"}:
        return True
    # Only the plain spelling: `127.1` and its like are inner addresses, but nothing that a user writes.
    return name.startswith("127.") and name.count(".") == 3 and is_inner_host(name)  # noqa: PLR2004
