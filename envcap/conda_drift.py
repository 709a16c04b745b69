"""What of the conda packages of a live environment is not as its lock says: other packages, and other files.

Both sides are rows of a lock: the locked ones, and those that a snapshot would write now. A file is compared by way of
its patch, which it has if, and only if, it is not what its package's archive holds.
"""

from collections.abc import Iterator, Sequence

from envcap.drift import Change, Kind
from envcap.environment import Environment
from envcap.lock.conda import lock_conda
from envcap.lockfile.model import CondaPackage, Patch

_AS_PACKED = "as in its archive"


def compare_conda(locked: Sequence[CondaPackage], environment: Environment) -> tuple[int, list[Change]]:
    """Compare the conda packages; tells also how many files that were.

    Args:
        locked: Rows of the lock.
        environment: The scan, its records complete.

    Raises:
        BuildError: A file can't be read.
    """
    live = {row.name: row for row in lock_conda(environment).packages}
    expected = {row.name: row for row in locked}
    changes: list[Change] = []
    for name in sorted({*live, *expected}):
        changes += _compare(expected.get(name), live.get(name), f"{name} (conda)")
    return sum(len(record.files) for record in environment.conda if record.name in expected), changes


def _compare(expected: CondaPackage | None, found: CondaPackage | None, name: str) -> Iterator[Change]:
    if expected is None or found is None:
        what = "installed" if expected is None else "removed"
        yield Change(kind=Kind.PACKAGE, what=what, name=name, expected=_build(expected), found=_build(found))
        return
    if (expected.version, expected.build, expected.sha256) != (found.version, found.build, found.sha256):
        yield Change(kind=Kind.PACKAGE, what="version", name=name, expected=_build(expected), found=_build(found))
        return
    before, now = ({patch.path: patch for patch in row.patches} for row in (expected, found))
    for path in sorted({*before, *now}):
        one, other = before.get(path), now.get(path)
        if one != other:
            what = other.change if other else "edited"
            yield Change(
                kind=Kind.PACKAGE,
                what=what,
                name=name,
                path=path,
                expected=_content(one),
                found=_content(other),
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
