"""What of a live environment is not as its lock says, by content: values in, changes out. Pure.

Both sides are compared as the image would hold them (`envcap.manifest`), so that what an installer writes in words of
its own is no drift: the first line of a script, RECORD, bytecode. What the lock has as a patch is what it expects.
"""

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from envcap.environment import InterpreterFacts
from envcap.lock.unreadable import hidden_by
from envcap.lockfile.model import Interpreter, Lockfile, Package

Manifest = Mapping[str, "FileState"]
"""The files of one owner by path, relative to the environment's prefix."""


class Kind(enum.Enum):
    """What a change is about, in the order in which changes are told."""

    INTERPRETER = "interpreter"
    ENVIRONMENT = "environment"
    PACKAGE = "package"
    UNOWNED = "unowned"


@dataclass(frozen=True, slots=True)
class FileState:
    """One regular file or symlink, as an image would hold it.

    Attributes:
        executable: Mode 0755 rather than 0644; False for a symlink.
        sha256: Hash of the content; empty for a symlink.
        size: Bytes.
        target: A symlink's target, else empty.
    """

    executable: bool
    sha256: str
    size: int
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not as the lock says.

    Attributes:
        kind: What it is about.
        what: `edited`, `added`, `deleted`, `mode`, `target` and `unreadable` of files; `installed`, `removed` and
            `version` of packages; for the interpreter and the environment the name of the fact.
        name: The package, or empty.
        path: The file, relative to the prefix, or empty.
        expected: What the lock says, or empty where it says nothing.
        found: What is there, or empty.
        patched: True for a file that the lock has as a patch of its package: the patch itself changed.
    """

    kind: Kind
    what: str
    name: str = ""
    path: str = ""
    expected: str = ""
    found: str = ""
    patched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFacts:
    """What a live environment says of itself, beside its files.

    Attributes:
        kind: `venv`, `system` or `conda`.
        system_site_packages: Whether it sees the packages of its base.
        interpreter: What its interpreter said.
        versions: Versions by normalised name; a name that is installed twice has two.
    """

    kind: str
    system_site_packages: bool
    interpreter: InterpreterFacts
    versions: Mapping[str, Collection[str]]


def compare_facts(lockfile: Lockfile, live: LiveFacts) -> Iterator[Change]:
    """Compare the interpreter and the environment's settings with the lock."""
    locked, found = lockfile.interpreter, live.interpreter
    for what, expected, now in (
        ("implementation", locked.implementation, found.implementation),
        ("version", locked.version, found.version),
        ("build", locked.build, found.build),
        ("abi", locked.soabi, found.soabi),
    ):
        if expected != now:
            yield Change(kind=Kind.INTERPRETER, what=what, expected=expected, found=now)
    environment = lockfile.environment
    if environment.kind != live.kind:
        yield Change(kind=Kind.ENVIRONMENT, what="kind", expected=environment.kind, found=live.kind)
    for what in ("sys_platform", "platform_machine"):
        expected, now = environment.markers.get(what, ""), found.markers.get(what, "")
        if expected != now:
            yield Change(kind=Kind.ENVIRONMENT, what=what, expected=expected, found=now)
    if environment.system_site_packages != live.system_site_packages:
        expected, now = (_truth(value) for value in (environment.system_site_packages, live.system_site_packages))
        yield Change(kind=Kind.ENVIRONMENT, what="system-site-packages", expected=expected, found=now)


def compare_versions(lockfile: Lockfile, live: LiveFacts) -> Iterator[Change]:
    """Tell which packages were installed, removed or replaced by another version, by name."""
    locked: dict[str, list[str]] = {}
    for package in lockfile.packages:
        locked.setdefault(package.name, []).append(package.version)
    for name in sorted({*locked, *live.versions}):
        gone = sorted(set(locked.get(name, ())) - set(live.versions.get(name, ())))
        new = sorted(set(live.versions.get(name, ())) - set(locked.get(name, ())))
        what = "version" if gone and new else "removed" if gone else "installed"
        if gone or new:
            yield Change(kind=Kind.PACKAGE, what=what, name=name, expected=", ".join(gone), found=", ".join(new))


def compare_package(package: Package, expected: Manifest, found: Manifest) -> Iterator[Change]:
    """Compare the files of a package that is there in the locked version.

    Args:
        package: Its row of the lock.
        expected: What its artifact and its patches give.
        found: What is live.
    """
    patched = {patch.path for patch in package.patches}
    yield from _compare(expected, found, kind=Kind.PACKAGE, name=package.name, patched=patched)


def compare_unowned(expected: Manifest, found: Manifest) -> Iterator[Change]:
    """Compare the files that no package owns."""
    yield from _compare(expected, found, kind=Kind.UNOWNED, name="", patched=frozenset())


def compare_interpreters(locked: Interpreter, found: Interpreter) -> Iterator[Change]:
    """Compare a captured interpreter with what a capture gives now."""
    if locked.origin != found.origin:
        yield Change(kind=Kind.INTERPRETER, what="origin", expected=locked.origin, found=found.origin)
        return
    hashes = [", ".join(f"sha256:{artifact.sha256}" for artifact in one.artifacts) for one in (locked, found)]
    if hashes[0] != hashes[1]:
        yield Change(kind=Kind.INTERPRETER, what="content", expected=hashes[0], found=hashes[1])


def name_unreadable(changes: Iterable[Change], unreadable: Collection[str]) -> list[Change]:
    """Call a file unreadable that only seems to be gone since it, or a folder that it lies in, can't be read."""
    return [
        replace(change, what="unreadable")
        if change.what == "deleted" and hidden_by(change.path, unreadable) is not None
        else change
        for change in changes
    ]


def sort_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Bring changes into the order in which they are told: by kind, then by package and path."""
    ranks = {kind: rank for rank, kind in enumerate(Kind)}
    return tuple(sorted(changes, key=lambda change: (ranks[change.kind], change.name, change.path)))


def _compare(
    expected: Manifest, found: Manifest, *, kind: Kind, name: str, patched: Collection[str]
) -> Iterator[Change]:
    for path in sorted({*expected, *found}):
        one, other = expected.get(path), found.get(path)
        if one != other:
            what, before, now = _difference(one, other)
            yield Change(
                kind=kind, what=what, name=name, path=path, expected=before, found=now, patched=path in patched
            )


def _difference(expected: FileState | None, found: FileState | None) -> tuple[str, str, str]:
    """Name what differs first, and write both sides of it."""
    if expected is None or found is None:
        return "added" if expected is None else "deleted", _content(expected), _content(found)
    if expected.target != found.target:
        return "target", _content(expected), _content(found)
    if expected.sha256 != found.sha256:
        return "edited", _content(expected), _content(found)
    return "mode", _mode(expected), _mode(found)


def _content(file: FileState | None) -> str:
    if file is None:
        return ""
    return f"link to {file.target}" if file.target else f"sha256:{file.sha256}"


def _mode(file: FileState) -> str:
    return "executable" if file.executable else "not executable"


def _truth(value: bool) -> str:  # noqa: FBT001  # it is the value that is written
    return "true" if value else "false"
