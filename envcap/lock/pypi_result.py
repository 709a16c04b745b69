"""What came of looking for a distribution's origin, and how it is kept for the next time. Pure.

A proof is timeless: it follows from the live files' hashes and the indexes' names alone, so it is remembered under them
and a second snapshot asks nobody.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast

from envcap.digest import Digest
from envcap.environment import Distribution
from envcap.finding import Finding, decode_findings, encode_findings
from envcap.lock.proof import Match, Place
from envcap.lockfile.model import Artifact, Patch, SourceArchive
from envcap.sources.location import ProjectFile
from envcap.sources.settings import IndexSettings
from envcap.store.actions import action_key

PROOF_RULES: Final = 2
"""Raised when the rules of `envcap.lock.proof` change: older proofs are then found anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A distribution whose artifact is known.

    Attributes:
        distribution: What is installed.
        artifact: The pinned file.
        proof: `record` (files compared), `url` (the same, for a direct URL) or `tags` (by name alone).
        origin: `index`, `url` or `local`.
        patches: What differs live, sorted by path.
        scripts_rewritten: Scripts whose first line alone differs.
        unchanged: Number of files with equal bytes.
        upload_time: RFC 3339, or empty.
        source_kind: Kind of the artifact's source: `simple-index`, `local` or `url`.
        source_url: Scrubbed hint of an index that is not the default, or empty.
        local_file: The artifact itself where only this machine has it: to be kept with the lock. Else None.
        findings: What was odd.
        received: Bytes received for this proof.
        pages: Those of them that were project pages.
        seconds: Time it took.
        cached: True if it was remembered.
    """

    distribution: Distribution
    artifact: Artifact
    proof: str = "record"
    origin: str = "index"
    patches: tuple[Patch, ...] = ()
    scripts_rewritten: tuple[str, ...] = ()
    unchanged: int = 0
    upload_time: str = ""
    source_kind: str = "simple-index"
    source_url: str = ""
    local_file: Path | None = None
    findings: tuple[Finding, ...] = ()
    received: int = 0
    pages: int = 0
    seconds: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A distribution whose artifact is not known: its files are to be captured.

    Attributes:
        distribution: What is installed.
        reason: Kebab-case: `legacy-format`, `built-from-source`, `vcs`, `directory`, `editable`, `not-on-index`,
            `no-wheel`, `no-match`, `index-failed`, `url-failed`, `offline`.
        message: One sentence for the user.
        sources: Source archives of its version: what it may have been built from.
        sdist: What it was built from, where that was found out.
        findings: What was odd.
        received: Bytes received.
        pages: Those of them that were project pages.
        seconds: Time it took.
    """

    distribution: Distribution
    reason: str
    message: str
    sources: tuple[ProjectFile, ...] = ()
    sdist: SourceArchive = field(default_factory=SourceArchive)
    findings: tuple[Finding, ...] = ()
    received: int = 0
    pages: int = 0
    seconds: float = 0.0


ProofResult = Proven | Unproven


class ProofCache(Protocol):
    """Remembers JSON objects by digest; `envcap.store.ActionCache` is one."""

    def get(self, key: Digest) -> dict[str, object] | None:
        """Recall an object, or None."""

    def put(self, key: Digest, value: Mapping[str, object]) -> None:
        """Remember an object."""


def proof_key(distribution: Distribution, place: Place, settings: IndexSettings) -> Digest:
    """Name a proof by all that it follows from."""
    direct = distribution.direct_url
    # A NUL ends a path, and no other field holds one, so different lists of files give different texts.
    files = "".join(
        f"{file.path}\0{file.sha256 or file.target}\0{bool(file.sha256)}{bool(file.mode & 0o111)}\0"
        for file in distribution.files
    )
    return action_key(
        "pypi-proof",
        {
            "rules": PROOF_RULES,
            "name": distribution.name,
            "version": distribution.version,
            "directory": distribution.directory,
            "tags": list(distribution.tags),
            "files": str(Digest.of(files.encode("utf-8", "surrogateescape"))),
            "missing": list(distribution.missing),
            "entry_points": [[point.name, point.value] for point in distribution.entry_points],
            "direct_url": [direct.url, direct.kind, direct.sha256] if direct else [],
            "python": place.layout.feature,
            "prefixes": [prefix.hex() for prefix in place.prefixes],
            "indexes": [[index.name, index.shown] for index in settings.indexes],
        },
    )


def encode_proof(result: Proven) -> dict[str, object]:
    """Write a proof as JSON, without the distribution and what it took to find it."""
    return {
        "artifact": asdict(result.artifact),
        "proof": result.proof,
        "origin": result.origin,
        "patches": [asdict(patch) for patch in result.patches],
        "scripts_rewritten": list(result.scripts_rewritten),
        "unchanged": result.unchanged,
        "upload_time": result.upload_time,
        "source_kind": result.source_kind,
        "source_url": result.source_url,
        "local_file": str(result.local_file or ""),
        "findings": encode_findings(result.findings),
    }


def decode_proof(value: Mapping[str, object], distribution: Distribution) -> Proven | None:
    """Read a remembered proof; None if it is of another shape, or its local file is gone.

    The store answers for the bytes (each record has a checksum), so only the shape is looked at.
    """
    try:
        local = str(value["local_file"])
        result = Proven(
            distribution=distribution,
            artifact=Artifact(**cast("dict[str, str]", value["artifact"])),  # type: ignore[arg-type]
            proof=str(value["proof"]),
            origin=str(value["origin"]),
            patches=tuple(Patch(**row) for row in cast("list[dict[str, str]]", value["patches"])),  # type: ignore[arg-type]
            scripts_rewritten=tuple(cast("list[str]", value["scripts_rewritten"])),
            unchanged=cast("int", value["unchanged"]),
            upload_time=str(value["upload_time"]),
            source_kind=str(value["source_kind"]),
            source_url=str(value["source_url"]),
            local_file=Path(local) if local else None,
            findings=decode_findings(value["findings"]),
            cached=True,
        )
    except (KeyError, TypeError, ValueError):
        return None
    if result.local_file is not None and not result.local_file.is_file():
        return None
    return result


def count_differences(match: Match) -> tuple[int, int]:
    """Order matches: fewest unexplained files first, then most equal ones."""
    return match.differences, -match.unchanged
