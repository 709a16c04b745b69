"""Docker Hub's names: `docker.io` in references, others where it is asked and where its logins are kept. Pure.

Source: distribution's reference package, `normalize.go` (`docker.io`, `index.docker.io`, `library/`); docker's registry
package, `config.go` (`registry-1.docker.io`, `https://index.docker.io/v1/`); its token server is `auth.docker.io`.
"""

from typing import Final

HUB: Final = "docker.io"
_OLD_NAME: Final = "index.docker.io"
_ASKED: Final = "registry-1.docker.io"
_TOKENS: Final = frozenset({"auth.docker.io"})
_KEPT_BY_DOCKER: Final = "https://index.docker.io/v1/"


def normal_name(host: str, repository: str) -> tuple[str, str]:
    """Give host and repository as they are meant: Docker Hub has one name, and names without a slash are its own."""
    if host not in {HUB, _OLD_NAME}:
        return host, repository
    return HUB, repository if "/" in repository else f"library/{repository}"


def asked_host(host: str) -> str:
    """Give the host to ask for what a reference's host has."""
    return _ASKED if host == HUB else host


def login_hosts(host: str) -> tuple[str, ...]:
    """Give the hosts under which a login for a registry may be kept."""
    return (HUB, _OLD_NAME, _ASKED) if host == HUB else (host,)


def login_servers(host: str) -> tuple[str, ...]:
    """Give the names under which credential helpers may keep a login: docker's own first."""
    return (_KEPT_BY_DOCKER, HUB) if host == HUB else (host,)


def token_hosts(host: str) -> frozenset[str]:
    """Give the token servers of a registry that are known to be its own though they are on other hosts."""
    return _TOKENS if host == HUB else frozenset()
