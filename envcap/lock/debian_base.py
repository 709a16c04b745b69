"""The OS packages that every image has, so that people can live in it, and those that its interpreter needs."""

from typing import Final

from envcap.errors import SystemPackageError

BASE: Final = (
    "base-files",  # /etc/debian_version, os-release, the folders of the file system hierarchy
    "base-passwd",  # the masters of /etc/passwd and /etc/group: getpwuid(0)
    "bash",  # `docker run -it`
    "ca-certificates",  # TLS
    "coreutils",  # `env` of shebangs, and everything a person types
    "dash",  # /bin/sh: os.system, subprocess with a shell
    "grep",  # wrapper scripts of wheels and conda packages, with sed
    "libc-bin",  # ldconfig: ctypes.util.find_library
    "libc6",
    "media-types",  # mimetypes
    "ncurses-base",  # terminfo: readline, curses
    "netbase",  # /etc/services, /etc/protocols
    "sed",
    "tzdata",  # zoneinfo
)
"""Chosen whole, with all that they depend on (less what only maintainer scripts use)."""

INSTALLED: Final = "installed on the system"
"""Why a package is in a lock that brings modules which the environment sees."""


def interpreter_packages(origin: str, version: str) -> tuple[str, ...]:
    """Name the packages of an interpreter; their dependencies bring its standard library.

    Args:
        origin: `debian`, `standalone` or `captured`; only the first comes in packages.
        version: Full version, such as `3.11.2`.

    Raises:
        SystemPackageError: The version is no version.
    """
    if origin != "debian":
        return ()
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdecimal() and minor.isdecimal()):
        raise SystemPackageError(f"Unexpected version of the interpreter: {version[:40]!r} (expected such as 3.11.2)")
    return (f"python{major}.{minor}",)
