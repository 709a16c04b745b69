"""Editable installs: what their project folder makes importable, as files of the distribution.

An editable's code lies outside the environment: a `.pth` file names folders, or a generated finder maps packages to
folders (PEP 660; setuptools' `__editable___*_finder.py`). Neither means anything in an image, so the importable files
take their place in site-packages. Nothing of the project is run.
"""

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from envcap.digest import CHUNK_SIZE
from envcap.environment import Distribution, Environment, Finding, InstalledFile
from envcap.wheel.layout import is_bytecode

_MAX_POINTER = 1 << 20
_NO_CODE = frozenset({"setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py"})
_NO_PACKAGE = frozenset(
    {"tests", "test", "docs", "doc", "examples", "example", "build", "dist", "venv", "node_modules"}
)
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def expand_editables(environment: Environment) -> Environment:
    """Replace the pointers of editable installs by the files that they make importable.

    What can't be read is a finding; an editable whose code can't be found stays as it is, with a finding.
    """
    distributions: list[Distribution] = []
    findings = list(environment.findings)
    for distribution in environment.distributions:
        if distribution.direct_url is not None and distribution.direct_url.kind == "editable":
            expanded, finding = _expand(distribution, environment)
            distributions.append(expanded)
            findings.append(finding)
        else:
            distributions.append(distribution)
    return replace(environment, distributions=tuple(distributions), findings=tuple(findings))


def _expand(distribution: Distribution, environment: Environment) -> tuple[Distribution, Finding]:
    site, prefix = environment.site_packages, environment.prefix
    pointers = [file for file in distribution.files if _is_pointer(file.path, site)]
    found: dict[str, Path] = {}
    for pointer in pointers:
        found |= dict(_pointed(pointer.location(prefix)))
    own = {pointer.path for pointer in pointers}
    kept = [file for file in distribution.files if file.path not in own]
    taken = {file.path for file in kept}
    added = [
        file
        for path, source in sorted(found.items())
        if f"{site}/{path}" not in taken and (file := _read(f"{site}/{path}", source)) is not None
    ]
    if not added:
        message = f"{distribution.name} is editable and its code was not found: the image can't import it"
        return distribution, Finding(code="editable-lost", message=message, path=distribution.directory)
    count = "1 file" if len(added) == 1 else f"{len(added)} files"
    message = f"{distribution.name} is editable: what it makes importable is captured as it is now ({count})"
    files = tuple(sorted([*kept, *added], key=lambda file: file.path))
    return (
        replace(distribution, files=files),
        Finding(code="editable-captured", message=message, path=distribution.directory),
    )


def _is_pointer(path: str, site: str) -> bool:
    name = path.removeprefix(f"{site}/")
    return "/" not in name and (
        name.endswith((".pth", ".egg-link")) or (name.startswith("__editable__") and name.endswith(".py"))
    )


def _pointed(pointer: Path) -> Iterator[tuple[str, Path]]:
    """Yield path below site-packages and place of each file that a pointer makes importable."""
    try:
        text = pointer.read_bytes()[:_MAX_POINTER].decode("utf-8", "replace")
    except OSError:
        return
    if pointer.suffix == ".py":
        for name, place in _mapping(text).items():
            target = Path(place)
            base = name.replace(".", "/")
            if target.is_dir():
                yield from _below(target, base)
            elif target.with_suffix(".py").is_file():
                yield f"{base}.py", target.with_suffix(".py")
        return
    for line in text.splitlines():
        folder = Path(line.strip())
        if folder.is_absolute() and folder.is_dir():
            yield from _importable(folder)


def _mapping(text: str) -> dict[str, str]:
    """Read `MAPPING` and `NAMESPACES` of setuptools' finder without running it."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return {}
    for statement in body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="MAPPING")], value=value)
                | ast.AnnAssign(target=ast.Name(id="MAPPING"), value=ast.expr() as value)
            ):
                try:
                    table = ast.literal_eval(value)
                except ValueError:
                    return {}
                return {str(name): str(place) for name, place in table.items()} if isinstance(table, dict) else {}
            case _:
                continue
    return {}


def _importable(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what a folder on the path offers: all of a source folder; packages and modules of a project's root."""
    is_project = any((folder / name).is_file() for name in _PROJECT_FILES)
    for child in sorted(folder.iterdir()):
        name = child.name
        if name.startswith(".") or not name.partition(".")[0].isidentifier():
            continue
        if child.is_dir():
            wanted = not is_project or ((child / "__init__.py").is_file() and name not in _NO_PACKAGE)
            if wanted and not name.endswith((".egg-info", ".dist-info")):
                yield from _below(child, name)
        elif name.endswith((".py", ".so")) and not (is_project and name in _NO_CODE):
            yield name, child


def _below(folder: Path, base: str) -> Iterator[tuple[str, Path]]:
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__pycache__")
        inner = Path(parent).relative_to(folder).as_posix()
        for name in sorted(files):
            path = f"{base}/{name}" if inner == "." else f"{base}/{inner}/{name}"
            if not is_bytecode(path) and not name.startswith("."):
                yield path, Path(parent) / name


def _read(path: str, source: Path) -> InstalledFile | None:
    """Hash a file; None for what is no regular file or can't be read."""
    try:
        place = source.resolve(strict=True)
        if not place.is_file():
            return None
        sha256 = hashlib.sha256()
        with place.open("rb") as file:
            state = os.fstat(file.fileno())
            while chunk := file.read(CHUNK_SIZE):
                sha256.update(chunk)
    except (OSError, RuntimeError):
        return None
    return InstalledFile(
        path=path, mode=state.st_mode & 0o7777, size=state.st_size, sha256=sha256.hexdigest(), source=str(place)
    )
