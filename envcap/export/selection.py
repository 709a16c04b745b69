"""Which packages of a lock an installer can be told about, and why not the others. Pure.

Everything in a lock is hostile: an export is read by pip and uv, where a space, a `$` or a `#` in the wrong place is an
option, a variable or a comment. Only names of a strict alphabet get through.
Source: PEP 440 (versions), PEP 503 (names), PyPA "Binary distribution format" and "Source distribution format".
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from envcap.export.result import KeptWheel
from envcap.finding import Finding
from envcap.lockfile.model import CAPTURED, Artifact, Lockfile, Package
from envcap.plan import artifact_of

REDACTIONS = ("***", "REDACTED")
"""What stands in a scrubbed URL where a secret was."""

_FILE = re.compile(r"[A-Za-z0-9_.+!-]+\Z")
# No space, quote, backslash, `#`, `;` or `$`: pip's requirements files give them a meaning.
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!&()*+,=%-]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A package that other installers can be told about.

    Attributes:
        name: Normalised.
        version: As the lock has it.
        package: Its row.
        artifact: The file of the platform.
    """

    name: NormalizedName
    version: Version
    package: Package
    artifact: Artifact

    @property
    def is_wheel(self) -> bool:
        """Tell a wheel from a source archive."""
        return self.artifact.file.endswith(".whl")

    @property
    def is_captured(self) -> bool:
        """Tell whether its bytes lie beside the lock."""
        return self.artifact.source == CAPTURED

    @property
    def is_direct(self) -> bool:
        """Tell whether it came from a URL of its own, not from an index."""
        return self.package.origin == "url" and bool(self.artifact.url) and not self.is_captured


def select_pins(lockfile: Lockfile, platform: str) -> tuple[tuple[Pin, ...], tuple[Finding, ...]]:
    """Select what installers can be told about, sorted by name, and say what is left out or lost.

    Raises:
        BuildError: The lock doesn't cover the platform.
    """
    pins: list[Pin] = []
    findings: list[Finding] = []
    times = Counter(package.name for package in lockfile.packages)
    for package in sorted(lockfile.packages, key=lambda package: (package.name, package.version)):
        artifact = artifact_of(package, platform)
        reason = _unsayable(package, artifact, times[package.name])
        if reason:
            findings.append(left_out(package, reason))
            continue
        pins.append(
            Pin(
                name=canonicalize_name(package.name),
                version=Version(package.version),
                package=package,
                artifact=artifact,
            )
        )
        findings += _losses(package, artifact)
    return tuple(pins), tuple(findings)


def left_out(package: Package, reason: str) -> Finding:
    """Say that a package is not in the export."""
    return Finding(code="export-left-out", message=f"{package.name} {package.version} is not in the export: {reason}")


def kept_wheel(pin: Pin, folder: PurePath) -> KeptWheel:
    """Say where an export expects a captured wheel."""
    return KeptWheel(path=(folder / pin.artifact.file).as_posix(), sha256=pin.artifact.sha256)


def _unsayable(package: Package, artifact: Artifact, times: int) -> str:
    """Give the reason why a package can't be exported, or an empty string."""
    if times > 1:
        return f"it is installed {times} times, and installers allow one version"
    try:
        version = Version(package.version)
        if artifact.file.endswith(".whl"):
            named: tuple[str, Version] = parse_wheel_filename(artifact.file)[:2]
        else:
            named = parse_sdist_filename(artifact.file)
    except InvalidVersion:
        return "its version is not one of PEP 440"
    except (InvalidWheelFilename, InvalidSdistFilename):
        return "its artifact is no wheel that installers accept"
    if not _FILE.match(artifact.file) or named != (package.name, version):
        return f"the name of its artifact ({artifact.file!r}) is not of this package and version"
    if artifact.url and artifact.source != CAPTURED and not _URL.match(artifact.url):
        return "its URL has characters that installers read as something else"
    return ""


def _losses(package: Package, artifact: Artifact) -> list[Finding]:
    findings: list[Finding] = []
    if package.patches:
        count = "1 file" if len(package.patches) == 1 else f"{len(package.patches)} files"
        findings.append(
            Finding(
                code="export-unpatched",
                message=f"{package.name} {package.version} was patched live ({count}); the export has it as published",
            )
        )
    if artifact.source != CAPTURED and any(mark in artifact.url for mark in REDACTIONS):
        findings.append(
            Finding(
                code="export-secret", message=f"The URL of {package.name} held a secret: put it back before installing"
            )
        )
    return findings
