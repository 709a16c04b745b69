"""Gives every file of a tree to its owner: distributions, the environment itself, or nobody.

Nothing vanishes: each path ends up with one or more distributions, among the unowned, or counted under a reason.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from envcap.finding import FindingLevel
from envcap.scan.distributions import Installed
from envcap.scan.files import Tree
from envcap.scan.furniture import (
    BYTECODE,
    INSTALLER,
    cache_reason,
    entry_point_of_script,
    furniture_reason,
    is_bytecode,
    requirement_of_script,
)
from envcap.scan.reader import TreeReader

_SCRIPT_LIMIT = 8192
_MODULE_SUFFIXES = (".py", ".pyi", ".so", ".pyc")


@dataclass(slots=True)
class Ownership:
    """Who owns what.

    Attributes:
        owned: For each distribution, in the order given, the paths that are its own and are there, sorted.
        missing: For each distribution, the paths that it lists and that are not there, sorted.
        unowned: Paths that are nobody's, sorted.
        ignored: Paths that were left out, by reason.
    """

    owned: list[list[str]]
    missing: list[tuple[str, ...]]
    unowned: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)


def assign_owners(reader: TreeReader, installed: Sequence[Installed]) -> Ownership:
    """Give every file of the reader's tree to its owner; what is odd becomes a finding of the reader."""
    tree = reader.tree
    owners = _owners_by_path(tree, installed)
    scripts = _GeneratedScripts.of(installed)
    result = Ownership(owned=[[] for _ in installed], missing=[_missing(tree, one) for one in installed])
    for path, file in tree.files.items():
        mine: Sequence[int] = owners.get(path, ())
        reason = furniture_reason(path, file)
        if reason and mine:
            names = _names(installed, mine)
            reader.note("record-claims-furniture", f"{names} claims a file of the environment itself: left out", path)
        if not reason and is_bytecode(path, has_source=_source(path) in tree.files):
            reason = BYTECODE
        if not reason and not mine:
            reason = cache_reason(path)
            if not reason:
                reason, mine = scripts.explain(reader, path)
        if reason:
            result.ignored.setdefault(reason, []).append(path)
        elif mine:
            _give(reader, result, installed, path, mine)
        else:
            result.unowned.append(path)
    return result


def _give(
    reader: TreeReader, result: Ownership, installed: Sequence[Installed], path: str, mine: Iterable[int]
) -> None:
    indices = sorted(set(mine))
    for index in indices:
        result.owned[index].append(path)
    if len(indices) > 1:
        reader.note(
            "file-shared", f"Owned by several distributions: {_names(installed, indices)}", path, FindingLevel.NOTE
        )


def _owners_by_path(tree: Tree, installed: Sequence[Installed]) -> dict[str, list[int]]:
    owners: dict[str, list[int]] = {}
    paths = list(tree.files)  # sorted, so that a folder's files are a range
    for index, one in enumerate(installed):
        mine = {path for path in one.claims if path in tree.files}
        for folder in one.folders:
            mine.update(files_below(paths, folder))
        for path in mine:
            owners.setdefault(path, []).append(index)
    _claim_modules(paths, installed, owners)
    return owners


def files_below(paths: Sequence[str], folder: str) -> Sequence[str]:
    """Return the paths below a folder, out of a sorted list."""
    # "0" follows "/" in ASCII.
    return paths[bisect_left(paths, f"{folder}/") : bisect_left(paths, f"{folder}0")]


def _claim_modules(paths: Sequence[str], installed: Sequence[Installed], owners: dict[str, list[int]]) -> None:
    """Give top-level modules to distributions that only name them, where nobody owns any file of a module."""
    wanted: dict[str, list[int]] = {}
    for index, one in enumerate(installed):
        site = one.distribution.directory.rpartition("/")[0]
        for module in one.modules:
            wanted.setdefault(f"{site}/{module}", []).append(index)
    for module, indices in sorted(wanted.items()):
        # The folder `a`, and beside it `a.py` or `a.cpython-311-x86_64-linux-gnu.so` ("." and "/" follow each other).
        near = paths[bisect_left(paths, f"{module}.") : bisect_left(paths, f"{module}0")]
        start = len(module)
        found = [
            path for path in near if path[start] == "/" or (path.endswith(_MODULE_SUFFIXES) and "/" not in path[start:])
        ]
        if len(indices) == 1 and not any(path in owners for path in found):
            for path in found:
                owners[path] = list(indices)


def _missing(tree: Tree, one: Installed) -> tuple[str, ...]:
    rows = {row.path for row in one.distribution.record}
    absent = (path for path in rows if path not in tree.files and path not in tree.folders)
    return tuple(sorted(path for path in absent if not is_bytecode(path, has_source=_source(path) in rows)))


def _source(path: str) -> str:
    return path[:-1] if path.endswith((".pyc", ".pyo")) else ""


def _names(installed: Sequence[Installed], indices: Iterable[int]) -> str:
    return ", ".join(sorted({installed[index].distribution.name for index in indices}))


@dataclass(frozen=True, slots=True)
class _GeneratedScripts:
    """Tells scripts that an installer generated for a distribution here, though no RECORD lists them.

    Those of a wheel (`pip3.11`) are made anew from its entry points and are nobody's content. Those that easy_install
    or `setup.py install` wrote for an egg are made anew by nothing: they are files of that egg.
    """

    values: frozenset[str]
    names: frozenset[str]
    eggs: Mapping[str, int]

    @classmethod
    def of(cls, installed: Sequence[Installed]) -> "_GeneratedScripts":
        distributions = [one.distribution for one in installed]
        values = {entry.value for distribution in distributions for entry in distribution.entry_points}
        names = [str(canonicalize_name(distribution.name)) for distribution in distributions]
        wheels = {name for name, one in zip(names, distributions, strict=True) if one.form == "wheel"}
        eggs = {name: index for index, name in enumerate(names) if name not in wheels}
        return cls(frozenset(values), frozenset(names), eggs)

    def explain(self, reader: TreeReader, path: str) -> tuple[str, Sequence[int]]:
        """Give the reason to leave a script out, or the distribution that owns it; neither for any other file."""
        if not path.startswith("bin/") or path.count("/") != 1 or reader.tree.files[path].size > _SCRIPT_LIMIT:
            return "", ()
        data = reader.read(path, limit=_SCRIPT_LIMIT) or b""
        name = canonicalize_name(requirement_of_script(data))
        if name in self.eggs:
            return "", (self.eggs[name],)
        return (INSTALLER if entry_point_of_script(data) in self.values or name in self.names else ""), ()
