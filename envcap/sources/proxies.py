"""Proxies from the environment, as curl, pip and uv read them. Pure.

The variables come as an argument, so httpx's own look into the process's environment is switched off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Which proxy serves which URL; proxy URLs may hold a password.

    Attributes:
        http: Proxy for `http`, or empty.
        https: Proxy for `https`, or empty.
        bypass: Host names, `.suffixes` and addresses that are asked directly; `*` for all.
    """

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    bypass: tuple[str, ...] = ()


def read_proxies(environ: Mapping[str, str], *, configured: str = "") -> Proxies:
    """Read `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, lower case first; pip's own proxy wins.

    Args:
        environ: The process's environment variables.
        configured: pip's `proxy` option, or empty.
    """
    if configured:
        url = configured if "://" in configured else f"http://{configured}"
        return Proxies(http=url, https=url)

    def variable(name: str) -> str:
        value = environ.get(name, "") or environ.get(name.upper(), "")
        return value if "://" in value or not value else f"http://{value}"

    everything = variable("all_proxy")
    # HTTP_PROXY in upper case could be set by a request's Proxy header in a CGI script (CVE-2016-5385).
    plain = variable("http_proxy") if "REQUEST_METHOD" not in environ else environ.get("http_proxy", "")
    hosts = environ.get("no_proxy", "") or environ.get("NO_PROXY", "")
    return Proxies(
        http=plain or everything,
        https=variable("https_proxy") or everything,
        bypass=tuple(host for part in hosts.split(",") if (host := part.strip())),
    )
