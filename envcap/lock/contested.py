"""Files that several distributions own, where they don't agree about the bytes: the live file's owner wins.

Whoever was installed last wrote the file; an installer says nothing of it. A distribution whose artifact or RECORD
holds the live bytes is the owner, and the others are named as having lost the file. Two layers of an image must agree
about a path, so a script that one distribution's entry point explains is left to that one.
Source: DESIGN §5, rule 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envcap.build.live import read_script
from envcap.environment import Distribution, InstalledFile
from envcap.few import few
from envcap.finding import Finding
from envcap.lock.pypi_result import ProofResult, Proven
from envcap.wheel.scripts import is_generated_script

_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One file with several owners.

    Attributes:
        path: Relative to the prefix.
        winners: Metadata folders of those that hold the live bytes; empty if nobody does.
        losers: Metadata folders of those that hold others.
        is_script: Whether an entry point of the winners explains it: the losers can't bring it too.
    """

    path: str
    winners: tuple[str, ...]
    losers: tuple[str, ...]
    is_script: bool = False


def find_contests(results: Sequence[ProofResult], shared: frozenset[str], *, prefix: Path) -> tuple[Contest, ...]:
    """Find the shared files about which their owners don't agree, sorted by path.

    Args:
        results: One proof for each distribution.
        shared: The paths that several distributions own.
        prefix: The live environment.

    Raises:
        BuildError: A script can't be read.
    """
    owners: dict[str, list[tuple[ProofResult, InstalledFile]]] = {}
    for row in results:
        for file in row.distribution.files:
            if file.path in shared and not file.target:
                owners.setdefault(file.path, []).append((row, file))
    found: list[Contest] = []
    for path in sorted(owners):
        script = {row.distribution.directory for row, file in owners[path] if _generates(row, file, prefix)}
        holds = {row.distribution.directory: _holds(row, file) for row, file in owners[path]}
        winners = script or {directory for directory, held in holds.items() if held}
        losers = {
            directory
            for directory, held in holds.items()
            if directory not in winners and (script or (winners and held is False))
        }
        if losers:
            found.append(
                Contest(
                    path=path,
                    winners=tuple(sorted(winners)),
                    losers=tuple(sorted(losers)),
                    is_script=bool(script),
                )
            )
    return tuple(found)


def left_to_others(contests: Sequence[Contest], distribution: Distribution) -> frozenset[str]:
    """Name the scripts that a distribution lists and that another one's entry point explains."""
    return frozenset(row.path for row in contests if row.is_script and distribution.directory in row.losers)


def contest_findings(contests: Sequence[Contest], distributions: Sequence[Distribution]) -> tuple[Finding, ...]:
    """Say who lost which files to whom, one finding for each pair."""
    names = {row.directory: row.name for row in distributions}
    pairs: dict[tuple[str, str], list[str]] = {}
    for contest in contests:
        for loser in contest.losers:
            pairs.setdefault((loser, contest.winners[0]), []).append(contest.path)
    return tuple(_finding(names, loser, winner, paths) for (loser, winner), paths in sorted(pairs.items()))


def _finding(names: Mapping[str, str], loser: str, winner: str, paths: Sequence[str]) -> Finding:
    shown = few([path.rpartition("/")[2] for path in paths], _NAMED)
    message = (
        f"{names[loser]} and {names[winner]} both own {shown}, with different bytes: "
        f"those of {names[winner]} are live and kept"
    )
    return Finding(code="file-overwritten", message=message, path=paths[0])


def _generates(row: ProofResult, file: InstalledFile, prefix: Path) -> bool:
    point = next((point for point in row.distribution.entry_points if file.path == f"bin/{point.name}"), None)
    data = read_script(file, prefix=prefix) if point else None
    return point is not None and data is not None and is_generated_script(data, point)


def _holds(row: ProofResult, file: InstalledFile) -> bool | None:
    """Tell whether a distribution's artifact or RECORD holds the live bytes; None if it doesn't say."""
    if isinstance(row, Proven):
        return file.path not in {patch.path for patch in row.patches}
    listed = next((entry.sha256 for entry in row.distribution.record if entry.path == file.path), "")
    return listed == file.sha256 if listed else None
