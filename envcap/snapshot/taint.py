"""Edits that reached further than their environment: into an installer's cache, and from there into others."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envcap.conda.channel import archive_stem
from envcap.conda.paths import unplace_noarch
from envcap.environment import CondaRecord, Environment
from envcap.few import few
from envcap.finding import Finding
from envcap.lockfile.model import Package
from envcap.scan.hardlinks import SharedFile, find_shared, search_roots
from envcap.sources.uv_settings import uv_cache_folder
from envcap.world import Machine

_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A package whose edited files have other names on this disk.

    Attributes:
        package: Its name.
        files: The files.
        conda: Name of its folder in conda's package cache; empty for a package of uv's.
        is_lost: Nobody has its archive: it could not be installed again.
    """

    package: str
    files: tuple[SharedFile, ...]
    conda: str = ""
    is_lost: bool = False

    @property
    def cache(self) -> str:
        """Whose cache it is linked to."""
        return "conda's package cache" if self.conda else "uv's cache"

    @property
    def remedy(self) -> str:
        """What heals the cache."""
        if self.is_lost:
            return "keep all of it: nobody has the archive to install it from again"
        if self.conda:
            return f"remove the folder `{self.conda}` and the archive beside it from the package cache"
        return f"`uv cache clean {self.package}`"

    @property
    def reinstall(self) -> str:
        """What heals an environment then."""
        command = "conda install --force-reinstall" if self.conda else "uv pip install --reinstall"
        return f"`{command} {self.package}`"

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
    changed = {
        patch.path: package.name for package in packages for patch in package.patches if patch.change == "edited"
    }
    if not changed:
        return ()
    edited: dict[str, str] = {}
    shared: list[SharedFile] = []
    for distribution in environment.distributions:
        for file in distribution.files:
            if file.path not in changed:
                continue
            if not file.source and file.links > 1:
                edited[file.path] = changed[file.path]
            elif file.source and _is_link_to(environment.prefix / file.path, file.source):
                # `uv --link-mode symlink`: the file that was edited is the cache's only one.
                shared.append(SharedFile(path=file.path, names=1, cached=1))
                edited[file.path] = changed[file.path]
    shared += find_shared(
        environment.prefix,
        sorted(edited.keys() - {one.path for one in shared}),
        cache=uv_cache_folder(machine.environ, machine.home, machine.cwd),
        roots=search_roots(environment.prefix, machine.home, machine.environ),
        clock=time.monotonic,
    )
    by_package: dict[str, list[SharedFile]] = {}
    for one in shared:
        by_package.setdefault(edited[one.path], []).append(one)
    return tuple(Taint(package=name, files=tuple(files)) for name, files in sorted(by_package.items()))


def _is_link_to(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target


def find_conda_taints(
    environment: Environment, edited: Mapping[str, str], caches: Sequence[Path], machine: Machine
) -> tuple[Taint, ...]:
    """Find the edited files of conda packages that other environments or a package cache share.

    Args:
        environment: The scan.
        edited: Name of the package by path, for each edited file.
        caches: Package caches of this machine.
        machine: Where the user's home is.
    """
    records = {record.name: record for record in environment.conda}
    linked = {
        file.path: record
        for record in environment.conda
        for file in record.files
        if file.links > 1 and edited.get(file.path) == record.name
    }
    if not linked:
        return ()
    places = {path: _unpacked_places(path, record, environment, caches) for path, record in linked.items()}
    shared = find_shared(
        environment.prefix,
        linked,
        cache=uv_cache_folder(machine.environ, machine.home, machine.cwd),
        roots=search_roots(environment.prefix, machine.home, machine.environ),
        clock=time.monotonic,
        places=places,
    )
    by_package: dict[str, list[SharedFile]] = {}
    for file in shared:
        by_package.setdefault(linked[file.path].name, []).append(file)
    return tuple(
        Taint(
            package=name,
            files=tuple(files),
            conda=archive_stem(records[name].file),
            is_lost=records[name].captured == "files",
        )
        for name, files in sorted(by_package.items())
    )


def _unpacked_places(path: str, record: CondaRecord, environment: Environment, caches: Sequence[Path]) -> list[Path]:
    inside = unplace_noarch(path, environment.site_packages) if record.noarch == "python" else path
    named = [Path(record.unpacked)] if record.unpacked else []
    folders = [*named, *(cache / archive_stem(record.file) for cache in caches)]
    return [folder / inside for folder in {folder.resolve(): folder for folder in folders}.values()]


def taint_findings(taints: Sequence[Taint]) -> tuple[Finding, ...]:
    """Say what was found, without a path outside the environment."""
    return tuple(_finding(taint) for taint in taints)


def _finding(taint: Taint) -> Finding:
    names = few([file.path.rpartition("/")[2] for file in taint.files], _NAMED)
    others = len(taint.environments)
    also = f" ({others} other environment{' has' if others == 1 else 's have'} it too)" if others else ""
    path = taint.files[0].path
    if taint.is_cached:
        message = (
            f"{taint.package}: {names} was edited in place, and is linked to {taint.cache}, which is tainted now: "
            f"every later install gets the edit{also}; {'' if taint.conda else 'heal it with '}{taint.remedy}"
        )
        return Finding(code="cache-tainted", message=message, path=path)
    count = max(file.names for file in taint.files)
    message = (
        f"{taint.package}: {names} was edited in place, and its {count} other name{'s' * (count != 1)} on this disk "
        f"with it{also}; none of them is in {taint.cache}"
    )
    return Finding(code="file-shared", message=message, path=path)
