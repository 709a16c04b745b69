"""Warns of captured packages whose code was compiled for this machine's processor and may stop on another's."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from envcap.environment import Distribution
from envcap.finding import Finding
from envcap.lock.pypi_result import ProofResult, Unproven
from envcap.scan.isa import BASELINE, read_isa_level


def host_code_findings(results: Sequence[ProofResult], prefix: Path) -> tuple[Finding, ...]:
    """Say for each package that was built here which level its binaries need, where that is above the baseline.

    What an index has was built for everybody, and chooses at run time; it is not looked at.

    Args:
        results: The proofs.
        prefix: The environment.
    """
    return tuple(found for row in results if isinstance(row, Unproven) for found in _findings(row.distribution, prefix))


def _findings(distribution: Distribution, prefix: Path) -> Iterator[Finding]:
    levels: dict[str, int] = {}
    for file in distribution.files:
        if file.target or file.path.endswith((".py", ".pyi", ".txt", ".json", ".h")):
            continue
        try:
            level = read_isa_level(file.location(prefix))
        except OSError:
            continue  # what can't be read is an error of the capture, which says more
        if level > BASELINE:
            levels[file.path] = level
    if levels:
        level = max(levels.values())
        worst = next(path for path, found in levels.items() if found == level)
        more = f" and {len(levels) - 1} more" if len(levels) > 1 else ""
        yield Finding(
            code="host-specific-code",
            message=f"{distribution.name} was compiled here for x86-64-v{level} ({worst.rpartition('/')[2]}{more}): "
            "on a processor without it, it may stop with an illegal instruction (build it without `-march=native`)",
            path=worst,
        )
