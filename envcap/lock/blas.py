"""Which linear algebra an environment uses: the libraries that its packages bring, and those that they load.

Read from names, ELF needs and the version text inside a library, never by importing or asking numpy. What is linked
statically into another library (MKL in torch's CPU wheels) has no file of its own and is not seen.

Sources: OpenBLAS `openblas_get_config` (the version text), numpy "Building against BLAS/LAPACK", Debian wiki
"DebianScience/LinearAlgebraLibraries" (the interfaces with alternatives).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from packaging.utils import canonicalize_name

from envcap.environment import Environment, InstalledFile
from envcap.lockfile.model import Blas

SYSTEM = "system"
"""Provider of a library that comes from the operating system."""

_FAMILIES = (
    (re.compile(r"lib(?:scipy_)?openblas"), "openblas"),
    (re.compile(r"libmkl_rt"), "mkl"),
    (re.compile(r"libblis"), "blis"),
    (re.compile(r"libflexiblas\.so"), "flexiblas"),
    (re.compile(r"lib[st]?atlas\.so"), "atlas"),
    (re.compile(r"libarmpl"), "armpl"),
    (re.compile(r"libnvpl_blas"), "nvpl"),
)
_INTERFACES = (
    (re.compile(r"libblas(?:64)?\.so"), "blas"),
    (re.compile(r"libcblas(?:64)?\.so"), "cblas"),
    (re.compile(r"liblapack(?:64)?\.so"), "lapack"),
)
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,128}\.so(?:\.[0-9.]{1,20})?\Z")
_PROJECT = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_VERSION = re.compile(rb"OpenBLAS ([0-9]{1,4}(?:\.[0-9]{1,6}){1,5}(?:\.dev)?)[ \0]")
_CHUNK = 1 << 20
_OVERLAP = 64
_LARGEST = 200 << 20


def find_blas(environment: Environment) -> tuple[Blas, ...]:
    """List the BLAS libraries in use, sorted by provider and file."""
    owners = _owners(environment)
    found = {(row.provider, row.file): row for row in _brought(environment)}
    for need in environment.elf.needs:
        library = _family(need.soname, (*_FAMILIES, *_INTERFACES))
        if library:
            users = sorted({owners[path] for path in need.needed_by if path in owners})
            row = Blas(library=library, provider=SYSTEM, file=need.soname, needed_by=tuple(users))
            found[row.provider, row.file] = row
    return tuple(found[key] for key in sorted(found))


def loads_interface(rows: tuple[Blas, ...]) -> bool:
    """Tell whether an interface is loaded from the system: there the machine's alternatives decide what it is."""
    return any(row.provider == SYSTEM and row.library in {"blas", "cblas", "lapack"} for row in rows)


def _brought(environment: Environment) -> Iterator[Blas]:
    for provider, file in _files(environment):
        name = file.path.rpartition("/")[2]
        library = "" if file.target else _family(name, _FAMILIES)
        if library:
            version = _openblas_version(file.location(environment.prefix)) if library == "openblas" else ""
            yield Blas(library=library, provider=provider, file=name, version=version)


def _files(environment: Environment) -> Iterator[tuple[str, InstalledFile]]:
    for distribution in environment.distributions:
        name = canonicalize_name(distribution.name)
        for file in distribution.files:
            yield (name if _PROJECT.match(name) else "unnamed"), file  # damaged metadata holds any name
    for file in environment.unowned:
        yield "unowned", file


def _owners(environment: Environment) -> dict[str, str]:
    return {file.path: provider for provider, file in _files(environment)}


def _family(name: str, families: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    return next((family for pattern, family in families if pattern.match(name)), "") if _NAME.match(name) else ""


def _openblas_version(path: Path) -> str:
    """Read the version that OpenBLAS states about itself; empty where it can't be found."""
    try:
        with path.open("rb") as file:
            return _search(file)
    except OSError:
        return ""


def _search(file: BinaryIO) -> str:
    tail, done = b"", 0
    while done < _LARGEST and (chunk := file.read(_CHUNK)):
        done += len(chunk)
        if match := _VERSION.search(tail + chunk):
            return match[1].decode()
        tail = chunk[-_OVERLAP:]
    return ""
