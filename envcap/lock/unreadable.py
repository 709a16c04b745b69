"""Refuses to lock an environment of which a part can't be read: what nobody may look at is not gone.

A scan notes what it can't read and goes on. In a lock such a file would be a deleted one, and the image would lack it:
seldom what is meant, and never what is there. Somebody else's environment, a folder that only its owner may enter and a
failing disk look like this.
"""

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from envcap.environment import Environment
from envcap.errors import ScanError
from envcap.wheel.layout import is_bytecode

UNREADABLE = "file-unreadable"


def unreadable_paths(environment: Environment) -> dict[str, str]:
    """Name the files and folders that the scan could not read, relative to the prefix, with what it said."""
    return {finding.path: finding.message for finding in environment.findings if finding.code == UNREADABLE}


def hidden_by(path: str, unreadable: Collection[str]) -> str | None:
    """Name what keeps a file from being read: itself or a folder that it lies in (`""` is the prefix), or None."""
    if path in unreadable:
        return path
    for parent in PurePosixPath(path).parents:
        name = "" if parent == PurePosixPath() else str(parent)
        if name in unreadable:
            return name
    return None


def refuse_unreadable(environment: Environment) -> None:
    """Refuse an environment whose packages have files that can't be read.

    Files of nobody that can't be read are left out, as their findings say.

    Raises:
        ScanError: There are such files.
    """
    unreadable = unreadable_paths(environment)
    if not unreadable:
        return
    hidden = {
        (owner, path)
        for owner, path in _owned(environment)
        if not is_bytecode(path) and hidden_by(path, unreadable) is not None
    }
    if not hidden:
        return
    owners = sorted({owner for owner, _ in hidden if owner})
    place = hidden_by(min(hidden)[1], unreadable) or ""
    said = unreadable[place][:1].lower() + unreadable[place][1:]
    what = f"files of {', '.join(owners[:5])}{' …' if len(owners) > 5 else ''}" if owners else "its packages"  # noqa: PLR2004 - a line's worth
    raise ScanError(
        f"Unable to lock {what}: {place or environment.prefix}: {said} (expected every file to be readable)",
        hint="take the snapshot as the user whose environment it is, or give yourself the right to read it "
        "(`chmod -R a+rX`)",
    )


def _owned(environment: Environment) -> Iterator[tuple[str, str]]:
    yield "", environment.site_packages
    for one in environment.distributions:
        yield one.name, one.directory
        yield from ((one.name, path) for path in one.missing)
        yield from ((one.name, row.path) for row in one.record)
        yield from ((one.name, file.path) for file in one.files if not file.target and not file.sha256)
    for package in environment.conda:
        yield package.name, package.directory
        yield from ((package.name, path.path) for path in package.paths)
