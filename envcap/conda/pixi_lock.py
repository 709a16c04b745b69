"""Reading `pixi.lock`, versions 4 to 7, for one environment and one platform.

Source: rattler's crate `rattler_lock` (its module documentation, and `test-data/conda-lock/v4` to `v7`). Each
environment lists, by platform, the locations of packages; a second list has what is known of each location. Up to
version 5 a package says `kind` and `url` or `path`; from 6 on its key is the kind. Version 7 has platforms with names
of their own. Keys that are not needed are passed over, as rattler does.
"""

from collections.abc import Collection, Mapping, Sequence

from envcap.conda.channel import split_url
from envcap.conda.listed import (
    HINT,
    INSTALL_HINT,
    ListedPackage,
    ListedWheel,
    Listing,
    listed_package,
    named,
    sorted_packages,
    sorted_wheels,
    text_of,
)
from envcap.errors import LockfileError

_VERSIONS = ("4", "5", "6", "7")
_DEFAULT = "default"
_KINDS = ("conda", "pypi", "source")

Row = Mapping[object, object]


def read_pixi_lock(
    document: Row, *, name: str, subdir: str, environment: str, without: Collection[str] = ()
) -> Listing:
    """Read one environment.

    Args:
        document: The parsed file.
        name: Its name, for messages.
        subdir: The platform that is wanted, such as `linux-64`.
        environment: Which environment; empty for the default.
        without: Packages from folders or sources that are left out: as a rule the project itself.

    Raises:
        LockfileError: Another version, no such environment or platform, or a package that is no archive of a server.
    """
    version = text_of(document, "version")
    if version not in _VERSIONS:
        raise LockfileError(
            f"{name} is a `pixi.lock` of version {version[:20]!r} (expected {', '.join(_VERSIONS)})",
            hint="write it anew with a current pixi, or take a snapshot of the environment",
        )
    environments = document.get("environments")
    found = environments.get(environment or _DEFAULT) if isinstance(environments, Mapping) else None
    if not isinstance(environments, Mapping) or not isinstance(found, Mapping):
        names = named(sorted(str(key) for key in environments)) if isinstance(environments, Mapping) else ""
        raise LockfileError(
            f"{name} has no environment {environment or _DEFAULT!r} (found: {names or 'none'})",
            hint="choose one with `--environment`",
        )
    entries = _entries(found, document, name, subdir)
    known = _known(document, name)
    packages: list[ListedPackage] = []
    wheels: list[ListedWheel] = []
    local: list[str] = []
    for kind, location in entries:
        row = known.get((kind, location), {})
        url = location.removeprefix("direct+")
        if not url.startswith(("http://", "https://", *(("file://",) if kind == "conda" else ()))):
            local.append(text_of(row, "name") or _place(kind, location))
        elif kind == "conda":
            md5, sha256 = text_of(row, "md5"), text_of(row, "sha256")
            packages.append(listed_package(url, md5=md5, sha256=sha256, name=name))
        else:
            url, _, fragment = url.partition("#")
            sha256 = text_of(row, "sha256") or fragment.removeprefix("sha256=")
            wheels.append(ListedWheel(name=text_of(row, "name"), url=url, sha256=sha256))
    if refused := [package for package in local if package not in without]:
        raise LockfileError(
            f"{name} builds from folders or sources: {named(refused)} (expected archives of a server only)",
            hint=f"leave it out with `--without {refused[0]}`, or {INSTALL_HINT}",
        )
    if unknown := sorted(set(without) - set(local)):
        raise LockfileError(f"{name} builds no {named(unknown)} from a folder or source, so that it can't be left out")
    return Listing(packages=sorted_packages(packages), pip=sorted_wheels(wheels))


def _place(kind: str, location: str) -> str:
    """Name what has no name by the end of its location: the rest may hold a token."""
    place = location.partition("[")[0] if kind == "source" else location
    return split_url(place).path.rstrip("/").rpartition("/")[2] or "a folder"


def _entries(environment: Row, document: Row, name: str, subdir: str) -> list[tuple[str, str]]:
    """List kind and location of each package of a platform."""
    platforms = environment.get("packages")
    table = platforms if isinstance(platforms, Mapping) else {}
    wanted = [platform for platform in _platforms(document, subdir) if platform in table]
    if not wanted:
        covered = ", ".join(repr(str(key)[:40]) for key in sorted(map(str, table))[:10])
        raise LockfileError(
            f"{name} covers {covered or 'no platform'} (expected {subdir})", hint=f"have its tool lock {subdir} too"
        )
    if len(wanted) > 1 and subdir not in wanted:
        raise LockfileError(f"{name} has several platforms for {subdir}: {named(wanted)} (expected one)", hint=HINT)
    rows = table[subdir if subdir in wanted else wanted[0]]
    found: list[tuple[str, str]] = []
    for row in rows if isinstance(rows, list) else [None]:
        kind = next((kind for kind in _KINDS if isinstance(row, Mapping) and text_of(row, kind)), "")
        if not isinstance(row, Mapping) or not kind:
            raise LockfileError(f"{name} has an entry of {subdir} that is none (expected `conda:` or `pypi:`)")
        found.append((kind, text_of(row, kind)))
    return found


def _platforms(document: Row, subdir: str) -> Sequence[str]:
    """Name the platforms of a subdir: those that version 7 declares, and the subdir itself."""
    rows = document.get("platforms")
    declared = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    names = [text_of(row, "name") for row in declared if text_of(row, "subdir") == subdir]
    return tuple(dict.fromkeys([subdir, *filter(None, names)]))


def _known(document: Row, name: str) -> dict[tuple[str, str], Row]:
    rows = document.get("packages")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise LockfileError(f"{name} has something else than packages in `packages`", hint=HINT)
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        kind = text_of(row, "kind") or next((kind for kind in _KINDS if text_of(row, kind)), "")
        location = text_of(row, kind) or text_of(row, "url") or text_of(row, "path")
        found.setdefault((kind, location), row)
    return found
