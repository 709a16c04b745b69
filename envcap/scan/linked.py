"""Takes the files that an installer linked into an environment for what they are: installed files.

`uv pip install --link-mode symlink` makes each file of a wheel a symlink into the wheel's folder in uv's cache. Python
sees files, and so does a lock. No other symlink is followed: the folder of a wheel is one in which the metadata lies
under its own name, and a file counts only at the place in it that the link's own place demands.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from envcap.errors import ScanError
from envcap.finding import Finding, FindingLevel
from envcap.scan.files import Tree, TreeFile

_METADATA = ("METADATA", "WHEEL")


def follow_installed_links(tree: Tree) -> Tree:
    """Replace an installer's symlinks by the files that they lead to, wherever these are there.

    Returns:
        The tree, with those files as regular ones, their places in `sources`, and one note that says so.

    Raises:
        ScanError: A wheel's folder is no longer there: neither are the packages.
    """
    wheels = _wheel_folders(tree)
    if not wheels:
        return tree
    _check_there(wheels)
    files, sources = dict(tree.files), dict[str, str]()
    for path, file in tree.files.items():
        if file.is_link and _is_installed(path, file.target, wheels):
            found = _regular(file.target)
            if found is not None:
                files[path] = found
                sources[path] = file.target
    if not sources:
        return tree
    message = (
        f"{len(sources)} installed files are links into an installer's cache (`uv --link-mode symlink`): "
        "what they lead to is taken"
    )
    note = Finding(code="linked-install", message=message, level=FindingLevel.NOTE)
    return replace(tree, files=files, sources=sources, findings=(*tree.findings, note))


def _wheel_folders(tree: Tree) -> dict[str, str]:
    """Give the folders that wheels lie in, with the folder of packages that they are linked into.

    `SITE/x-1.dist-info/METADATA -> CACHE/x-1.dist-info/METADATA` makes `CACHE` such a folder.
    """
    found: dict[str, str] = {}
    for path, file in tree.files.items():
        folder, _, name = path.rpartition("/")
        site, _, metadata = folder.rpartition("/")
        if file.is_link and name in _METADATA and metadata.endswith(".dist-info") and _is_plain_place(file.target):
            end = f"/{metadata}/{name}"
            wheel = file.target.removesuffix(end)
            if wheel and wheel != file.target and tree.leaves_prefix(path):
                found[wheel] = site
    return found


def _check_there(wheels: dict[str, str]) -> None:
    gone = sum(not Path(wheel).is_dir() for wheel in wheels)
    if gone:
        raise ScanError(
            f"{gone} of {len(wheels)} packages that are links into an installer's cache are no longer there "
            "(expected what the links lead to, found nothing): the cache was cleaned or has moved",
            hint="install them again: `uv pip install --reinstall --link-mode copy …` needs no cache afterwards",
        )


def _is_plain_place(target: str) -> bool:
    return target.startswith("/") and os.path.normpath(target) == target


def _is_installed(path: str, target: str, wheels: dict[str, str]) -> bool:
    """Tell whether a link leads to where a wheel has the file: at the same place, or in its `.data` folder."""
    if not _is_plain_place(target):
        return False
    for wheel in _parents(target):
        site = wheels.get(wheel)
        if site is not None:
            inside = target[len(wheel) + 1 :]
            # `x-1.data/scripts/run` is linked as `bin/run` (PyPA, binary distribution format, "The .data directory").
            data, _, scheme = inside.partition("/")
            of_data = data.endswith(".data") and f"/{path}".endswith("/" + scheme.partition("/")[2])
            return path == f"{site}/{inside}" or of_data
    return False


def _parents(path: str) -> Iterable[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _regular(place: str) -> TreeFile | None:
    """Look at a file; None for whatever else is there, a further symlink included."""
    try:
        status = os.lstat(place)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return TreeFile(stat.S_IMODE(status.st_mode), status.st_size, status.st_nlink, stamp=stamp)
