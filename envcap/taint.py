"""Edits that reached further than their environment: into an installer's cache, and from there into others."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envcap.environment import Environment, Finding
from envcap.lockfile.model import Package
from envcap.scan.hardlinks import SharedFile, find_shared, search_roots
from envcap.sources.uv_settings import uv_cache_folder
from envcap.world import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A package whose edited files have other names on this disk.

    Attributes:
        package: Its name.
        files: The files.
    """

    package: str
    files: tuple[SharedFile, ...]

    @property
    def is_cached(self) -> bool:
        """Tell whether the installer's cache has an edited file."""
        return any(file.cached for file in self.files)

    @property
    def environments(self) -> tuple[Path, ...]:
        """Other environments that have an edited file, sorted. They are shown, and never written to a lock."""
        return tuple(sorted({environment for file in self.files for environment in file.environments}))

    @property
    def unseen(self) -> int:
        """Names of the files that were not found, at most."""
        return max(file.unseen for file in self.files)


def find_taints(environment: Environment, packages: Sequence[Package], machine: Machine) -> tuple[Taint, ...]:
    """Find the edited files that other environments or uv's cache share.

    Args:
        environment: The scan.
        packages: Their patches.
        machine: Where uv's cache and the user's home are.
    """
    linked = {
        file.path
        for distribution in environment.distributions
        for file in distribution.files
        if file.links > 1 and not file.source
    }
    edited = {
        patch.path: package.name
        for package in packages
        for patch in package.patches
        if patch.change == "edited" and patch.path in linked
    }
    if not edited:
        return ()
    shared = find_shared(
        environment.prefix,
        edited,
        cache=uv_cache_folder(machine.environ, machine.home, machine.cwd),
        roots=search_roots(environment.prefix, machine.home, machine.environ),
        clock=time.monotonic,
    )
    by_package: dict[str, list[SharedFile]] = {}
    for file in shared:
        by_package.setdefault(edited[file.path], []).append(file)
    return tuple(Taint(package=name, files=tuple(files)) for name, files in sorted(by_package.items()))


def taint_findings(taints: Sequence[Taint]) -> tuple[Finding, ...]:
    """Say what was found, without a path outside the environment."""
    return tuple(_finding(taint) for taint in taints)


def _finding(taint: Taint) -> Finding:
    names = ", ".join(file.path.rpartition("/")[2] for file in taint.files[:4])
    names += f" and {len(taint.files) - 4} more" if len(taint.files) > 4 else ""  # noqa: PLR2004 - as many as named
    others = len(taint.environments)
    also = f" ({others} other environment{' has' if others == 1 else 's have'} it too)" if others else ""
    path = taint.files[0].path
    if taint.is_cached:
        message = (
            f"{taint.package}: {names} was edited in place, and is linked to uv's cache, which is tainted now: every "
            f"later install gets the edit{also}; heal it with `uv cache clean {taint.package}`"
        )
        return Finding(code="cache-tainted", message=message, path=path)
    count = max(file.names for file in taint.files)
    message = (
        f"{taint.package}: {names} was edited in place, and its {count} other name{'s' * (count != 1)} on this disk "
        f"with it{also}; none of them is in uv's cache"
    )
    return Finding(code="file-shared", message=message, path=path)
