"""What the formats of conda need of a lock: packages in the order in which they can be installed, and addresses.

A lock names channels, not places; these formats have an address for each package. It is the one where this machine's
configuration has the channel, without user, password or token.
Source: CEP 26 (channel names), conda's `models/match_spec.py` (how a dependency is written) and
`models/prefix_graph.py` (the order, and that Python comes before its own pip).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from envcap.conda.channel import SUBDIRS
from envcap.errors import BuildError
from envcap.export.selection import REDACTIONS
from envcap.finding import Finding
from envcap.lockfile.model import CondaPackage, Lockfile
from envcap.secrets.urls import scrub_url

_DEPENDENCY = re.compile(r"(?:[^\s\[]*::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?P<wanted>.*)\Z")
# No `$`: conda puts the value of a variable there (conda/ceps#79).
_URL = re.compile(r"(?:https?|file)://[A-Za-z0-9._~:/?\[\]@!&()*+,=%-]*\Z")


class CondaPlaces(Protocol):
    """Knows where this machine's configuration has conda packages."""

    def channel(self, name: str) -> str:
        """Give the address of a channel; it may hold a token.

        Raises:
            SourceError: None is configured.
        """

    def is_default(self, name: str) -> bool:
        """Tell whether that address is what the machine's tools make of the channel's mere name."""

    def md5(self, package: CondaPackage) -> str:
        """Give the MD5 of a package whose row has none.

        Raises:
            SourceError: Nobody has the package.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel that an export names.

    Attributes:
        name: As the lock has it.
        url: Its scrubbed address.
        said: What a tool is told: the mere name where that is enough.
    """

    name: str
    url: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSelection:
    """The conda packages of a lock on one platform.

    Attributes:
        subdir: `linux-64`, `linux-aarch64`.
        packages: Each after those that it needs.
        channels: Those with most packages first: the lock knows no priority, and exact builds need none.
        findings: What the formats can't say.
    """

    subdir: str
    packages: tuple[CondaPackage, ...]
    channels: tuple[Channel, ...]
    findings: tuple[Finding, ...]

    def channel(self, package: CondaPackage) -> Channel:
        """Give the channel of a package."""
        return next(channel for channel in self.channels if channel.name == package.channel)

    def url(self, package: CondaPackage) -> str:
        """Give the address of a package."""
        return f"{self.channel(package).url}/{package.subdir}/{quote(package.file, safe='!+')}"


def check_conda(lockfile: Lockfile, form: str) -> None:
    """Refuse a lock that has nothing to say in a format of conda.

    Raises:
        BuildError: It holds no conda package.
    """
    if not lockfile.conda:
        raise BuildError(
            f"The lock {lockfile.name!r} holds no conda packages (expected some for the format {form!r})",
            hint="choose `pylock` or `requirements`, which hold what pip installed",
        )


def select_conda(lockfile: Lockfile, platform: str, places: CondaPlaces, *, form: str) -> CondaSelection:
    """Select the conda packages of a lock.

    Args:
        lockfile: The lock.
        platform: `linux/amd64`, `linux/arm64`.
        places: Gives addresses.
        form: The format, for messages.

    Raises:
        BuildError: There are none, none that a channel has, or none for the platform.
        SourceError: A channel has no address here.
    """
    check_conda(lockfile, form)
    subdir = SUBDIRS.get(platform, "")
    packages = [row for row in lockfile.conda if not row.captured]
    if not packages:
        raise BuildError(
            f"No conda package of the lock {lockfile.name!r} is on a channel (expected some for the format {form!r})",
            hint="rebuild the image with `envcap rebuild`, which needs no channel",
        )
    other = next((row for row in packages if row.subdir not in {subdir, "noarch"}), None)
    if not subdir or other is not None:
        found = f"{other.name} is for {other.subdir}" if other else f"conda packages for {', '.join(sorted(SUBDIRS))}"
        raise BuildError(f"The lock {lockfile.name!r} has no conda packages for {platform} ({found})")
    times = Counter(row.channel for row in packages)
    channels = tuple(_channel(name, places) for name in sorted(times, key=lambda name: (-times[name], name)))
    losses = [finding for name in times for finding in _address_losses(name, places)]
    return CondaSelection(
        subdir=subdir,
        packages=dependency_order(packages),
        channels=channels,
        findings=(*losses, *(finding for row in lockfile.conda for finding in _losses(row))),
    )


def dependency_order(packages: Iterable[CondaPackage]) -> tuple[CondaPackage, ...]:
    """Order packages so that each follows those that it needs; by name where that leaves a choice or is a circle.

    Python does not wait for pip, which Python's own package may name and which can't do without it.
    """
    rows = {row.name: row for row in sorted(packages, key=lambda row: row.name)}
    needs = {
        name: [need for need in sorted(dependencies(row)) if need in rows and (name, need) != ("python", "pip")]
        for name, row in rows.items()
    }
    found: dict[str, CondaPackage] = {}
    for first in rows:
        # Not by recursion: a hostile lock's chain of needs may be as long as it likes.
        path, seen = [(first, iter(needs[first]))], {first}
        while path and first not in found:
            name, left = path[-1]
            following = next((need for need in left if need not in found and need not in seen), None)
            if following is None:
                found[name] = rows[name]
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(needs[following])))
    return tuple(found.values())


def dependencies(package: CondaPackage) -> dict[str, str]:
    """Split what a package needs into names and what is wanted of each; versions wanted of one name, together."""
    found: dict[str, str] = {}
    for text in package.depends:
        if match := _DEPENDENCY.match(text.strip()):
            name, wanted = match["name"].lower(), match["wanted"].strip()
            known = found.get(name, "")
            both = known and wanted and known != wanted and not set(" [") & {*known, *wanted}
            found[name] = f"{known},{wanted}" if both else known or wanted
    return found


def is_plain(url: str) -> bool:
    """Tell whether conda, pip and their parsers read a URL as it stands."""
    return _URL.match(url) is not None


def _channel(name: str, places: CondaPlaces) -> Channel:
    url = _clean(places.channel(name))
    if not is_plain(url):
        raise BuildError(f"The address of the channel {name!r} has characters that conda reads as something else")
    return Channel(name=name, url=url, said=name if places.is_default(name) else url)


def _clean(url: str) -> str:
    if url.startswith("file:"):  # A folder of this machine: no secret, and its path must stay as it is.
        return quote(url.partition("#")[0], safe=":/%+!~@=,&()").rstrip("/")
    return scrub_url(url).rstrip("/")


def _address_losses(name: str, places: CondaPlaces) -> list[Finding]:
    url = places.channel(name)
    if url.startswith("file:"):
        message = f"The channel {name} is a folder of this machine: only this machine can install the export"
        return [Finding(code="export-local-channel", message=message)]
    clean = _clean(url)
    if clean == url.rstrip("/") and not any(mark in clean for mark in REDACTIONS):
        return []
    message = f"The address of the channel {name} holds a secret: put it back before installing"
    return [Finding(code="export-secret", message=message)]


def _losses(package: CondaPackage) -> list[Finding]:
    if package.captured:
        message = f"{package.name} {package.version} is left out: no channel has it (it is kept with the lock)"
        return [Finding(code="export-captured", message=message)]
    if not package.patches:
        return []
    count = "1 file" if len(package.patches) == 1 else f"{len(package.patches)} files"
    message = f"{package.name} {package.version} was patched live ({count}); the export has it as published"
    return [Finding(code="export-unpatched", message=message)]
