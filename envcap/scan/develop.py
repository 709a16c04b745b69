"""`setup.py develop`: its metadata, which lies in the project's folder, and the path file that it shares with eggs.

Source: setuptools, "Development Mode". site-packages holds an `.egg-link` that names the folder, and `easy-install.pth`
that puts it on the path; the `.egg-info` beside the code is what `importlib.metadata` and generated scripts find.
"""

import os
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, Environment
from envcap.scan.entry_points import parse_entry_points
from envcap.scan.metadata import parse_identity

_LIMIT = 1 << 20
_PATH_FILE = "easy-install.pth"


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
            files = {f"{info.name}/{name}": info / name for name in sorted(os.listdir(info))}
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


def without_develop_paths(expanded: Environment, scanned: Environment) -> Environment:
    """Leave `easy-install.pth` out where all that it names are develop installs whose files took their place."""
    path = f"{scanned.site_packages}/{_PATH_FILE}"
    folders = {
        _read(scanned.prefix / old.directory).partition("\n")[0].strip()
        for old, new in zip(scanned.distributions, expanded.distributions, strict=True)
        if old.form == "egg-link" and any(file.source for file in new.files)
    }
    lines = [line.strip() for line in _read(scanned.prefix / path).splitlines()]
    # setuptools wrote code between the folders, which moves them to the front of the path.
    named = {line for line in lines if line and not line.startswith(("#", "import "))}
    if not named or not named <= folders:
        return expanded
    return replace(expanded, unowned=tuple(file for file in expanded.unowned if file.path != path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""
