"""Finds code and paths that Python takes up at every start: `.pth` files, sitecustomize and usercustomize.

Source: CPython's `Lib/site.py`. They are reported and never run; an attacker's foothold looks just like a helpful hook.
What a package brought, as its RECORD has it, is a note; what nobody owns, or somebody edited, is a warning.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from envcap.environment import CondaRecord, Distribution
from envcap.finding import FindingLevel
from envcap.scan.furniture import furniture_reason
from envcap.scan.hashing import HashedFile
from envcap.scan.reader import TreeReader

_HOOKS = ("sitecustomize", "usercustomize")
_CODE = (".py", ".so", ".pyc")
_PTH_LIMIT = 256 << 10
_STARTUP = re.compile(r"/(?:[^/]+\.pth|(?:site|user)customize[./][^/]+)\Z")


@dataclass(frozen=True, slots=True)
class FileOwner:
    """Whose a file is that Python takes up at every start.

    Attributes:
        text: The end of a sentence: `of setuptools`.
        level: How much it matters that Python runs it.
    """

    text: str
    level: FindingLevel


_NOBODY = FileOwner("that no package owns", FindingLevel.WARNING)
_ITSELF = FileOwner("of the environment itself", FindingLevel.NOTE)


def note_startup_code(
    reader: TreeReader,
    site: str,
    names: Sequence[str],
    distributions: Sequence[Distribution],
    condas: Mapping[str, FileOwner] = MappingProxyType({}),
) -> None:
    """Report what runs or is searched at start, among the `names` in the folder `site`.

    Args:
        reader: Reads the tree; findings gather in it.
        site: A site-packages folder, relative to the prefix.
        names: What lies directly in it.
        distributions: The owners of files. That an editable install points out of the environment is reported
            elsewhere.
        condas: Of files of conda's packages, whose they are.
    """
    hooks = [name for name in names if name.partition(".")[0] in _HOOKS]
    path_files = [name for name in names if name.endswith(".pth") and not name.startswith(".")]
    candidates = {_code_of(reader, f"{site}/{name}") for name in (*hooks, *path_files)}
    owners = {**condas, **_owners(distributions, candidates)}
    for name in hooks:
        path = f"{site}/{name}"
        if name.endswith(_CODE) or path in reader.tree.folders:
            owner = _owner(reader, owners, _code_of(reader, path))
            reader.note("startup-code", f"Python runs {name} at every start, a file {owner.text}", path, owner.level)
    editables = [row for row in distributions if row.direct_url is not None and row.direct_url.kind == "editable"]
    claimed = {file.path for row in editables for file in row.files}
    projects = {unquote(urlsplit(row.direct_url.url).path) for row in editables if row.direct_url is not None}
    for name in path_files:
        path = f"{site}/{name}"
        lines = [line.rstrip() for line in (reader.read_text(path, limit=_PTH_LIMIT) or "").splitlines()]
        if any(line.startswith(("import ", "import\t")) for line in lines):
            owner = _owner(reader, owners, path)
            message = f"Python runs the code in {name} at every start, a file {owner.text}"
            reader.note("startup-code", message, path, owner.level)
        if path not in claimed:
            _note_outside(reader, path, [line for line in lines if line not in projects])


def conda_owners(
    records: Sequence[CondaRecord], owned: Sequence[Sequence[str]], hashed: Mapping[str, HashedFile]
) -> dict[str, FileOwner]:
    """Give the owners of those files of conda packages that Python may run at every start.

    Args:
        records: The packages.
        owned: The paths of each that are its own and are there.
        hashed: The hashes of the live files.
    """
    found: dict[str, FileOwner] = {}
    for record, paths in zip(records, owned, strict=True):
        wanted = {path for path in paths if _STARTUP.search(path)}
        for row in record.paths if wanted else ():
            if row.path in wanted:
                live = hashed[row.path].sha256 if row.path in hashed else ""
                edited = bool(row.sha256) and live not in {row.sha256, row.installed_sha256} and not row.placeholder
                text = f"of conda's {record.name}" + (" that was edited" if edited else "")
                found[row.path] = FileOwner(text, FindingLevel.WARNING if edited else FindingLevel.NOTE)
    return found


def _note_outside(reader: TreeReader, path: str, lines: Sequence[str]) -> None:
    outside = sum(line.startswith("/") and not f"{line}/".startswith(f"{reader.tree.prefix}/") for line in lines)
    if outside:
        folders = "1 folder" if outside == 1 else f"{outside} folders"
        message = (
            f"{path.rpartition('/')[2]} adds {folders} outside the environment to the module path: "
            "what lies there is not captured, and the image doesn't look there"
        )
        reader.note("path-outside", message, path)


def _code_of(reader: TreeReader, path: str) -> str:
    return f"{path}/__init__.py" if path in reader.tree.folders else path


def _owner(reader: TreeReader, owners: dict[str, FileOwner], path: str) -> FileOwner:
    file = reader.tree.files.get(path)
    if file is not None and furniture_reason(path, file):
        return _ITSELF
    return owners.get(path, _NOBODY)


def _owners(distributions: Sequence[Distribution], paths: set[str]) -> dict[str, FileOwner]:
    found: dict[str, FileOwner] = {}
    for row in distributions:
        mine = {file.path: file.sha256 for file in row.files if file.path in paths}
        if not mine:
            continue
        listed = {entry.path: entry.sha256 for entry in row.record if entry.path in mine}
        for path, sha256 in mine.items():
            edited = listed.get(path, "") not in ("", sha256)
            owner = FileOwner(f"of {row.name}", FindingLevel.NOTE)
            if edited:
                owner = FileOwner(f"of {row.name} that was edited", FindingLevel.WARNING)
            # Of several owners the one whose RECORD has the live bytes counts.
            if path not in found or not edited:
                found[path] = owner
    return found
