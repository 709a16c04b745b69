"""Reads a folder of packages that an environment sees beyond its own.

Paths become those of the image; where the bytes lie is `InstalledFile.source`.
"""

import os
import posixpath
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envcap.environment import Distribution, InstalledFile
from envcap.few import few
from envcap.finding import Finding, FindingLevel
from envcap.scan.assemble import count_ignored, installed_files, join_distributions
from envcap.scan.distributions import Installed, children
from envcap.scan.files import Tree, TreeFile, is_plain, walk_tree
from envcap.scan.hashing import hash_files
from envcap.scan.installed import read_installed
from envcap.scan.linked import follow_installed_links
from envcap.scan.os_packages import OsPackages, unpinned
from envcap.scan.owners import assign_owners
from envcap.scan.reader import TreeReader
from envcap.scan.sites import Site
from envcap.scan.stack import Layer
from envcap.scan.startup import note_startup_code
from envcap.wheel.layout import is_bytecode

OS_PACKAGE = "os-package"
_NAMED = 4
_OS_INSTALLERS = frozenset({"apk", "pacman", "portage", "rpm"})
_README = ("README", "README.txt")


def read_layer(site: Site, *, target: str, python: str, os_packages: OsPackages) -> Layer:
    """Read one folder of packages.

    Args:
        site: The folder.
        target: Where packages lie in the image, relative to the environment's prefix.
        python: Prefix of the Python that its scripts name.
        os_packages: Whose files are not looked at.
    """
    walked = follow_installed_links(walk_tree(site.root, start=site.folder))
    tree = _without(walked, site, os_packages.paths)
    reader = TreeReader(tree)
    roots = tuple(dict.fromkeys((site.root, site.named)))
    installed = [_claim(one, site, os_packages) for one in read_installed(reader, (site.folder,), roots)]
    reader.tree = _with_claimed(tree, installed)
    ownership = assign_owners(reader, installed)
    kept = sorted({path for paths in (*ownership.owned, ownership.unowned) for path in paths})
    regular = [(path, reader.tree.files[path].size) for path in kept if not reader.tree.files[path].is_link]
    hashed, hash_findings = hash_files(site.root, regular, sources=tree.sources)
    unowned = [path for path in ownership.unowned if path.removeprefix(f"{site.folder}/") not in _README]
    place = _Place(site, target, python)
    distributions = join_distributions(reader.tree, installed, ownership, hashed)
    note_startup_code(reader, site.folder, children(tree, site.folder), distributions)
    ignored = count_ignored(reader.tree, ownership, len(regular) - len(hashed))
    if hidden := len(walked.files) - len(tree.files):
        ignored[OS_PACKAGE] = hidden
    return Layer(
        site=site,
        distributions=tuple(_with_linked_scripts(place.distribution(one), site) for one in distributions),
        unowned=place.files(installed_files(reader.tree, unowned, hashed)),
        elf=frozenset(place.path(path) for path, content in hashed.items() if content.is_elf),
        ignored=dict(sorted(ignored.items())),
        findings=(*tree.findings, *reader.findings, *hash_findings, *_leaving(reader.tree, kept)),
    )


def beyond_findings(layers: Sequence[Layer], os_packages: OsPackages) -> list[Finding]:
    """Say what is taken from beyond the environment: of the user with a warning, since that is a choice."""
    findings: list[Finding] = []
    user = [one for layer in layers if layer.site.of_user for one in layer.distributions]
    if user:
        names = few([one.name for one in user], _NAMED)
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
            replace(
                file,
                path=self.path(file.path),
                source=file.source or f"{self.site.root}/{file.path}",
                python=self.python,
            )
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
            scripts = {f"bin/{point.name}" for point in one.distribution.entry_points}
            return replace(one, claims=one.claims | own | scripts)
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


def _with_linked_scripts(one: Distribution, site: Site) -> Distribution:
    """Add scripts of entry points that are links to another script of it: `bin/pip` -> `pip3.11`, as pyenv has it."""
    scripts = {file.path: file for file in one.files if file.path.startswith("bin/") and not file.target}
    linked: list[InstalledFile] = []
    for path in (f"bin/{point.name}" for point in one.entry_points):
        place = Path(site.root, path)
        if path not in scripts and place.is_symlink():
            target = f"bin/{place.readlink()}"
            linked += [replace(scripts[target], path=path)] if target in scripts else []
    return replace(one, files=tuple(sorted([*one.files, *linked], key=lambda file: file.path)))


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
