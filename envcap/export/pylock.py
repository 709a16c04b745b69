"""A lock as `pylock.toml`: one environment, one artifact a package, every artifact with size and sha256.

Source: PEP 751 (PyPA "pylock.toml Specification"), through `packaging.pylock`.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol
from urllib.parse import quote

import tomli_w
from packaging.markers import Marker
from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from envcap.errors import BuildError, SourceError
from envcap.export.result import Export
from envcap.export.selection import REDACTIONS, Pin, kept_wheel, left_out, select_pins
from envcap.finding import Finding
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Artifact, Interpreter, Lockfile
from envcap.secrets.urls import scrub_url

_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


class Locate(Protocol):
    """Knows where this machine's configuration has a pinned file."""

    def __call__(self, artifact: Artifact) -> str:
        """Give the URL of a file.

        Raises:
            SourceError: No source has it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    locate: Locate
    blobs: PurePath | None
    wheels: PurePath | None


def export_pylock(
    lockfile: Lockfile,
    *,
    platform: str,
    locate: Locate,
    blobs: PurePath | None = None,
    wheels: PurePath | None = None,
) -> Export:
    """Write a lock as `pylock.toml`, for `uv pip sync`, `uv pip install -r` and `pip install -r`.

    Captured artifacts are files beside the export, in `wheels` if given, else in `blobs`, else left out. pip (26.3)
    wants a file to have the name of its wheel; uv (0.13) reads the name from the lock.

    Args:
        lockfile: The lock.
        platform: `linux/amd64`, `linux/arm64`.
        locate: Gives the URL of an artifact of an index; its userinfo, query and tokens are taken out.
        blobs: The lock's `blobs/sha256`, relative to the folder of the export.
        wheels: Folder, relative to that of the export, where the caller lays `Export.wheels`.

    Raises:
        BuildError: The lock doesn't cover the platform.
    """
    pins, found = select_pins(lockfile, platform)
    findings = list(found)
    packages: list[Package] = []
    places = _Places(locate=locate, blobs=blobs, wheels=wheels)
    for pin in pins:
        try:
            package = _package(pin, places)
        except SourceError as error:
            findings.append(left_out(pin.package, error.message))
            continue
        findings += _hidden(pin, package)
        packages.append(package)
    pylock = Pylock(
        lock_version=Version("1.0"),
        environments=[_environment(lockfile.interpreter, platform)],
        requires_python=_requires_python(lockfile.interpreter),
        created_by="envcap",
        packages=packages,
        tool={"envcap": _notes(lockfile)},
    )
    try:
        pylock.validate()
    except PylockValidationError as error:
        raise BuildError(f"The lock {lockfile.name!r} can't be said as pylock.toml: {error}") from None
    return Export(
        text=tomli_w.dumps(pylock.to_dict()),
        findings=tuple(findings),
        wheels=tuple(kept_wheel(pin, wheels) for pin in pins if pin.is_captured) if wheels is not None else (),
    )


def _package(pin: Pin, places: _Places) -> Package:
    size, hashes = pin.artifact.size, {"sha256": pin.artifact.sha256}
    if pin.is_direct:
        archive = PackageArchive(url=scrub_url(pin.artifact.url), size=size, hashes=hashes)
        return Package(name=pin.name, version=pin.version, archive=archive)
    path, url = _place(pin, places)
    if pin.is_wheel:
        wheel = PackageWheel(name=pin.artifact.file, path=path, url=url, size=size, hashes=hashes)
        return Package(name=pin.name, version=pin.version, wheels=[wheel])
    sdist = PackageSdist(name=pin.artifact.file, path=path, url=url, size=size, hashes=hashes)
    return Package(name=pin.name, version=pin.version, sdist=sdist)


def _place(pin: Pin, places: _Places) -> tuple[str | None, str | None]:
    if not pin.is_captured:
        return None, clean_url(places.locate(pin.artifact))
    if places.wheels is not None:
        return kept_wheel(pin, places.wheels).path, None
    if places.blobs is not None:
        return (places.blobs / pin.artifact.sha256).as_posix(), None
    raise SourceError("it is captured, and the lock's blobs are not beside the export")


def clean_url(url: str) -> str:
    """Take secrets out of the URL of a file."""
    if url.startswith("file:"):  # A folder of this machine: no secret, and its path must stay as it is.
        return quote(url.partition("#")[0], safe=":/%+!~@=,&()")
    return scrub_url(url)


def _hidden(pin: Pin, package: Package) -> list[Finding]:
    """Warn of a URL of the index that lost a token; a direct URL's is already told of."""
    urls = [wheel.url or "" for wheel in package.wheels or []] + ([package.sdist.url or ""] if package.sdist else [])
    if not any(mark in url for mark in REDACTIONS for url in urls):
        return []
    message = f"The index has {pin.name} at a URL that holds a secret: put it back before installing"
    return [Finding(code="export-secret", message=message)]


def _environment(interpreter: Interpreter, platform: str) -> Marker:
    """Restrict to what was captured: the set of packages was chosen for it (PEP 508 markers of dependencies)."""
    if platform not in _MACHINES:
        raise BuildError(f"Unexpected platform {platform!r} (expected one of: {', '.join(_MACHINES)})")
    return Marker(
        f"implementation_name == '{interpreter.implementation}' and platform_machine == '{_MACHINES[platform]}' "
        "and sys_platform == 'linux'"
    )


def _requires_python(interpreter: Interpreter) -> SpecifierSet:
    feature = ".".join(interpreter.version.split(".")[:2])
    return SpecifierSet(f"=={feature}.*")


def _notes(lockfile: Lockfile) -> dict[str, object]:
    patched = [package.name for package in lockfile.packages if package.patches]
    notes: dict[str, object] = {"lock": lockfile.name, "digest": str(environment_digest(lockfile))}
    return notes | ({"patched": patched} if patched else {})
