"""Editable installs: what their project folder makes importable, as files of the distribution.

An editable's code lies outside the environment: a `.pth` file names folders, a generated finder maps packages to places
(PEP 660, `envcap.scan.finders`), or an `.egg-link` names the folder of `setup.py develop`. None of these means anything
in an image, so the importable files take their place in site-packages. Nothing of the project is run.

The rule: **the image is the environment that worked, so the live importable files are the truth**, uncommitted and
untracked ones included, and the metadata is that which is installed. A wheel built from the project could only lose
or change files: built beside it, the wheels of setuptools, hatchling, flit, pdm-backend and poetry-core hold no file
that the live ones lack and none that differs, and those of setuptools lack the data files that the project forgot to
declare (`tests/acceptance/test_editables.py` measures it). So a project is built only where no importable file can be
found, as for a finder that is not known (`envcap.editables`).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, Environment, InstalledFile
from envcap.finding import Finding, FindingLevel
from envcap.scan.develop import develop_metadata, settle_develop_files
from envcap.scan.files import name_fault, shown
from envcap.scan.finders import imported_by, read_finder
from envcap.scan.outside import read_file
from envcap.wheel.layout import is_bytecode

_MAX_POINTER = 1 << 20
_SETUPTOOLS = "__editable___"
_PLACE = re.compile(r"^/|['\"]/[^'\"\n]", re.MULTILINE)
_NO_CODE = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})
_NO_PACKAGE = frozenset(
    {"tests", "test", "docs", "doc", "examples", "example", "build", "dist", "venv", "node_modules"}
)
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def is_editable(distribution: Distribution) -> bool:
    """Tell whether a distribution's code lies in a project folder."""
    return distribution.direct_url is not None and distribution.direct_url.kind == "editable"


def project_folder(distribution: Distribution) -> Path | None:
    """Tell where the project of an editable install lies on this machine."""
    url = urlsplit(distribution.direct_url.url) if distribution.direct_url else None
    path = unquote(url.path) if url is not None and url.scheme == "file" and url.netloc in ("", "localhost") else ""
    return Path(path) if path.startswith("/") and "\0" not in path else None


def expand_editables(environment: Environment) -> Environment:
    """Replace the pointers of editable installs by the files that they make importable.

    What can't be read is a finding; an editable whose code can't be found stays as it is, with a finding.
    """
    distributions: list[Distribution] = []
    findings = list(environment.findings)
    for distribution in environment.distributions:
        if is_editable(distribution):
            complete, finding = _expand(distribution, environment)
            distributions.append(complete)
            findings.append(finding)
        else:
            distributions.append(distribution)
    expanded = replace(environment, distributions=tuple(distributions), findings=tuple(findings))
    return _without_projects(settle_develop_files(expanded, environment))


def _without_projects(environment: Environment) -> Environment:
    """Leave out what is nobody's in a project folder inside the environment (`src/` of `pip install -e git+…`).

    Its importable files are taken at their place in site-packages; the rest is the project's own: `.git`, tests, docs.
    """
    prefix = environment.prefix.resolve()
    projects = [
        f"{folder.resolve().relative_to(prefix).as_posix()}/"
        for one in environment.distributions
        if is_editable(one) and any(file.source for file in one.files)
        if (folder := project_folder(one)) is not None and prefix in folder.resolve().parents
    ]
    kept = tuple(file for file in environment.unowned if not file.path.startswith(tuple(projects)))
    return replace(environment, unowned=kept)


def _expand(distribution: Distribution, environment: Environment) -> tuple[Distribution, Finding]:
    site, prefix = environment.site_packages, environment.prefix
    pointers = find_pointers(distribution, environment)
    found: dict[str, Path] = {}
    for pointer in pointers:
        found |= dict(_pointed(pointer.location(prefix), distribution.name))
    if distribution.form == "egg-link":
        distribution, metadata = develop_metadata(distribution, project_folder(distribution), site)
        found |= metadata
    own = {pointer.path for pointer in pointers if _is_read(pointer.location(prefix))}
    kept = [file for file in distribution.files if file.path not in own]
    taken = {file.path for file in kept}
    wanted = {f"{site}/{path}": source for path, source in sorted(found.items()) if f"{site}/{path}" not in taken}
    refused = [path for path in wanted if name_fault(path)]
    added = [file for path in wanted.keys() - refused if (file := read_file(path, wanted[path])) is not None]
    if not added:
        message = f"{distribution.name} is editable and its code was not found: the image can't import it"
        finding = Finding(code="editable-lost", message=message, path=distribution.directory)
        return _without_places(distribution, pointers, prefix), finding
    count = "1 file" if len(added) == 1 else f"{len(added)} files"
    message = f"{distribution.name} is editable: what it makes importable is captured as it is now ({count})"
    level = FindingLevel.NOTE
    if refused:
        message += f", but not {shown(refused[0])}: its name {name_fault(refused[0])}"
        message += f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        level = FindingLevel.WARNING
    files = tuple(sorted([*kept, *added], key=lambda file: file.path))
    return (
        replace(distribution, files=files),
        Finding(code="editable-captured", message=message, path=distribution.directory, level=level),
    )


