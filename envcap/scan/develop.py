"""`setup.py develop`: its metadata, which lies in the project's folder, and the path file that it shares with eggs.

Source: setuptools, "Development Mode". site-packages holds an `.egg-link` that names the folder, and `easy-install.pth`
that puts it on the path; the `.egg-info` beside the code is what `importlib.metadata` and generated scripts find.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, Environment, InstalledFile
from envcap.finding import Finding
from envcap.scan.entry_points import parse_entry_points
from envcap.scan.metadata import parse_identity
from envcap.scan.outside import read_file

_LIMIT = 1 << 20
_SCRIPT_LIMIT = 64 << 10
_PATH_FILE = "easy-install.pth"
_SCRIPT = re.compile(
    r"^# EASY-INSTALL-(?P<kind>ENTRY|DEV)-SCRIPT: '(?P<name>[A-Za-z0-9._-]+)(?:==[^']*)?'", re.MULTILINE
)
_DEV_FILE = re.compile(r"^__file__ = '(?P<path>/[^'\\\n\0]+)'$", re.MULTILINE)


def develop_metadata(
    distribution: Distribution, folder: Path | None, site: str
) -> tuple[Distribution, dict[str, Path]]:
    """Find the metadata of a develop install.

    Args:
        distribution: What its `.egg-link` says.
        folder: The folder that it names.
        site: site-packages, relative to the prefix.

    Returns:
        The distribution as its metadata describes it, and the metadata's files by path below site-packages; as it was,
        and none, where there is no metadata of that name.
    """
    for info in sorted(folder.glob("*.egg-info")) if folder is not None and folder.is_dir() else ():
        stated = parse_identity(_read(info / "PKG-INFO"))
        if stated.version and canonicalize_name(stated.name) == canonicalize_name(distribution.name):
            files = {f"{info.name}/{file.name}": file for file in sorted(info.iterdir())}
            points = parse_entry_points(_read(info / "entry_points.txt")).entry_points
            found = replace(
                distribution,
                name=stated.name,
                version=stated.version,
                directory=f"{site}/{info.name}",
                entry_points=points,
            )
            return found, files
    return distribution, {}


def settle_develop_files(expanded: Environment, scanned: Environment) -> Environment:
    """Give the files that develop installs left in the environment, and that nothing lists, to their distributions.

    The generated scripts become files of the distribution; one that only runs the project's own script is replaced by
    that. `easy-install.pth` is left out where all that it names are folders whose files took their place.
    """
    pairs = [
        (old, new)
        for old, new in zip(scanned.distributions, expanded.distributions, strict=True)
        if old.form == "egg-link" and any(file.source for file in new.files)
    ]
    if not pairs:
        return expanded
    folders = {_read(scanned.prefix / old.directory).partition("\n")[0].strip() for old, _ in pairs}
    by_name = {canonicalize_name(new.name): new for _, new in pairs}
    owned = {file.path for one in expanded.distributions for file in one.files}
    scripts: dict[str, dict[str, InstalledFile]] = {
        name: _entry_scripts(new, owned, scanned.prefix) for name, new in by_name.items()
    }
    unowned: list[InstalledFile] = []
    for file in expanded.unowned:
        owner, script = _script(file, scanned.prefix)
        theirs = scripts.get(owner)
        if script is not None and theirs is not None:
            theirs.setdefault(file.path, script)
        elif not _is_path_file(file, scanned, folders):
            unowned.append(file)
    distributions = [
        replace(one, files=tuple(sorted((*one.files, *scripts[name].values()), key=lambda file: file.path)))
        if one is by_name.get(name := canonicalize_name(one.name))
        else one
        for one in expanded.distributions
    ]
    links = {old.directory for old, _ in pairs}
    findings = tuple(row for row in expanded.findings if not _is_settled(row, links, expanded.unowned, unowned))
    return replace(expanded, distributions=tuple(distributions), unowned=tuple(unowned), findings=findings)


def _is_settled(finding: Finding, links: set[str], before: Iterable[InstalledFile], after: list[InstalledFile]) -> bool:
    """Tell whether a finding of the scan is moot: the version was read, or the path file is gone."""
    gone = {file.path for file in before} - {file.path for file in after}
    return (finding.code == "version-unknown" and finding.path in links) or (
        finding.code == "path-outside" and finding.path in gone
    )


def _entry_scripts(distribution: Distribution, owned: set[str], prefix: Path) -> dict[str, InstalledFile]:
    """List the scripts of a develop install's entry points, which the scan left out as any installer's."""
    paths = [f"bin/{point.name}" for point in distribution.entry_points]
    found = {path: read_file(path, prefix / path) for path in paths if path not in owned}
    return {path: replace(file, source="") for path, file in found.items() if file is not None}


def _script(file: InstalledFile, prefix: Path) -> tuple[str, InstalledFile | None]:
    """Tell whose script a file is by what setuptools wrote into it, and the file that goes into the image for it."""
    if not file.path.startswith("bin/") or file.target or file.size > _SCRIPT_LIMIT:
        return "", None
    text = _read(prefix / file.path)
    found = _SCRIPT.search(text)
    if found is None:
        return "", None
    owner = canonicalize_name(found["name"])
    if found["kind"] == "ENTRY":
        return owner, file
    place = _DEV_FILE.search(text)
    return owner, read_file(file.path, Path(place["path"])) if place else None


def _is_path_file(file: InstalledFile, scanned: Environment, folders: set[str]) -> bool:
    if file.path != f"{scanned.site_packages}/{_PATH_FILE}":
        return False
    lines = [line.strip() for line in _read(scanned.prefix / file.path).splitlines()]
    # Old setuptools wrote code around the folders, which moves them to the front of the path.
    named = {line for line in lines if line and not line.startswith(("#", "import "))}
    return named <= folders


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""
