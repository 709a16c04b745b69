"""Where the archives of python-build-standalone lie: releases by version, from pbs-installer's table.

An archive is named by `TAG/FILE`, which holds below any mirror that keeps the layout of the project's releases, as
uv's `UV_PYTHON_INSTALL_MIRROR` expects. The address of the releases is taken from the table: it is not ours to know.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from envcap.errors import SourceError
from envcap.interpreter.origin import StandaloneInterpreter

if TYPE_CHECKING:
    from pbs_installer._versions import PythonVersionIndex

SOURCE = "python-build-standalone"
"""Name of the source in a lock."""

FLAVORS = ("install_only_stripped", "install_only")
"""In the order of likelihood: uv and pbs-installer take the stripped archive where there is one."""

_ARCHITECTURES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneArchive:
    """A candidate archive.

    Attributes:
        file: `20251007/cpython-3.12.11+20251007-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz`.
        url: Where to fetch it.
        sha256: Its hash as the table has it, or empty: then only the comparison with the live files proves it.
    """

    file: str
    url: str
    sha256: str = ""


def find_python_mirror(environ: Mapping[str, str]) -> str:
    """Return the mirror that this machine sets, or an empty string: `ENVCAP_PYTHON_MIRROR`, else uv's own variable."""
    return environ.get("ENVCAP_PYTHON_MIRROR") or environ.get("UV_PYTHON_INSTALL_MIRROR") or ""


def locate_standalone(
    origin: StandaloneInterpreter, platform: str, *, mirror: str = ""
) -> tuple[StandaloneArchive, ...]:
    """List the archives that a standalone interpreter may have come from, the likeliest first.

    Args:
        origin: Its marks.
        platform: `linux/amd64` or `linux/arm64`.
        mirror: Base URL that stands in for the project's releases, or empty.

    Raises:
        SourceError: The platform is none of the two.
    """
    architecture = _ARCHITECTURES.get(platform)
    if architecture is None:
        raise SourceError(f"No standalone Python is known for {platform!r} (expected {' or '.join(_ARCHITECTURES)})")
    triple = origin.triple
    if triple.partition("-")[0].partition("_v")[0] != architecture:
        triple = f"{architecture}-unknown-linux-{origin.triple.rpartition('-')[2]}"
    listed = {row[0]: row[1] for row in _rows(origin, architecture) if f"-{triple}-" in row[0]}
    tags = [origin.tag] if origin.tag else sorted({file.partition("/")[0] for file in listed} | {origin.built} - {""})
    flavors = [origin.flavor] if origin.flavor else FLAVORS
    threading = "freethreaded-" if origin.freethreaded else ""
    names = [
        f"{tag}/cpython-{origin.version}+{tag}-{triple}-{threading}{flavor}.tar.gz"
        for tag in tags
        for flavor in flavors
    ]
    # What the table lists comes first: it certainly exists, and its hash is known.
    names.sort(key=lambda name: name not in listed)
    return tuple(
        StandaloneArchive(file=name, url=standalone_url(name, mirror=mirror), sha256=listed.get(name, ""))
        for name in names
    )


def standalone_url(file: str, *, mirror: str = "") -> str:
    """Return the URL of an archive named `TAG/FILE`, below a mirror or the project's releases."""
    return f"{(mirror or _releases()).rstrip('/')}/{quote(file)}"


def _rows(origin: StandaloneInterpreter, architecture: str) -> Iterator[tuple[str, str]]:
    """Yield `TAG/FILE` and hash of the table's install_only archives of this version."""
    for python, files in _table().items():
        number = f"{python.major}.{python.minor}.{python.micro}"
        if (python.implementation, number, python.freethreaded) != ("cpython", origin.version, origin.freethreaded):
            continue
        found = files.get(("linux", architecture, True))
        if found is not None:
            url, sha256 = found
            yield unquote("/".join(url.rsplit("/", 2)[1:])), sha256 or ""


def _releases() -> str:
    urls = (url for files in _table().values() for url, _ in files.values() if SOURCE in url)
    return next(urls).rsplit("/", 2)[0]


@cache
def _table() -> "PythonVersionIndex":
    with warnings.catch_warnings():
        # It reads its data with a function that CPython 3.11 and 3.12 call deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Imported late: the table is a megabyte of JSON.
        from pbs_installer._versions import get_python_versions  # noqa: PLC0415

        return get_python_versions(None)