def _is_read(pointer: Path) -> bool:
    """Tell whether a pointer is one that is understood; another module that a `.pth` imports may be code."""
    return pointer.suffix != ".py" or pointer.name.startswith(_SETUPTOOLS) or bool(read_finder(_text(pointer)))


def _without_places(distribution: Distribution, pointers: list[InstalledFile], prefix: Path) -> Distribution:
    """Leave out pointers that name a folder of this machine: an image has no use for it, and it names the user."""
    if not any(_PLACE.search(_text(pointer.location(prefix))) for pointer in pointers):
        return distribution
    own = {pointer.path for pointer in pointers}
    return replace(distribution, files=tuple(file for file in distribution.files if file.path not in own))


def find_pointers(distribution: Distribution, environment: Environment) -> list[InstalledFile]:
    """List the files directly in site-packages that point elsewhere: `.pth`, `.egg-link`, and what a `.pth` imports."""
    site = f"{environment.site_packages}/"
    top = {name: file for file in distribution.files if "/" not in (name := file.path.removeprefix(site))}
    pointers = [file for name, file in top.items() if name.endswith((".pth", ".egg-link")) and not file.target]
    started = {f"{name}.py" for file in pointers for name in imported_by(_text(file.location(environment.prefix)))}
    finders = [file for name, file in top.items() if name in started or name.startswith(_SETUPTOOLS)]
    return [*pointers, *(file for file in finders if not file.target)]


def _text(pointer: Path) -> str:
    try:
        with pointer.open("rb") as file:
            return file.read(_MAX_POINTER).decode("utf-8", "replace")
    except OSError:
        return ""


def _pointed(pointer: Path, project: str) -> Iterator[tuple[str, Path]]:
    """Yield path below site-packages and place of each file that a pointer makes importable."""
    text = _text(pointer)
    if pointer.suffix == ".py":
        for name, place in sorted(read_finder(text).items()):
            yield from _module(name.replace(".", "/"), Path(place))
        return
    for line in text.splitlines():
        folder = Path(line.strip())
        if folder.is_absolute() and folder.is_dir():
            yield from _importable(folder, project)


def _module(base: str, place: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of one module of a finder; setuptools names a module's file without its suffix."""
    if place.is_dir():
        yield from _below(place, base)
    elif place.name == "__init__.py":
        yield from _below(place.parent, base)
    elif place.suffix and place.is_file():
        yield f"{base}{''.join(place.suffixes)}", place
    elif (file := place.with_name(f"{place.name}.py")).is_file():
        yield f"{base}.py", file


def _importable(folder: Path, project: str) -> Iterator[tuple[str, Path]]:
    """Yield what a folder on the path offers: all of a source folder; packages and modules of a project's root.

    A root holds more than code, so of its folders without `__init__.py` only that of the project's name is taken, or
    the first part of it (a namespace package).
    """
    is_project = any((folder / name).is_file() for name in _PROJECT_FILES)
    own = canonicalize_name(project)
    for child in sorted(folder.iterdir()):
        name = child.name
        if name.startswith(".") or not name.partition(".")[0].isidentifier():
            continue
        if child.is_dir():
            named = f"{own}-".startswith(f"{canonicalize_name(name)}-")
            is_package = (child / "__init__.py").is_file() and name not in _NO_PACKAGE
            wanted = not is_project or named or is_package
            if wanted and not name.endswith((".egg-info", ".dist-info")) and not _is_environment(child):
                yield from _below(child, name)
        elif name.endswith((".py", ".so")) and not (is_project and name in _NO_CODE):
            yield name, child


def _below(folder: Path, base: str) -> Iterator[tuple[str, Path]]:
    for parent, names, files in os.walk(folder):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and name != "__pycache__" and not _is_environment(Path(parent) / name)
        )
        inner = Path(parent).relative_to(folder).as_posix()
        for name in sorted(files):
            path = f"{base}/{name}" if inner == "." else f"{base}/{inner}/{name}"
            if not is_bytecode(path) and not name.startswith("."):
                yield path, Path(parent) / name


def _is_environment(folder: Path) -> bool:
    """Tell whether a folder is a virtual environment, which is nobody's code."""
    return (folder / "pyvenv.cfg").is_file()
