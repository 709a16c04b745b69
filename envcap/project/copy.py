"""A bounded copy of a project's folder, so that building writes nothing into it, and a name for what was copied."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from envcap.errors import ScanError

MOST_BYTES: Final = 1 << 30
MOST_FILES: Final = 50_000

_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules", ".tox", ".nox", ".eggs", ".mypy_cache"})
_LEFT_OUT_OF_ROOT: Final = frozenset({"build", "dist"})
_GIT: Final = ".git"


def copy_project(folder: Path, to: Path) -> str:
    """Copy a project, without environments and what builds leave, and give the sha256 that names its content.

    `.git` is copied too, since version schemes ask it, and only its HEAD counts for the name. Symlinks stay symlinks.

    Args:
        folder: The project.
        to: A folder that doesn't exist yet.

    Raises:
        ScanError: It has more than 50,000 files or 1 GiB, or can't be read.
    """
    try:
        _check_size(folder)
        shutil.copytree(folder, to, symlinks=True, ignore=lambda parent, names: _unwanted(folder, Path(parent), names))
        return _name(to)
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or "some files are unreadable"
        raise ScanError(f"The project {folder.name!r} can't be copied: {reason}") from error


def _check_size(folder: Path) -> None:
    count = total = 0
    for path in _files(folder):
        count, total = count + 1, total + path.lstat().st_size
        if count > MOST_FILES or total > MOST_BYTES:
            raise ScanError(
                f"The project {folder.name!r} is too large to be built (expected at most {MOST_FILES} files and 1 GiB)"
            )


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        unwanted = _unwanted(folder, Path(parent), [*folders, *names])
        folders[:] = sorted(name for name in folders if name not in unwanted)
        yield from (Path(parent) / name for name in sorted(names) if name not in unwanted)


def _unwanted(root: Path, parent: Path, names: list[str]) -> set[str]:
    """Name what is not copied: left-overs of builds, environments, and what is neither file, folder nor link."""
    return {
        name
        for name in names
        if name in _LEFT_OUT
        or (parent == root and name in _LEFT_OUT_OF_ROOT)
        or name.endswith(".egg-info")
        or (parent / name / "pyvenv.cfg").is_file()
        or not ((path := parent / name).is_symlink() or path.is_file() or path.is_dir())
    }


def _name(folder: Path) -> str:
    """Hash paths, x bits and contents; of `.git` what HEAD says, and the tags that versions are made of."""
    sha256 = hashlib.sha256()
    for path in _files(folder):
        inner = path.relative_to(folder)
        if inner.parts[0] == _GIT and inner.parts[1:2] not in {("HEAD",), ("packed-refs",), ("refs",)}:
            continue
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        else:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest() + bytes([path.stat().st_mode & 0o100])
        sha256.update(os.fsencode(inner) + b"\0" + hashlib.sha256(content).digest())
    return sha256.hexdigest()
