"""What the doctor says of a pinned file. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from envcap.lockfile.model import CAPTURED, Artifact, Lockfile, SystemPackage
from envcap.sources.conda_locator import conda_artifact


class Problem(StrEnum):
    """Why a file may not be had one day; the worst first."""

    LOST = "lost"
    """No source has it, nor has this machine."""

    LOCAL = "local only"
    """No source has it any more; this machine does."""

    YANKED = "yanked"
    """Its index says that it should not be used any more (PEP 592), which often comes before deletion."""

    ONE_SOURCE = "one source"
    """Only one place has it that is no public archive: an index of somebody's own, a direct URL, a channel."""

    NO_ARCHIVE = "no archive"
    """Mirrors have it, which drop a package when it is superseded, and no snapshot archive does."""

    UNKNOWN = "unknown"
    """Nobody could be asked, or nobody answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One file that a lock pins.

    Attributes:
        name: Of its package; `python` for an interpreter, empty for a blob.
        version: Of its package, or empty.
        row: What the lock says.
    """

    name: str
    version: str
    row: Artifact | SystemPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file that may not be had one day.

    Attributes:
        pinned: Which.
        problem: Why.
        detail: Who said what, in one clause.
    """

    pinned: Pinned
    problem: Problem
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the doctor found.

    Attributes:
        files: Files that the lock pins.
        kept: Those that lie beside the lock or in its bundle, and are safe whatever the sources do.
        findings: The others' problems, in the lock's order.
    """

    files: int
    kept: int
    findings: tuple[Finding, ...]


def pinned_files(lockfile: Lockfile) -> Iterator[Pinned]:
    """Yield every file that a lock pins, in its own order; kept blobs are not among them."""
    for artifact in lockfile.interpreter.artifacts:
        if artifact.source != CAPTURED:
            yield Pinned(name="python", version=lockfile.interpreter.version, row=artifact)
    for package in lockfile.packages:
        for artifact in package.artifacts:
            if artifact.source != CAPTURED:
                yield Pinned(name=package.name, version=package.version, row=artifact)
    for conda in lockfile.conda:
        if not conda.captured:
            yield Pinned(name=conda.name, version=conda.version, row=conda_artifact(conda))
    for system in lockfile.system:
        yield Pinned(name=system.name, version=system.version, row=system)
