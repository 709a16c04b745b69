"""Where a package came from, in one line: `mylib 0.3: editable, commit 1a2b3c4 on main, 2 files uncommitted`. Pure."""

from collections.abc import Iterator

from envcap.lockfile.model import CAPTURED, Lockfile, Package
from envcap.secrets.urls import scrub_origin

_COMMIT = 7
"""Digits of a commit that git shows too."""


def origin_lines(lockfile: Lockfile) -> list[str]:
    """Give the lines of all packages that have one, in the lock's order."""
    return [line for package in lockfile.packages if (line := origin_line(package))]


def origin_line(package: Package) -> str:
    """Say where a package came from; an empty string for one that an index has as it is."""
    words = ", ".join(_words(package))
    return f"{package.name} {package.version}: {words}" if words else ""


def _words(package: Package) -> Iterator[str]:
    match package.origin:
        case "editable":
            yield "editable"
            yield from _checkout(package)
        case "vcs":
            yield (
                f"commit {_short(package.commit)}{_of(package.url)}"
                if package.commit
                else f"a repository{_of(package.url)}"
            )
        case "url":
            yield f"from {_address(package)}"
        case "local":
            named = f"its wheel {package.artifacts[0].file}" if package.proof == "url" else "its files"
            yield f"from this machine, {named} kept with the lock"
            if package.commit:
                yield from _checkout(package)
        case _:
            pass
    if package.sdist.file:
        yield f"built from {package.sdist.file}"


def _checkout(package: Package) -> Iterator[str]:
    if not package.commit:
        yield "in no git commit"
        return
    branch = f" on {package.branch}" if package.branch else ""
    yield f"commit {_short(package.commit)}{branch}{_of(package.url)}"
    if package.uncommitted:
        yield f"{package.uncommitted} {'file' if package.uncommitted == 1 else 'files'} uncommitted"


def _short(commit: str) -> str:
    return commit[:_COMMIT]


def _of(url: str) -> str:
    return f" of {scrub_origin(url)}" if url else ""


def _address(package: Package) -> str:
    """Give the address, or the file's name; scrubbed once more, since somebody else may have written the lock."""
    named = [artifact.url for artifact in package.artifacts if artifact.url] or [package.url]
    if named[0]:
        return scrub_origin(named[0])
    return next((artifact.file for artifact in package.artifacts if artifact.source != CAPTURED), "a URL")
