"""Which packages of Debian bring modules that an environment sees, and whether their files are as they came.

A plain environment on Debian's own Python sees no more of them than what completes the standard library.

A package that is as it came need not be captured: it is pinned as a whole, and its files go into the image with it.
One whose files were edited, or that no archive has, is not: its files are captured like anybody's. They then come
first in the image's module path, so that they are seen and not the archive's.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from envcap.dpkg import DpkgPackage, parse_os_release, read_dpkg, read_small
from envcap.environment import InterpreterFacts, OsPackage
from envcap.finding import Finding
from envcap.scan.sites import Beyond, Site

_INTERPRETER = re.compile(r"(?:lib)?python\d+\.\d+(?:-minimal|-stdlib)?\Z")
_TOOL = re.compile(r"python\d+\.\d+-venv|idle-python.*|libpython\d+\.\d+-testsuite\Z")
_MODULE = re.compile(r"(?:[A-Za-z_]\w*/)*[A-Za-z_][\w.-]*\.(?:py|so)\Z")
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OsPackages:
    """The packages of the operating system, as far as they bring modules.

    Attributes:
        pinned: Those whose files go into the image with their package, sorted by name.
        paths: All files of those, absolute.
        claims: Files of the others below the sites, absolute, by package: they are to be captured.
        findings: What could not be taken for granted.
    """

    pinned: tuple[OsPackage, ...] = ()
    paths: frozenset[str] = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def find_os_packages(interpreter: InterpreterFacts, sites: Sequence[Site], beyond: Beyond) -> OsPackages:
    """Find them in dpkg's database.

    Args:
        interpreter: What the interpreter said.
        sites: The folders that it sees.
        beyond: Where the database is, and what it is not to be believed about.
    """
    folders = [site.path for site in sites if not site.of_user]
    stdlib = interpreter.paths.get("stdlib", "")
    # dpkg's database lies in `var/lib/dpkg` below the root of the system that it describes.
    system = beyond.dpkg.parent.parent.parent / "usr" / "lib"
    if not folders and not stdlib.startswith(f"{system}/"):
        return OsPackages()  # an environment that sees nothing of the operating system, not even its Python
    packages = read_dpkg(beyond.dpkg, [*folders, stdlib])
    is_debian = parse_os_release(read_small(beyond.os_release)).get("ID") == "debian" and any(
        f"{stdlib}/os.py" in package.paths for package in packages
    )
    pinned: list[DpkgPackage] = []
    claims: dict[str, frozenset[str]] = {}
    findings: list[Finding] = []
    for package in packages:
        mine = frozenset(path for path in package.paths if _is_below(path, folders))
        changes = tuple(_changes(package, mine)) if is_debian else ()
        if changes:
            findings.append(_edited(package, changes, folders))
        if is_debian and not changes and package.name not in beyond.foreign:
            if mine or _brings_modules(package, stdlib, tools=bool(folders)):
                pinned.append(package)
        elif mine:
            claims[package.name] = mine
    foreign = sorted(package.name for package in packages if is_debian and package.name in beyond.foreign)
    if foreign:
        message = f"No archive of Debian has {', '.join(foreign)}: of these, only the modules are taken, by file"
        findings.append(Finding(code="os-package-foreign", message=message))
    if claims and not is_debian:
        findings.append(unpinned(len(claims)))
    return OsPackages(
        pinned=tuple(OsPackage(name=package.name, version=package.version) for package in pinned),
        paths=frozenset().union(*(package.paths for package in pinned)),
        claims=claims,
        findings=tuple(findings),
    )


def _brings_modules(package: DpkgPackage, stdlib: str, *, tools: bool) -> bool:
    """Tell whether a package completes the standard library (tkinter, distutils), the interpreter's own aside.

    What makes environments, edits code or tests Python is wanted of a whole Python only.
    """
    if _INTERPRETER.match(package.name) or (not tools and _TOOL.match(package.name)):
        return False
    start = f"{stdlib}/"
    return any(
        path.startswith(start) and _MODULE.match(path.removeprefix(start).removeprefix("lib-dynload/"))
        for path in package.paths
    )


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _changes(package: DpkgPackage, mine: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the files that are not as they came, with `edited` or `deleted`."""
    for path in sorted(mine & package.md5.keys()):
        md5 = hashlib.md5(usedforsecurity=False)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                while chunk := file.read(1 << 20):
                    md5.update(chunk)
        except FileNotFoundError:
            yield path, "deleted"
        except OSError:
            continue  # who can't read it can't import it either
        else:
            if md5.hexdigest() != package.md5[path]:
                yield path, "edited"


def _edited(package: DpkgPackage, changes: Sequence[tuple[str, str]], folders: Iterable[str]) -> Finding:
    names = []
    for path, change in changes[:_NAMED]:
        folder = next(folder for folder in folders if path.startswith(f"{folder}/"))
        names.append(f"{path.removeprefix(f'{folder}/')} {change}")
    more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    what = f"Debian's {package.name} is not as it came ({', '.join(names)}{more})"
    message = f"{what}: its modules are taken by file where they are seen"
    return Finding(code="os-package-edited", message=message, path=names[0].rpartition(" ")[0])


def unpinned(count: int) -> Finding:
    """Say that packages of a system other than Debian are nothing that a lock can name."""
    packages = "1 package" if count == 1 else f"{count} packages"
    message = (
        f"{packages} of the operating system can't be pinned, since it is not Debian: their modules are taken by file"
    )
    return Finding(code="os-package-unpinned", message=message)
