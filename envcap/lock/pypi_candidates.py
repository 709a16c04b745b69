"""Which files of an index an installed distribution may have come from, by their names. Pure.

Source: PyPA "Binary distribution format" (file name convention), PEP 425 and PEP 600 (tags), PEP 440 (versions).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envcap.environment import Distribution, InterpreterFacts
from envcap.sources.location import ProjectFile

MOST_CANDIDATES: Final = 12
"""Files of one index that are compared; only far-fetched names are beyond."""

_ARCHIVE: Final = re.compile(r"(?:\.tar\.gz|\.zip|\.tar\.bz2|\.tgz)\Z")
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The files of one index that may be the origin.

    Attributes:
        exact: Their tags are those of the installed WHEEL; by file name.
        others: Their tags fit the interpreter; by file name.
        sources: This version as source archives; by file name.
    """

    exact: tuple[ProjectFile, ...]
    others: tuple[ProjectFile, ...]
    sources: tuple[ProjectFile, ...] = ()


def file_filter(name: str, version: str) -> Callable[[str], bool]:
    """Tell quickly whether a file name is of one version of a project; pages may list thousands."""
    project = canonicalize_name(name)
    known: dict[tuple[str, str], bool] = {}

    def wanted(filename: str) -> bool:
        if filename.endswith(".whl"):
            found, _, rest = filename.partition("-")
            key = (found, rest.partition("-")[0])
        else:
            stem = _ARCHIVE.sub("", filename)
            found, dash, rest = stem.rpartition("-")
            if stem == filename or not dash:
                return False
            key = (found, rest)
        if key not in known:
            known[key] = canonicalize_name(key[0]) == project and _same_version(key[1], version)
        return known[key]

    return wanted


def find_candidates(
    files: Iterable[ProjectFile], distribution: Distribution, interpreter: InterpreterFacts
) -> Candidates:
    """Sort the files of one version into candidates.

    Args:
        files: All files of the version that an index has.
        distribution: What is installed.
        interpreter: What its wheels must fit.
    """
    installed = frozenset(distribution.tags)
    exact: list[ProjectFile] = []
    others: list[ProjectFile] = []
    sources: list[ProjectFile] = []
    for file in sorted(files, key=lambda file: file.filename):
        if not file.filename.endswith(".whl"):
            sources.append(file)
            continue
        if file.filename.count("-") not in {4, 5}:
            continue
        tags = wheel_tags(file.filename)
        if installed and tags == installed:
            exact.append(file)
        elif any(is_compatible(tag, interpreter) for tag in tags):
            others.append(file)
    return Candidates(
        exact=tuple(exact[:MOST_CANDIDATES]), others=tuple(others[:MOST_CANDIDATES]), sources=tuple(sources)
    )


def wheel_tags(filename: str) -> frozenset[str]:
    """Expand the tags of a wheel's name."""
    return frozenset(map(str, parse_tag("-".join(filename.removesuffix(".whl").split("-")[-3:]))))


def is_compatible(tag: str, interpreter: InterpreterFacts) -> bool:
    """Tell whether an interpreter could have installed a wheel with a tag.

    This is coarser than an installer's list: the files decide, so only platforms that can't be are left out.
    """
    python, abi, platform = tag.split("-", 2)
    major, minor = [*interpreter.version.split("."), "0"][:2]
    return (
        _python_fits(python, abi, int(major), int(minor))
        and (abi in {"none", "abi3"} or abi == interpreter.tags.partition("-")[2] or abi == f"cp{major}{minor}")
        and _platform_fits(platform, interpreter)
    )


def _python_fits(python: str, abi: str, major: int, minor: int) -> bool:
    found = re.match(r"(py|cp|pp)(\d)(\d*)\Z", python)
    if found is None or int(found[2]) != major:
        return False
    if not found[3] or int(found[3]) == minor:
        return True
    return int(found[3]) < minor and (found[1] == "py" or abi == "abi3")


def _platform_fits(platform: str, interpreter: InterpreterFacts) -> bool:
    if platform == "any":
        return True
    machine = interpreter.markers.get("platform_machine", "").lower()
    system = interpreter.markers.get("sys_platform", "linux")
    if system == "linux":
        return platform.endswith(f"_{_MACHINES.get(machine, machine)}") and "linux" in platform
    ends = tuple(f"_{name}" for name in (machine, "universal2", "intel", "fat64"))
    return system == "darwin" and platform.startswith("macosx_") and platform.endswith(ends)


def _same_version(found: str, wanted: str) -> bool:
    if found == wanted:
        return True
    try:
        # Old builders wrote the `+` of a local version as `_`.
        return Version(found.replace("_", "+", 1) if "+" not in found else found) == Version(wanted)
    except InvalidVersion:
        return False
