"""Where the members of a wheel go, relative to the environment's prefix.

Source: PyPA "Binary distribution format" (wheel), sections "File contents" and "The .data directory"; the scheme of a
POSIX virtual environment as `sysconfig` gives it (purelib and platlib are one folder there).
"""

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from envcap.errors import ArchiveError

INSTALLER_FILES = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json", "provenance_url.json"}
)
"""Files of a dist-info folder that installers write: never part of an artifact's content (PEP 376, 610, 627, 710)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The scheme of an environment, relative to its prefix.

    Attributes:
        python: Feature version, such as `3.11`; empty in an environment without Python, which has no such folders.
        threads: `t` for a build without the global lock, whose folders are named after it (PEP 703), else empty.
    """

    python: str
    threads: str = ""

    @property
    def feature(self) -> str:
        """What tells this scheme from others: `3.11`, `3.13t`."""
        return f"{self.python}{self.threads}"

    @property
    def site_packages(self) -> str:
        """Where purelib and platlib lie; empty without Python."""
        return f"lib/python{self.feature}/site-packages" if self.python else ""

    @property
    def headers(self) -> str:
        """Where the headers of all projects lie."""
        return f"include/site/python{self.python}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPath:
    """Where a member goes.

    Attributes:
        path: Relative to the prefix.
        is_script: True for members of the scripts scheme, whose `#!python` line is rewritten.
    """

    path: str
    is_script: bool = False


def layout_of(version: str, soabi: str) -> Layout:
    """Derive the layout from a full Python version such as `3.11.7`, and `cpython-311-x86_64-linux-gnu`.

    Both are empty where there is no Python. Source: CPython's `sysconfig`, `abi_thread`.
    """
    return Layout(python=".".join(version.split(".")[:2]), threads="t" if _FREE_THREADED.match(soabi) else "")


_FREE_THREADED = re.compile(r"cpython-3[0-9]{1,3}t")


def is_bytecode(path: str) -> bool:
    """Tell whether a path is a cache of compiled code: rebuilt by any interpreter, different on each."""
    return path.endswith((".pyc", ".pyo")) and "__pycache__" in path.split("/")


def is_installer_file(path: str) -> bool:
    """Tell whether a path is one that the installer writes into a dist-info folder.

    Only a folder of site-packages counts: wheels also bring vendored dist-info folders, which are content (setuptools).
    """
    if path.rpartition("/")[2] not in INSTALLER_FILES:
        return False
    match path.split("/"):
        case [*_, "site-packages" | "dist-packages", folder, _]:
            return folder.endswith(".dist-info")
        case _:
            return False


def dist_info_folder(names: list[str], *, project: str, archive: str) -> str:
    """Find the one dist-info folder at the root of a wheel.

    Args:
        names: Names of all members.
        project: The project that the wheel must hold.
        archive: File name, for messages.

    Raises:
        ArchiveError: None, several, or one of another project.
    """
    folders = sorted({name.split("/", 1)[0] for name in names if _DIST_INFO.match(name)})
    if len(folders) != 1:
        raise ArchiveError(f"{archive}: expected one `.dist-info` folder, found {folders[:5] or 'none'}")
    found = canonicalize_name(folders[0].removesuffix(".dist-info").rsplit("-", 1)[0])
    if found != canonicalize_name(project):
        raise ArchiveError(f"{archive}: expected the metadata of {project!r}, found {folders[0]!r}")
    return folders[0]


_DIST_INFO = re.compile(r"[^/]+\.dist-info/.")


def install_path(member: str, *, layout: Layout, dist_info: str, archive: str) -> InstalledPath:
    """Map a wheel's member to its installed path.

    Args:
        member: Validated name, `/`-separated.
        layout: The target scheme.
        dist_info: The wheel's dist-info folder, whose stem names the `.data` folder and the project's headers.
        archive: File name, for messages.

    Raises:
        ArchiveError: An unknown scheme under `.data`.
    """
    stem = dist_info.removesuffix(".dist-info")
    data = f"{stem}.data/"
    if not member.startswith(data):
        return InstalledPath(path=f"{layout.site_packages}/{member}")
    scheme, _, rest = member.removeprefix(data).partition("/")
    match scheme:
        case "purelib" | "platlib" if rest:
            return InstalledPath(path=f"{layout.site_packages}/{rest}")
        case "scripts" if rest:
            return InstalledPath(path=f"bin/{rest}", is_script=True)
        case "headers" if rest:
            return InstalledPath(path=f"{layout.headers}/{stem.rsplit('-', 1)[0]}/{rest}")
        case "data" if rest:
            return InstalledPath(path=rest)
        case _:
            raise ArchiveError(
                f"{archive}: unexpected member {member!r} (expected purelib, platlib, scripts, headers or data)"
            )


def record_path(path: str, *, layout: Layout) -> str:
    """Write a prefix-relative path as RECORD does: relative to the folder that holds the dist-info (PEP 376)."""
    site_packages = layout.site_packages
    if path.startswith(f"{site_packages}/"):
        return path[len(site_packages) + 1 :]
    return "../" * (site_packages.count("/") + 1) + path
