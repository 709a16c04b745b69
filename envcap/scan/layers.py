"""Reads the folders of packages that an environment sees beyond its own, and lays them below it.

In the image all lie in one folder, so what a folder further ahead on the module path hides is left out here: a
distribution by its name, a module or package by its own. Paths become those of the image; where the bytes lie is
`InstalledFile.source`.
"""

import os
import posixpath
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envcap.environment import Distribution, Finding, FindingLevel, InstalledFile
from envcap.scan.assemble import count_ignored, installed_files, join_distributions
from envcap.scan.distributions import Installed
from envcap.scan.elf import ElfSource
from envcap.scan.files import Tree, TreeFile, is_plain, walk_tree
from envcap.scan.hashing import hash_files
from envcap.scan.installed import read_installed
from envcap.scan.os_packages import OsPackages, unpinned
from envcap.scan.owners import assign_owners
from envcap.scan.reader import TreeReader
from envcap.scan.sites import Site
from envcap.wheel.layout import is_bytecode

OS_PACKAGE = "os-package"
_NAMED = 4
_OS_INSTALLERS = frozenset({"apk", "pacman", "portage", "rpm"})
_README = ("README", "README.txt")
_MODULE_ENDINGS = (".py", ".so", ".pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one folder holds, by the paths of the image.

    Attributes:
        site: The folder.
        distributions: Sorted by name.
        unowned: Files that are nobody's.
        elf: Paths of the files that are ELF.
        ignored: How many files were left out, by reason.
        findings: What could not be taken for granted.
    """

    site: Site
    distributions: tuple[Distribution, ...] = ()
    unowned: tuple[InstalledFile, ...] = ()
    elf: frozenset[str] = frozenset()
    ignored: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Layers laid below each other: what the environment sees of them.

    Attributes:
        distributions: Of all layers, and of the environment itself.
        unowned: Of all layers, and of the environment itself.
        elf: ELF files of the layers that are seen.
        findings: What is hidden.
    """

    distributions: tuple[Distribution, ...]
    unowned: tuple[InstalledFile, ...]
    elf: tuple[ElfSource, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_layer(site: Site, *, target: str, python: str, os_packages: OsPackages) -> Layer:
    """Read one folder of packages.

    Args:
        site: The folder.
        target: Where packages lie in the image, relative to the environment's prefix.
        python: Prefix of the Python that its scripts name.
        os_packages: Whose files are not looked at.
    """
    walked = walk_tree(site.root, start=site.folder)
    tree = _without(walked, site, os_packages.paths)
    reader = TreeReader(tree)
    roots = tuple(dict.fromkeys((site.root, site.named)))
    installed = [_claim(one, site, os_packages) for one in read_installed(reader, (site.folder,), roots)]
    reader.tree = _with_claimed(tree, installed)
    ownership = assign_owners(reader, installed)
    kept = sorted({path for paths in (*ownership.owned, ownership.unowned) for path in paths})
    regular = [(path, reader.tree.files[path].size) for path in kept if not reader.tree.files[path].is_link]
    hashed, hash_findings = hash_files(site.root, regular)
    unowned = [path for path in ownership.unowned if path.removeprefix(f"{site.folder}/") not in _README]
    place = _Place(site, target, python)
    distributions = join_distributions(reader.tree, installed, ownership, hashed)
    ignored = count_ignored(reader.tree, ownership, len(regular) - len(hashed))
    if hidden := len(walked.files) - len(tree.files):
        ignored[OS_PACKAGE] = hidden
    return Layer(
        site=site,
        distributions=tuple(place.distribution(one) for one in distributions),
        unowned=place.files(installed_files(reader.tree, unowned, hashed)),
        elf=frozenset(place.path(path) for path, content in hashed.items() if content.is_elf),
        ignored=dict(sorted(ignored.items())),
        findings=(*tree.findings, *reader.findings, *hash_findings, *_leaving(reader.tree, kept)),
    )


def stack_layers(
    distributions: Sequence[Distribution], unowned: Sequence[InstalledFile], layers: Iterable[Layer], *, target: str
) -> Stack:
    """Lay layers below an environment, those further ahead on its module path on top.

    Args:
        distributions: The environment's own.
        unowned: The environment's own.
        layers: In the order of the module path.
        target: Where packages lie in the image.
    """
    own = [*(file for one in distributions for file in one.files), *unowned]
    above = _Above(target)
    above.add((canonicalize_name(one.name) for one in distributions), own)
    seen, files, elf, findings = list(distributions), list(unowned), list[ElfSource](), list[Finding]()
    for layer in layers:
        fresh = [one for one in layer.distributions if canonicalize_name(one.name) not in above.names]
        hidden = [one for one in layer.distributions if canonicalize_name(one.name) in above.names]
        if hidden:
            names = ", ".join(f"{one.name} {one.version}" for one in hidden)
            message = f"Left out, since the same is installed ahead on the module path: {names}"
            findings.append(Finding(code="distribution-hidden", message=message, level=FindingLevel.NOTE))
        visible = [replace(one, files=above.visible(one.files)) for one in fresh]
        for one, whole in zip(visible, fresh, strict=True):
            if len(one.files) < len(whole.files):
                findings.append(_partly_hidden(one, len(whole.files) - len(one.files)))
        loose = above.visible(layer.unowned)
        added = [*(file for one in visible for file in one.files), *loose]
        above.add((canonicalize_name(one.name) for one in visible), added)
        elf += [ElfSource(path=file.path, location=file.source, sha256=file.sha256) for file in _elf(layer, added)]
        seen += visible
        files += loose
    return Stack(
        distributions=tuple(sorted(seen, key=lambda one: (canonicalize_name(one.name), one.version, one.directory))),
        unowned=tuple(sorted(files, key=lambda file: file.path)),
        elf=tuple(elf),
        findings=tuple(findings),
    )


def beyond_findings(layers: Sequence[Layer], os_packages: OsPackages) -> list[Finding]:
    """Say what is taken from beyond the environment: of the user with a warning, since that is a choice."""
    findings: list[Finding] = []
    user = [one for layer in layers if layer.site.of_user for one in layer.distributions]
    if user:
        more = f" and {len(user) - _NAMED} more" if len(user) > _NAMED else ""
        names = ", ".join(one.name for one in user[:_NAMED]) + more
        message = f"The user's own packages are seen too, and taken ({names}): `--no-user-site` leaves them out"
        findings.append(Finding(code="user-site", message=message))
    base = [one for layer in layers if not layer.site.of_user for one in layer.distributions]
    of_os = sum(one.installer in _OS_INSTALLERS for one in base)
    if of_os:
        findings.append(unpinned(of_os))
    if base or os_packages.pinned:
        message = f"The base's packages are seen too: {len(base)} by file, {len(os_packages.pinned)} of Debian"
        findings.append(Finding(code="system-site-packages", message=message, level=FindingLevel.NOTE))
    return findings


class _Above:
    """What lies ahead on the module path, and so hides what comes after it."""

    def __init__(self, target: str) -> None:
        self.names: set[str] = set()
        self._start = f"{target}/"
        self._paths: set[str] = set()
        self._modules: set[str] = set()

    def add(self, names: Iterable[str], files: Collection[InstalledFile]) -> None:
        self.names.update(names)
        self._paths.update(file.path for file in files)
        for file in files:
            first, _, rest = file.path.removeprefix(self._start).partition("/")
            # A folder without `__init__` is a portion of a namespace (PEP 420), which hides nothing.
            if file.path.startswith(self._start) and (rest.partition(".")[0] == "__init__" or _is_module(first, rest)):
                self._modules.add(first.partition(".")[0])

    def visible(self, files: Iterable[InstalledFile]) -> tuple[InstalledFile, ...]:
        return tuple(file for file in files if file.path not in self._paths and not self._is_hidden(file.path))

    def _is_hidden(self, path: str) -> bool:
        first, _, rest = path.removeprefix(self._start).partition("/")
        if not path.startswith(self._start) or not (rest or _is_module(first, rest)):
            return False
        return (first if rest else first.partition(".")[0]) in self._modules


@dataclass(frozen=True, slots=True)
class _Place:
    """Maps what a site holds to the image."""

    site: Site
    target: str
    python: str

    def path(self, path: str) -> str:
        inside = path.removeprefix(f"{self.site.folder}/")
        return path if inside == path else f"{self.target}/{inside}"

    def files(self, files: Iterable[InstalledFile]) -> tuple[InstalledFile, ...]:
        mapped = [
            replace(file, path=self.path(file.path), source=f"{self.site.root}/{file.path}", python=self.python)
            for file in files
            if not _leaves(file.path, file.target)
        ]
        return tuple(sorted(mapped, key=lambda file: file.path))

    def distribution(self, one: Distribution) -> Distribution:
        return replace(
            one,
            directory=self.path(one.directory),
            record=tuple(
                sorted((replace(row, path=self.path(row.path)) for row in one.record), key=lambda row: row.path)
            ),
            files=self.files(one.files),
            missing=tuple(sorted(map(self.path, one.missing))),
        )


def _is_module(first: str, rest: str) -> bool:
    return not rest and first.endswith(_MODULE_ENDINGS)


def _elf(layer: Layer, files: Iterable[InstalledFile]) -> Iterator[InstalledFile]:
    return (file for file in files if file.path in layer.elf and not file.target)


def _partly_hidden(one: Distribution, count: int) -> Finding:
    files = "1 file" if count == 1 else f"{count} files"
    message = f"{files} of {one.name} are left out, since modules ahead on the module path hide them"
    return Finding(code="module-hidden", message=message, path=one.directory, level=FindingLevel.NOTE)


def _without(tree: Tree, site: Site, paths: frozenset[str]) -> Tree:
    """Leave out the operating system's files, and folders in which there is nothing else but bytecode."""
    if not paths:
        return tree
    files = {path: file for path, file in tree.files.items() if not _is_of_os(f"{site.root}/{path}", paths)}
    folders: set[str] = set()
    for path in files:
        if not is_bytecode(path):
            parent = path.rpartition("/")[0]
            while parent and parent not in folders:
                folders.add(parent)
                parent = parent.rpartition("/")[0]
    return replace(tree, files=files, folders=tree.folders & folders)


def _is_of_os(path: str, paths: frozenset[str]) -> bool:
    if path in paths:
        return True
    # Debian's packages are compiled when they are installed (py3compile): `__pycache__/x.cpython-311.pyc` of `x.py`.
    folder, _, name = path.rpartition("/")
    return is_bytecode(path) and f"{folder.rpartition('/')[0]}/{name.partition('.')[0]}.py" in paths


def _claim(one: Installed, site: Site, os_packages: OsPackages) -> Installed:
    """Give a distribution the files that the operating system's package of it holds: its own RECORD is often gone."""
    directory = f"{site.path}/{one.distribution.directory.removeprefix(f'{site.folder}/')}"
    for paths in os_packages.claims.values():
        if directory in paths:
            own = frozenset(path.removeprefix(f"{site.root}/") for path in paths if not _is_metadata(path, site))
            return replace(one, claims=one.claims | own)
    return one


def _is_metadata(path: str, site: Site) -> bool:
    """Tell whether a path lies in some distribution's metadata: a package may hold several distributions."""
    return path.removeprefix(f"{site.path}/").partition("/")[0].endswith((".dist-info", ".egg-info"))


def _with_claimed(tree: Tree, installed: Iterable[Installed]) -> Tree:
    """Add the files that distributions list outside their folder (`bin/x`, `share/man/...`), where they are there."""
    more: dict[str, TreeFile] = {}
    for path in {path for one in installed for path in one.claims} - tree.files.keys():
        place = f"{tree.prefix}/{path}"
        folder = place.rpartition("/")[0]
        try:
            status = os.lstat(place)
            if os.path.realpath(folder) != folder:  # a link on the way might lead anywhere
                continue
            target = str(Path(place).readlink()) if stat.S_ISLNK(status.st_mode) else ""
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISREG(status.st_mode):
            more[path] = TreeFile(mode, status.st_size, status.st_nlink)
        elif target and is_plain(target):
            more[path] = TreeFile(mode, 0, status.st_nlink, target, is_link=True)
    return replace(tree, files=dict(sorted({**tree.files, **more}.items())))


def _leaves(path: str, target: str) -> bool:
    """Tell whether a symlink could lead out of the folder that it is moved to."""
    if not target:
        return False
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return target.startswith("/") or joined.startswith("..")


def _leaving(tree: Tree, paths: Iterable[str]) -> list[Finding]:
    message = "The symlink leads out of its folder: it is left out"
    return [
        Finding(code="symlink-escapes", message=message, path=path)
        for path in paths
        if _leaves(path, tree.files[path].target)
    ]
