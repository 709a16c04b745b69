"""Who else has an edited file: installers that link their cache into environments let one edit reach all of them.

uv links by default where cache and environment lie on one file system: an editor that writes in place then changes the
cache too, and every later install, checked hashes or not, delivers the edit.

A file's other names can't be asked for, only looked for: in the cache, by the file's own place; then in environments
near this one and below the user's home. The walk is bounded and ends when all names are found, so what it did not find
is said as a number. Nothing is opened, no symlink followed, and nothing found here enters a lock.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

MAX_DEPTH: Final = 6
MAX_FOLDERS: Final = 20_000
MAX_SECONDS: Final = 2.0

_NOTHING = (-1, -1)
_MARKER = "pyvenv.cfg"
_CONDA_MARKER, _CONDA_ENVIRONMENTS = "conda-meta", "envs"
NOWHERE: Final[Mapping[str, Sequence[Path]]] = MappingProxyType({})
_SITE = "/site-packages/"
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "dist-packages", "blobs"})
_HIDDEN_PLACES = frozenset({".venv", ".env", ".venvs", ".virtualenvs", ".local", ".nox", ".tox"})
"""Hidden folders in which environments lie; others are passed by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """An installed file that has other names on this disk.

    Attributes:
        path: Relative to the prefix.
        names: How many other names it has.
        cached: How many of them lie in the installer's cache.
        environments: Other environments that have it, sorted. Never written to a lock.
    """

    path: str
    names: int
    cached: int = 0
    environments: tuple[Path, ...] = ()

    @property
    def unseen(self) -> int:
        """How many names were not found."""
        return max(0, self.names - self.cached - len(self.environments))


@dataclass(slots=True)
class _Wanted:
    path: str
    identity: tuple[int, int]
    names: int
    cached: int
    environments: set[Path]

    @property
    def is_found(self) -> bool:
        return self.cached + len(self.environments) >= self.names


def find_shared(
    prefix: Path,
    paths: Iterable[str],
    *,
    cache: Path,
    roots: Sequence[Path],
    clock: Callable[[], float],
    places: Mapping[str, Sequence[Path]] = NOWHERE,
) -> tuple[SharedFile, ...]:
    """Find out which of some files have other names, and where.

    Args:
        prefix: The environment.
        paths: Files of it, relative.
        cache: uv's cache; it need not exist.
        roots: Folders below which environments are looked for, nearest first.
        clock: Seconds, for the bound on the walk.
        places: Where another installer's cache would have a file, for each of its own.
    """
    wanted = [file for path in paths if (file := _look(prefix, path)) is not None]
    if not wanted:
        return ()
    deadline = clock() + MAX_SECONDS
    _search_cache(cache, wanted, lambda: clock() > deadline)
    for file in wanted:
        file.cached += sum(_identity(place) == file.identity for place in places.get(file.path, ()))
    own = prefix.resolve()
    for environment in _environments(roots, lambda: clock() > deadline):
        if all(file.is_found for file in wanted):
            break
        if environment.resolve() == own:
            continue
        sites = _site_folders(environment)
        for file in wanted:
            if any(_identity(place) == file.identity for place in _places(environment, sites, file.path)):
                file.environments.add(environment)
    return tuple(
        SharedFile(path=file.path, names=file.names, cached=file.cached, environments=tuple(sorted(file.environments)))
        for file in wanted
    )


def search_roots(prefix: Path, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Name the folders where other environments may lie: beside this one, beside its project, below the home."""
    named = environ.get("WORKON_HOME", "")
    near = [parent for parent in list(prefix.absolute().parents)[:2] if parent != Path(parent.anchor)]
    return tuple(dict.fromkeys([*near, *([Path(named)] if named.startswith("/") else []), home]))


def _look(prefix: Path, path: str) -> _Wanted | None:
    try:
        state = (prefix / path).lstat()
    except OSError:
        return None
    if not stat.S_ISREG(state.st_mode) or state.st_nlink < 2:  # noqa: PLR2004 - its own name and another
        return None
    return _Wanted(path, (state.st_dev, state.st_ino), state.st_nlink - 1, 0, set())


def _search_cache(cache: Path, wanted: Sequence[_Wanted], is_over: Callable[[], bool]) -> None:
    """Look into each unpacked wheel of uv's cache (`archive-v0/ID/`) for the files at their own places."""
    # Most unpacked wheels are of other projects: one look at the top of each path tells.
    tops: dict[str, list[tuple[_Wanted, str]]] = {}
    for file in wanted:
        inside = file.path.partition(_SITE)[2]
        if inside:
            tops.setdefault(inside.partition("/")[0], []).append((file, inside))
    outside = [file for file in wanted if _SITE not in file.path]
    for bucket in _folders(cache):
        for archive in _folders(bucket) if bucket.name.startswith("archive-v") else ():
            if is_over():
                return
            for top, files in tops.items():
                if _identity(archive / top) != _NOTHING:
                    for file, inside in files:
                        file.cached += _identity(archive / inside) == file.identity
            data = [folder / "data" for folder in _folders(archive) if folder.name.endswith(".data")] if outside else []
            for file in outside:
                file.cached += any(_identity(folder / file.path) == file.identity for folder in data)


def _environments(roots: Sequence[Path], is_over: Callable[[], bool]) -> Iterator[Path]:
    """Yield the environments below some folders, each once, until a bound is reached."""
    seen: set[tuple[int, int]] = set()
    for root in roots:
        pending = deque([(root, 0)])
        device = _identity(root)[0]
        while pending:
            folder, depth = pending.popleft()
            identity = _identity(folder)
            # A hard link never leaves its file system.
            if identity in seen or identity[0] != device:
                continue
            if len(seen) >= MAX_FOLDERS or is_over():
                return
            seen.add(identity)
            if (folder / _MARKER).is_file() or (folder / _CONDA_MARKER).is_dir():
                yield folder
                if (folder / _CONDA_ENVIRONMENTS).is_dir():  # conda's base environment has the others in it
                    pending.append((folder / _CONDA_ENVIRONMENTS, depth + 1))
            elif depth < MAX_DEPTH:
                pending.extend((child, depth + 1) for child in _folders(folder) if _is_worth(child.name))


def _is_worth(name: str) -> bool:
    return name not in _SKIPPED and (not name.startswith(".") or name in _HIDDEN_PLACES)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _site_folders(environment: Path) -> list[Path]:
    return [folder / "site-packages" for folder in _folders(environment / "lib") if folder.name.startswith("python")]


def _places(environment: Path, sites: Sequence[Path], path: str) -> list[Path]:
    """Give where another environment, maybe of another Python, has a file of this one."""
    inside = path.partition(_SITE)[2]
    return [site / inside for site in sites] if inside else [environment / path]


def _identity(path: Path) -> tuple[int, int]:
    try:
        state = path.lstat()
    except OSError:
        return _NOTHING
    return (state.st_dev, state.st_ino)
