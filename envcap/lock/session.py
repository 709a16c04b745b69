"""What the shell and the machine of a snapshot would change in the results: recorded, and said where it matters.

Only the variables of `envcap.variables` are looked at. The lock gets their reduced values; what lies in folders outside
the environment is told to the user as findings, by the names of libraries and modules, never by the folder.

Under the C locale the interpreter that runs envcap sets `LC_CTYPE` to `C.UTF-8` for itself (PEP 538), as the captured
one would: then it is recorded although the shell had not set it.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from envcap.environment import Environment
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.lock.blas import loads_interface
from envcap.lockfile.model import Blas, Session
from envcap.variables import (
    OUTSIDE,
    VARIABLES,
    WITHHELD,
    inside,
    reduce_variables,
    split_libraries,
    split_paths,
)

ALTERNATIVES = Path("/etc/alternatives")
"""Where update-alternatives(1) keeps its links."""

_MODULE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})(?:\.py|(?:\.[A-Za-z0-9_-]+)?\.so)?\Z")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,39}\Z")
_MOST_NAMES = 100_000
_NAMED = 4


def lock_session(
    environment: Environment, blas: tuple[Blas, ...], environ: Mapping[str, str], *, alternatives: Path = ALTERNATIVES
) -> tuple[Session, tuple[Finding, ...]]:
    """Record the session, and find what the environment uses from outside itself.

    Args:
        environment: The scan.
        blas: What `find_blas` found in it.
        environ: The variables of the snapshot's shell.
        alternatives: Folder of update-alternatives(1).
    """
    roots = prefix_roots(environment)
    variables = reduce_variables(environ, roots=roots)
    system_blas = _system_blas(alternatives) if loads_interface(blas) else ""
    findings = [
        *_withheld(variables),
        *_library_path(environment, _outside(environ, "LD_LIBRARY_PATH", roots)),
        *_preloaded(environ, roots),
        *_python_path(_outside(environ, "PYTHONPATH", roots)),
    ]
    if system_blas and system_blas != "blas":  # `blas` is the reference that Debian's libblas3 brings
        message = (
            f"libblas.so.3 is {system_blas} on this machine, and the image has Debian's reference: numbers and speed "
            "may differ (name its package with `--system`)"
        )
        findings.append(Finding(code="system-blas", message=message))
    return Session(variables=variables, system_blas=system_blas), tuple(findings)


def prefix_roots(environment: Environment) -> tuple[str, ...]:
    """List the spellings of the environment's prefix on this machine."""
    spellings = (environment.prefix, environment.interpreter.prefix, Path(os.path.realpath(environment.prefix)))
    return tuple(dict.fromkeys(str(path) for path in spellings))


def _withheld(variables: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in variables.items():
        if WITHHELD in value:
            what = "Part of the value" if value != WITHHELD else "The value"
            message = f"{what} of {name} is not recorded: expected {VARIABLES[name].value}"
            yield Finding(code="variable-withheld", message=message)


def _outside(environ: Mapping[str, str], name: str, roots: Sequence[str]) -> list[Path]:
    """List the folders of a search path that lie outside the environment."""
    return [Path(entry or ".") for entry in split_paths(environ.get(name, "")) if inside(entry, roots) is None]


def _library_path(environment: Environment, folders: list[Path]) -> Iterator[Finding]:
    """Name the libraries that LD_LIBRARY_PATH gives: it comes before each RUNPATH and the system's (ld.so(8))."""
    if not folders:
        return
    wanted = {need.soname for need in environment.elf.needs} | _own_libraries(environment)
    found = sorted(wanted.intersection(name for folder in folders for name in _names(folder)))
    where = _folders(folders)
    if not found:
        message = f"LD_LIBRARY_PATH names {where}: nothing that the environment loads is there"
        yield Finding(code="library-path", message=message, level=FindingLevel.NOTE)
        return
    message = (
        f"LD_LIBRARY_PATH names {where}: {_list(found)} may be loaded from there, and the image has its own or none"
    )
    yield Finding(code="library-outside", message=message)


def _own_libraries(environment: Environment) -> set[str]:
    files = [file for row in environment.distributions for file in row.files] + list(environment.unowned)
    names = (file.path.rpartition("/")[2] for file in files)
    return {name for name in names if name.startswith("lib") and ".so" in name}


def _preloaded(environ: Mapping[str, str], roots: Sequence[str]) -> Iterator[Finding]:
    entries = split_libraries(environ.get("LD_PRELOAD", ""))
    names = [_shown(entry) for entry in entries if inside(entry, roots) is None]
    if names:
        message = f"LD_PRELOAD loads {_list(names)} from outside the environment: the image will not have it"
        yield Finding(code="preloaded", message=message)


def _python_path(folders: list[Path]) -> Iterator[Finding]:
    """Name what PYTHONPATH makes importable: it comes before the environment's own packages (sys.path)."""
    if not folders:
        return
    modules = sorted({module for folder in folders for module in _modules(folder)})
    what = (
        f"{_list(modules)} can be imported from there and will not be in the image" if modules else "nothing is there"
    )
    level = FindingLevel.WARNING if modules else FindingLevel.NOTE
    yield Finding(code="python-path", message=f"PYTHONPATH names {_folders(folders)}: {what}", level=level)


def _modules(folder: Path) -> Iterator[str]:
    if folder.is_file():  # a zip of modules
        yield _shown(str(folder))
    for name in _names(folder):
        match = _MODULE.match(name)
        if match and (match[1] != name or (folder / name / "__init__.py").is_file()):
            yield match[1]


def _system_blas(alternatives: Path) -> str:
    """Read which library `libblas.so.3` stands for: Debian names the folder after it, `openblas-pthread`."""
    links = sorted(name for name in _names(alternatives) if name.startswith("libblas.so.3"))
    for name in links:
        try:
            provider = (alternatives / name).readlink().parent.name
        except OSError:
            continue
        if _PROVIDER.match(provider):
            return provider
    return ""


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]
    except OSError:
        return []


def _folders(folders: Sequence[Path]) -> str:
    return f"{len(folders)} folder{'' if len(folders) == 1 else 's'} outside the environment"


def _shown(entry: str) -> str:
    name = entry.rpartition("/")[2]
    return name if re.fullmatch(r"[A-Za-z0-9_.+-]{1,64}", name) else OUTSIDE


def _list(names: Iterable[str]) -> str:
    return few(list(names), _NAMED)
