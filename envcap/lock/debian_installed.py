"""OS packages that are installed live: wanted in the version that is there, as long as the suite has it."""

from collections.abc import Iterable, Mapping

from envcap.few import few
from envcap.finding import Finding
from envcap.sources.debian_archive import DebianSuite
from envcap.sources.debian_index import DebianPackage

_NAMED = 10


def prefer_installed(
    suite: DebianSuite, installed: Iterable[tuple[str, str]], pins: Mapping[str, DebianPackage]
) -> dict[str, DebianPackage]:
    """Pin packages to the versions that are installed, where the suite has them; other pins stay.

    Args:
        suite: Where packages come from.
        installed: Name and version.
        pins: Those of an earlier lock, by name: one of the installed version stays though the suite dropped it.
    """
    preferred = dict(pins)
    for name, version in installed:
        found = next((package for package in suite.versions(name) if package.version == version), None)
        if found is not None and (name not in pins or pins[name].version != version):
            preferred[name] = found
    return preferred


def version_findings(installed: Iterable[tuple[str, str]], chosen: Mapping[str, DebianPackage]) -> list[Finding]:
    """Report, all at once, the packages that the image has in another version than the live system."""
    rows = [
        f"{name} {version} (in the image {chosen[name].version})"
        for name, version in sorted(installed)
        if name in chosen and chosen[name].version != version
    ]
    if not rows:
        return []
    message = f"Installed in versions that the suite of Debian has no more: {few(rows, _NAMED)}"
    return [Finding(code="os-package-version", message=message)]
