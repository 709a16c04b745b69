"""Everything that was found out about an environment, put together as a lock. The last arrow before the lockfile."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from packaging.utils import canonicalize_name

from envcap.build.live import read_script
from envcap.environment import DirectUrl, Distribution, Environment
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.lock.capture import capture_distribution, captured_files, captured_name, is_wheel
from envcap.lock.contested import contest_findings, find_contests, left_to_others
from envcap.lock.patches import KeptContent, captured_patches, final_patches, lost_paths, shared_paths
from envcap.lock.pypi_result import ProofResult, Proven, Unproven
from envcap.lock.readable import loose_paths
from envcap.lockfile.model import CAPTURED, Artifact, Package, Patch, Source
from envcap.secrets.urls import scrub_url
from envcap.sources.location import DEFAULT_NAME
from envcap.wheel.layout import Layout
from envcap.wheel.scripts import is_generated_script

_NAMED = 4

CaptureBytes = Callable[[Callable[[Callable[[bytes], object]], None]], tuple[str, int]]
"""Runs a producer of bytes into the store; gives their sha256 and length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackages:
    """The `[[packages]]` of a lock, and what must be kept beside it.

    Attributes:
        packages: Sorted by name and version.
        sources: Rows for the indexes that are not the default.
        kept: Bytes for `blobs/`, by sha256.
        findings: What the user should know.
    """

    packages: tuple[Package, ...]
    sources: tuple[Source, ...]
    kept: tuple[KeptContent, ...]
    captured: tuple[str, ...]
    findings: tuple[Finding, ...]


def lock_packages(
    environment: Environment,
    results: Sequence[ProofResult],
    *,
    layout: Layout,
    platform: str,
    capture: CaptureBytes,
) -> LockedPackages:
    """Turn proofs into the packages of a lock; what has no proof is captured.

    Args:
        environment: The scan.
        results: One proof for each distribution.
        layout: The environment's scheme.
        platform: `linux/amd64`, `linux/arm64`.
        capture: Keeps the bytes of a captured artifact in the store.

    Raises:
        BuildError: A file can't be read.
    """
    shared = shared_paths(environment.distributions)
    owners = _owners(environment.distributions, shared)
    patched = {row.distribution.directory: _patched(row) for row in results}
    contests = find_contests(results, shared, prefix=environment.prefix)
    packages: list[Package] = []
    kept: list[KeptContent] = []
    captured: list[str] = []
    findings: list[Finding] = list(contest_findings(contests, environment.distributions))
    for row in results:
        others = left_to_others(contests, row.distribution)
        lost = lost_paths(row.distribution, patched, owners) | others
        loose: frozenset[str] = frozenset()
        match row:
            case Proven():
                package = _proven(row)
                patches = row.patches
            case Unproven():
                package, artifact_sha256, loose = _captured(row, environment.prefix, layout, platform, lost, capture)
                captured.append(artifact_sha256)
                patches = captured_patches(row.distribution, _generated(row.distribution, environment.prefix))
                patches += tuple(Patch(path=path, change="added") for path in loose)
            case _:
                assert_never(row)
        patches = _without(patches, others)
        generates = isinstance(row, Proven) or is_wheel(row.distribution)
        final, contents = final_patches(
            row.distribution, patches, prefix=environment.prefix, lost=lost, generates=generates
        )
        packages.append(replace(package, patches=final))
        kept += contents
        told = lost | loose
        findings += [*row.findings, *_findings(row, [patch for patch in final if patch.path not in told])]
        findings += _loose_findings(row.distribution, loose)
    return LockedPackages(
        packages=tuple(sorted(packages, key=lambda package: (package.name, package.version))),
        sources=tuple(_sources(results)),
        kept=tuple(kept),
        captured=tuple(captured),
        findings=tuple(findings),
    )


def newest_upload(results: Sequence[ProofResult]) -> str:
    """Give the newest upload time among proven artifacts (RFC 3339 in UTC sorts as text), or an empty string."""
    return max((row.upload_time for row in results if isinstance(row, Proven)), default="")


def _proven(row: Proven) -> Package:
    live = row.distribution
    artifact = replace(row.artifact, source=CAPTURED) if row.local_file else row.artifact
    return Package(
        name=canonicalize_name(live.name),
        version=live.version,
        requested=live.requested,
        origin=row.origin,
        proof=_proof(row),
        url=_public(row.artifact.url),
        artifacts=(artifact,),
    )


def _proof(row: Proven) -> str:
    """Name the rung; a RECORD that is wrong about its own wheel proves nothing about hashes, the content does."""
    return "content" if any(finding.code == "record-wrong" for finding in row.findings) else row.proof


