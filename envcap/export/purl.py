"""Package URLs: what scanners match components by. Pure.

Source: ECMA-427 (Package-URL), its type definitions `pypi`, `conda` and `deb`. It is written canonically: qualifiers
sorted by key, everything percent-encoded but what the specification lets stand.
"""

import re
from urllib.parse import quote

from envcap.lockfile.conda_kept import archive_name
from envcap.lockfile.model import CondaPackage, Package, SystemPackage

_SUITE = re.compile(r"(?P<release>[a-z][a-z0-9.]{1,40})(?:-[a-z-]{1,40})?\Z")


def pypi_purl(package: Package) -> str:
    """Name a Python package; empty for one of a folder of the captured machine.

    Such a project may have the name of another one on PyPI, and a scanner would report that one's flaws.
    """
    if package.origin in {"editable", "local"}:
        return ""
    return f"pkg:pypi/{_quote(package.name)}@{_quote(package.version)}"


def conda_purl(package: CondaPackage) -> str:
    """Name a conda package, with the build that a version alone leaves open."""
    kind = "conda" if archive_name(package).endswith(".conda") else "tar.bz2"
    return f"pkg:conda/{_quote(package.name)}@{_quote(package.version)}" + _qualifiers(
        build=package.build, channel=package.channel, subdir=package.subdir, type=kind
    )


def debian_purl(package: SystemPackage, suite: str) -> str:
    """Name a Debian package.

    Args:
        package: Its row.
        suite: Of its source, such as `bookworm-security`, or empty: the release is what scanners know it by.
    """
    return f"pkg:deb/debian/{_quote(package.name)}@{_quote(package.version)}" + _qualifiers(
        arch=package.architecture, distro=release_of(suite)
    )


def release_of(suite: str) -> str:
    """Give the release that a suite belongs to (`bookworm` of `bookworm-security`), or empty."""
    match = _SUITE.match(suite)
    return match["release"] if match else ""


def _qualifiers(**values: str) -> str:
    rows = [f"{key}={quote(value, safe=':/')}" for key, value in sorted(values.items()) if value]
    return "?" + "&".join(rows) if rows else ""


def _quote(text: str) -> str:
    return quote(text, safe=":")
