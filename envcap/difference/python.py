"""The interpreter and the Python packages of two locks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from envcap.difference.row import Difference, Topic, compare_facts, direction, short
from envcap.lockfile.model import Artifact, Lockfile, Package

T = TypeVar("T")


def compare_interpreters(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare the interpreters."""
    one, two = before.interpreter, after.interpreter
    rows = {
        "implementation": (one.implementation, two.implementation),
        "version": (one.version, two.version),
        "build": (one.build, two.build),
        "ABI": (one.soabi, two.soabi),
        "origin": (one.origin, two.origin),
        "place": (one.home, two.home),
        "content": (_contents(one.artifacts), _contents(two.artifacts)),
    }
    yield from compare_facts(Topic.INTERPRETER, rows)


def compare_packages(before: Sequence[Package], after: Sequence[Package]) -> Iterator[Difference]:
    """Compare the Python packages; those of one version also by their file, commit and origin."""
    one, two = _by_name(before, lambda row: row.name), _by_name(after, lambda row: row.name)
    for name in sorted({*one, *two}):
        gone, new = one.get(name, []), two.get(name, [])
        versions = [", ".join(row.version for row in rows) for rows in (gone, new)]
        if versions[0] != versions[1]:
            yield Difference(
                topic=Topic.PACKAGES, name=name, before=versions[0], after=versions[1], note=direction(*versions)
            )
            continue
        for left, right in zip(gone, new, strict=True):
            yield from _same_version(left, right)


def _same_version(before: Package, after: Package) -> Iterator[Difference]:
    one, two = _contents(before.artifacts), _contents(after.artifacts)
    rows = {
        "another file of the same version": (one, two),
        "another commit": (before.commit, after.commit),
        "another origin": (before.origin, after.origin),
        "another address": (before.url, after.url),
        "uncommitted files": (str(before.uncommitted), str(after.uncommitted)),
    }
    for note, (left, right) in rows.items():
        if left != right:
            files = [", ".join(sorted({artifact.file for artifact in row.artifacts})) for row in (before, after)]
            shown = files if left == one and files[0] != files[1] else [short(left), short(right)]
            yield Difference(topic=Topic.PACKAGES, name=before.name, before=shown[0], after=shown[1], note=note)


def _by_name(rows: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return found


def _contents(artifacts: Iterable[Artifact]) -> str:
    return " ".join(f"{row.platform}:{row.sha256}" for row in artifacts)
