"""What of the conda packages of a live environment is not as its lock says: other packages, and other files.

Both sides are rows of a lock: the locked ones, and those that a snapshot would write now. A file is compared by way of
its patch, which it has if, and only if, it is not what its package's archive holds. Of a link that can't always be
told (`links`); then it is no change, and its package is named as not compared in whole.
"""

from collections.abc import Iterator, Sequence

from envcap.drift import Change, Kind
from envcap.environment import CondaRecord, Environment
from envcap.lock.conda import lock_conda
from envcap.lockfile.model import CondaPackage, Patch

_AS_PACKED = "as in its archive"


def compare_conda(
    locked: Sequence[CondaPackage], environment: Environment
) -> tuple[int, list[Change], list[CondaPackage]]:
    """Compare the conda packages.

    Args:
        locked: Rows of the lock.
        environment: The scan, its records complete.

    Returns:
        How many files were compared, what has changed, and the rows with a link of which nobody can tell.

    Raises:
        BuildError: A file can't be read.
    """
    live = {row.name: row for row in lock_conda(environment).packages}
    records = {record.name: record for record in environment.conda}
    expected = {row.name: row for row in locked}
    changes: list[Change] = []
    unproved: list[CondaPackage] = []
    for name in sorted({*live, *expected}):
        one, other = expected.get(name), live.get(name)
        difference = _compare_packages(name, one, other)
        if one is None or other is None or difference:
            changes += difference
            continue
        links = _Links(records[name])
        changes += _compare_files(one, other, links)
        unproved += [one] if links.unproved(one, other) else []
    return sum(len(record.files) for record in environment.conda if record.name in expected), changes, unproved


class _Links:
    """The links of a package: where they lead live, and in its archive."""

    def __init__(self, record: CondaRecord) -> None:
        self.live = {file.path: file.target for file in record.files if file.target}
        self.packed = {row.path: row.target for row in record.paths if row.path in self.live}

    def is_equal(self, before: Patch | None, now: Patch | None, path: str) -> bool:
        """Tell whether a link leads where the lock has it, or nobody can tell otherwise."""
        if path not in self.live or (before is None and now is None):
            return before == now
        if before is None:
            return self.packed.get(path) == ""
        # Where no archive is at hand, a link that the lock has as edited is not known to be so here.
        return before == now or (bool(before.target) and before.target == self.live[path])

    def unproved(self, one: CondaPackage, other: CondaPackage) -> bool:
        """Tell whether a link is as it is, and nobody knows whether it was."""
        patched = {patch.path for patch in one.patches}
        return any(
            patch.target and patch.path not in patched and self.packed.get(patch.path) == "" for patch in other.patches
        )


def _compare_packages(title: str, expected: CondaPackage | None, found: CondaPackage | None) -> list[Change]:
    name = f"{title} (conda)"
    if expected is None or found is None:
        what = "installed" if expected is None else "removed"
        return [Change(kind=Kind.PACKAGE, what=what, name=name, expected=_build(expected), found=_build(found))]
    if (expected.version, expected.build, expected.sha256) != (found.version, found.build, found.sha256):
        return [Change(kind=Kind.PACKAGE, what="version", name=name, expected=_build(expected), found=_build(found))]
    return []


def _compare_files(expected: CondaPackage, found: CondaPackage, links: _Links) -> Iterator[Change]:
    before, now = ({patch.path: patch for patch in row.patches} for row in (expected, found))
    for path in sorted({*before, *now}):
        one, other = before.get(path), now.get(path)
        if links.is_equal(one, other, path):
            continue
        packed = links.packed.get(path) if one is None or one.target else None
        what = "target" if packed else other.change if other else "edited"
        yield Change(
            kind=Kind.PACKAGE,
            what=what,
            name=f"{expected.name} (conda)",
            path=path,
            expected=_content(one) if one or not packed else f"link to {packed}",
            found=_content(other) if other or not packed else f"link to {packed}",
            patched=one is not None,
        )


def _build(row: CondaPackage | None) -> str:
    return f"{row.version} {row.build}" if row else ""


def _content(patch: Patch | None) -> str:
    if patch is None:
        return _AS_PACKED
    if patch.target:
        return f"link to {patch.target}"
    return f"sha256:{patch.sha256}" if patch.sha256 else ""
