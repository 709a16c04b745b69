"""The files of an environment in which GPU code and libraries are looked for, with the packages that bring them."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, Environment, InstalledFile
from envcap.scan.metadata import UNKNOWN_VERSION

_PROJECT: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_CONDA_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,127}\Z")
_LONGEST: Final = 128
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}\Z")


def provided_files(environment: Environment) -> Iterator[tuple[str, InstalledFile]]:
    """Yield the regular files that are part of an image, with what `GpuCode.provider` calls their packages."""
    for distribution in environment.distributions:
        name = dist_name(distribution)
        yield from ((name, file) for file in distribution.files if not file.target)
    for record in environment.conda:
        name = conda_name(record.name)
        yield from ((name, file) for file in record.files if not file.target)
    # What is left out by its name was not read either.
    yield from (("", file) for file in environment.unowned if not file.target and file.sha256)


def dist_name(distribution: Distribution) -> str:
    """Name a distribution; damaged metadata holds any name."""
    name = canonicalize_name(distribution.name)
    return name if len(name) <= _LONGEST and _PROJECT.match(name) else "unnamed"


def conda_name(name: str) -> str:
    """Name a conda package as a provider."""
    return f"conda:{name}" if _CONDA_NAME.match(name) else "conda:unnamed"


def safe_version(text: str) -> str:
    """Give a version as metadata writes it; empty for what is none."""
    return text if _VERSION.match(text) and text != UNKNOWN_VERSION else ""


def newest(versions: Iterable[str]) -> str:
    """Give the highest of versions made of numbers; empty if there is none."""
    return max(versions, key=lambda text: tuple(int(part) for part in text.split(".") if part.isdigit()), default="")
