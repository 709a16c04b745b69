"""Files kept with two locks: patches of packages, and files of no package."""

from collections.abc import Iterable, Iterator, Sequence

from envcap.difference.row import Difference, Topic, short
from envcap.lockfile.model import CapturedFile, CondaPackage, Lockfile, Package, Patch


def compare_patches(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare the patches of packages that both have; those of one that came or went came or went with it."""
    one, two = _patched(before), _patched(after)
    both = _names(before) & _names(after)
    for key in sorted(key for key in {*one, *two} if key[0] in both):
        left, right = one.get(key), two.get(key)
        if left != right:
            note = "edited otherwise" if left and right and left.change == right.change else ""
            yield Difference(
                topic=Topic.PATCHES, name=": ".join(key), before=_patch(left), after=_patch(right), note=note
            )


def _names(lock: Lockfile) -> set[str]:
    return {row.name for row in lock.packages} | {row.name for row in lock.conda}


def _patched(lock: Lockfile) -> dict[tuple[str, str], Patch]:
    rows: Iterable[Package | CondaPackage] = (*lock.packages, *lock.conda)
    return {(row.name, patch.path): patch for row in rows for patch in row.patches}


def _patch(patch: Patch | None) -> str:
    if patch is None:
        return ""
    if patch.target:
        return f"{patch.change} -> {patch.target}"
    return f"{patch.change} {short(patch.sha256)}{' executable' if patch.executable else ''}".rstrip()


def compare_unowned(before: Sequence[CapturedFile], after: Sequence[CapturedFile]) -> Iterator[Difference]:
    """Compare the files of no package."""
    one, two = {row.path: row for row in before}, {row.path: row for row in after}
    for path in sorted({*one, *two}):
        left, right = one.get(path), two.get(path)
        if left != right:
            yield Difference(topic=Topic.UNOWNED, name=path, before=_captured(left), after=_captured(right))


def _captured(file: CapturedFile | None) -> str:
    if file is None:
        return ""
    return f"-> {file.target}" if file.target else f"{short(file.sha256)}{' executable' if file.executable else ''}"