def _captured(
    row: Unproven, prefix: Path, layout: Layout, platform: str, lost: frozenset[str], capture: CaptureBytes
) -> tuple[Package, str, frozenset[str]]:
    live = row.distribution
    scripts = frozenset(f"bin/{point.name}" for point in live.entry_points) if is_wheel(live) else frozenset()
    beside = scripts | lost
    loose = loose_paths(live, captured_files(live, prefix, beside), layout=layout)

    def produce(write: Callable[[bytes], object]) -> None:
        capture_distribution(live, prefix=prefix, layout=layout, left_out=beside | loose, write=write)

    sha256, size = capture(produce)
    direct, checkout = live.direct_url, live.checkout
    package = Package(
        name=canonicalize_name(live.name),
        version=live.version,
        requested=live.requested,
        origin="index" if row.sdist.file and live.direct_url is None else _origin(live),
        proof="captured",
        commit=checkout.commit if checkout else direct.commit if direct else "",
        branch=checkout.branch if checkout else "",
        uncommitted=checkout.uncommitted if checkout else 0,
        sdist=row.sdist,
        url=checkout.url if checkout else _address(direct) if direct else "",
        artifacts=(Artifact(platform=platform, source=CAPTURED, file=captured_name(live), size=size, sha256=sha256),),
    )
    return package, sha256, loose


def _without(patches: Sequence[Patch], others: frozenset[str]) -> tuple[Patch, ...]:
    """Leave the scripts of other distributions to them."""
    deleted = (Patch(path=path, change="deleted") for path in others)
    return (*(patch for patch in patches if patch.path not in others), *deleted)


def _loose_findings(distribution: Distribution, loose: frozenset[str]) -> Iterator[Finding]:
    if loose:
        names = few([path.rpartition("/")[2] for path in sorted(loose)], _NAMED)
        message = f"{distribution.name}: {names} kept beside its archive, which can't hold such names"
        yield Finding(code="captured-loose", message=message, path=min(loose), level=FindingLevel.NOTE)


def _public(url: str) -> str:
    """Keep an address that means something elsewhere; a folder of this machine does not (DESIGN §3)."""
    return "" if url.startswith("file:") else url


def _address(direct: DirectUrl) -> str:
    """Give the public address of a direct URL; that of a file may hold a token as a folder, a repository's does not."""
    return _public(scrub_url(direct.url) if direct.kind == "archive" else direct.url)


def _origin(distribution: Distribution) -> str:
    match distribution.direct_url:
        case None:
            return (
                "editable" if distribution.form == "egg-link" else "local" if distribution.form != "wheel" else "index"
            )
        case direct:
            return {"vcs": "vcs", "editable": "editable", "archive": "url"}.get(direct.kind, "local")


def _generated(distribution: Distribution, prefix: Path) -> dict[str, bool]:
    """Tell, for each script of an entry point that is there, whether it is what installers generate."""
    if not is_wheel(distribution):
        return {}
    files = {file.path: file for file in distribution.files}
    found: dict[str, bool] = {}
    for point in distribution.entry_points:
        file = files.get(f"bin/{point.name}")
        if file is not None:
            data = read_script(file, prefix=prefix)
            found[file.path] = data is not None and is_generated_script(data, point)
    return found


def _patched(row: ProofResult) -> frozenset[str]:
    return frozenset(patch.path for patch in row.patches) if isinstance(row, Proven) else frozenset()


def _owners(distributions: Sequence[Distribution], shared: frozenset[str]) -> Mapping[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for distribution in distributions:
        for file in distribution.files:
            if file.path in shared:
                owners.setdefault(file.path, []).append(distribution.directory)
    return owners


def _sources(results: Sequence[ProofResult]) -> Iterator[Source]:
    rows = {
        row.artifact.source: Source(name=row.artifact.source, kind=row.source_kind, url=row.source_url)
        for row in results
        if isinstance(row, Proven) and not row.local_file and row.source_kind != "url"
    }
    for name in sorted(rows):
        if name != DEFAULT_NAME:
            yield rows[name]


def _findings(row: ProofResult, patches: Sequence[Patch]) -> Iterator[Finding]:
    name = row.distribution.name
    # The scan already said of an editable what becomes of it.
    if isinstance(row, Unproven) and row.reason != "editable":
        built = f", built from {row.sdist.file}" if row.sdist.file else ""
        yield Finding(code=f"captured-{row.reason}", message=f"{name} is captured{built}: {row.message}")
    if patches:
        yield Finding(code="package-patched", message=f"{name} differs from its wheel: {_changes(patches)}")


def _changes(patches: Sequence[Patch]) -> str:
    """Name the files of each change, the first few of many; the lock has them all."""
    parts = []
    for change in ("edited", "added", "deleted"):
        names = [patch.path.rpartition("/")[2] for patch in patches if patch.change == change]
        if names:
            parts.append(f"{few(names, _NAMED)} {change}")
    return "; ".join(parts)
