"""Finds the environment that the user means: a virtual one (`pyvenv.cfg`, PEP 405), conda's, or a whole Python."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.errors import ScanError

_CONFIG_LIMIT = 64 * 1024
_PYTHON = re.compile(r"(python|pypy)(3(\.\d+)?t?)?\Z")
_PYTHON_RECORD = re.compile(r"python-[^-]+-[^-]+\.json\Z")
_MAKE_ONE = "name a virtual environment or an interpreter, or activate an environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualEnvironment:
    """A virtual or conda environment on disk, or a whole Python.

    Attributes:
        prefix: Its folder, absolute, symlinks resolved.
        executable: `bin/python` in it, not resolved: resolving would lose the environment. None in a conda environment
            without Python.
        config: `pyvenv.cfg`, keys in lower case.
        kind: `venv`, `conda` or `system`.
    """

    prefix: Path
    executable: Path | None
    config: Mapping[str, str] = field(default_factory=dict)
    kind: str = "venv"

    @property
    def system_site_packages(self) -> bool:
        """Whether the base's packages are visible too, by site.py's reading of the key; a whole Python is a base."""
        return self.kind == "system" or self.config.get("include-system-site-packages", "").lower() == "true"


def find_prefix(path: Path | None, environ: Mapping[str, str]) -> VirtualEnvironment:
    """Find the environment at `path`: its folder, its interpreter, or (None) the active one.

    Args:
        path: What the user named; a relative path is taken from the current folder.
        environ: Asked for VIRTUAL_ENV, then CONDA_PREFIX, if `path` is None.

    Raises:
        ScanError: There is no environment, it has no working interpreter, or it is of a kind not supported yet.
    """
    if path is None:
        named = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX")
        if not named:
            nested = _nested(Path())
            hint = f"name {nested}, which is one in this folder" if nested else _MAKE_ONE
            raise ScanError("No environment is named and none is active", hint=hint)
        path = Path(named)
        if not os.path.lexists(path):
            variable = "VIRTUAL_ENV" if environ.get("VIRTUAL_ENV") else "CONDA_PREFIX"
            raise ScanError(
                f"The active environment {path} does not exist ({variable} names it)",
                hint="name another, or `deactivate` it and activate one that is there",
            )
    path = path.absolute()
    try:
        if not path.exists() and not path.is_symlink():
            raise ScanError(f"{path} does not exist", hint=_MAKE_ONE)
        if not path.is_dir():
            # PREFIX/bin/python is a symlink as a rule: go up by name, never by resolving it.
            _refuse_foreign_file(path)
            if not _is_in_environment(path):
                return open_interpreter(path)
            path = path.parent.parent
    except OSError as error:
        raise _unreadable(path, error) from error
    return open_prefix(path)


def open_interpreter(executable: Path) -> VirtualEnvironment:
    """Take an interpreter that belongs to no virtual environment; where its packages lie, it must be asked."""
    if not os.access(executable, os.X_OK):
        raise _not_executable(executable)
    return VirtualEnvironment(prefix=executable.parent.parent.resolve(), executable=executable, kind="system")


def open_prefix(prefix: Path) -> VirtualEnvironment:
    """Read the virtual environment, or find the Python, in the folder `prefix`.

    Raises:
        ScanError: As `find_prefix`.
    """
    try:
        return _open_prefix(prefix)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symlinks
        raise _unreadable(prefix, error) from error


def parse_config(text: str) -> dict[str, str]:
    """Read `pyvenv.cfg`: lines of `key = value`, keys case-insensitive, the rest ignored (site.py, PEP 405)."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _open_prefix(prefix: Path) -> VirtualEnvironment:
    # conda first: a conda prefix may hold a pyvenv.cfg that somebody left behind.
    if (prefix / "conda-meta").is_dir():
        return _open_conda(prefix.resolve(strict=True))
    config = prefix / "pyvenv.cfg"
    if not config.is_file():
        if _has_standard_library(prefix):
            return open_interpreter(_find_executable(prefix.resolve(strict=True)))
        raise _not_an_environment(prefix)
    real = prefix.resolve(strict=True)
    with config.open("rb") as file:
        text = file.read(_CONFIG_LIMIT).decode("utf-8", "replace")
    return VirtualEnvironment(prefix=real, executable=_find_executable(real), config=parse_config(text))


def _has_standard_library(prefix: Path) -> bool:
    """Tell a whole Python from a virtual environment that lost its `pyvenv.cfg`: that one's is its base's."""
    return any(prefix.glob("lib*/python3*/os.py")) or any(prefix.glob("lib*/pypy3*/os.py"))


def _is_in_environment(executable: Path) -> bool:
    """Tell whether an interpreter belongs to an environment, be it a damaged one; shims and links don't."""
    prefix = executable.parent.parent
    return any((prefix / name).exists() for name in ("pyvenv.cfg", "conda-meta", "bin/activate"))


def _open_conda(prefix: Path) -> VirtualEnvironment:
    """Take a conda prefix; one that lost the interpreter of its Python is a damaged one, not one without."""
    has_python = any(os.path.lexists(prefix / "bin" / name) for name in ("python", "pypy3")) or any(
        _PYTHON_RECORD.match(path.name) for path in (prefix / "conda-meta").iterdir()
    )
    return VirtualEnvironment(prefix=prefix, executable=_find_executable(prefix) if has_python else None, kind="conda")


def _find_executable(prefix: Path) -> Path:
    for name in ("python", "python3", "pypy3"):
        executable = prefix / "bin" / name
        if executable.is_file():
            if os.access(executable, os.X_OK):
                return executable
            raise _not_executable(executable)
        if executable.is_symlink():
            raise _dangling(executable)
    raise ScanError(f"{prefix} has no interpreter (expected bin/python)", hint="make the environment anew")


def _not_executable(executable: Path) -> ScanError:
    return ScanError(f"The interpreter {executable} is not executable", hint="check its permissions")


def _dangling(link: Path) -> ScanError:
    return ScanError(
        f"The interpreter {link} is gone: it points to {_chain_end(link)}, which does not exist",
        hint="install that interpreter again, or make the environment anew",
    )


def _chain_end(link: Path) -> Path:
    """Follow a dangling symlink to the first name that is not there."""
    for _ in range(40):  # as many as Linux follows (MAXSYMLINKS)
        target = link.parent / link.readlink()
        if not target.is_symlink():
            return Path(os.path.normpath(target))
        link = target
    return link


def _refuse_foreign_file(path: Path) -> None:
    if not _PYTHON.match(path.name):
        raise ScanError(f"{path} is a file (expected an environment's folder or its bin/python)", hint=_MAKE_ONE)
    if not path.exists():
        raise _dangling(path)


def _nested(folder: Path) -> str | None:
    """Name the environment that a project's folder has under one of the usual names (those of uv, Poetry and PDM)."""
    return next((name for name in (".venv", "venv", "env") if (folder / name / "pyvenv.cfg").is_file()), None)


def _not_an_environment(prefix: Path) -> ScanError:
    nested = _nested(prefix)
    hint = f"name {prefix / nested}, which is one" if nested else _MAKE_ONE
    return ScanError(f"{prefix} is not an environment (expected pyvenv.cfg in it)", hint=hint)


def _unreadable(path: Path, error: Exception) -> ScanError:
    reason = getattr(error, "strerror", None) or error
    return ScanError(f"Unable to read the environment {path}: {reason}", hint="check its permissions")
