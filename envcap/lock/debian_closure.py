"""Closing over Depends: packages that are wanted whole, with all that they depend on.

Recommends and Suggests are not followed. Nor are packages that serve maintainer scripts only: envcap unpacks
packages and runs no script, so `debconf` (and with it perl) would never be used. Whoever wants one of them in the
image asks for it by name.
"""

from collections.abc import Iterable
from typing import Final

from envcap.errors import SystemPackageError
from envcap.lock.debian_relation import Clause, parse_relations
from envcap.lock.debian_selection import Selection, StalePinError, clauses_of
from envcap.sources.debian_index import DebianPackage

SCRIPT_TOOLS: Final = frozenset(
    {"adduser", "debconf", "dpkg", "init-system-helpers", "install-info", "sysvinit-utils", "ucf", "update-inetd"}
)
"""Packages whose only use, as a dependency, is in scripts that never run here."""


def add_whole(selection: Selection, name: str, reason: str) -> None:
    """Choose a package and all that it depends on, depth first.

    Args:
        selection: What is chosen so far; added to.
        name: The package, or a name that packages provide.
        reason: Why: `base`, `interpreter` or `requested`.

    Raises:
        SystemPackageError: The suite hasn't got the package, or a dependency of it.
        StalePinError: A pinned version is in the way.
    """
    root = selection.find(_parse_name(name))
    if root is None:
        raise SystemPackageError(
            f"Debian {selection.suite.name} has no package {name!r} for {selection.suite.architecture} ({reason})",
            hint="check the name, or choose another suite with `--suite`",
        )
    pending = [root] if selection.add(root, reason) else []
    while pending:
        pending.extend(reversed(_add_dependencies(selection, pending.pop())))


def _parse_name(name: str) -> Clause:
    clauses = list(parse_relations(name, owner="asked for"))
    if len(clauses) != 1:
        raise SystemPackageError(f"Unexpected package name {name[:60]!r}")
    return clauses[0]


def _add_dependencies(selection: Selection, package: DebianPackage) -> list[DebianPackage]:
    """Choose what one package depends on; return what is new."""
    fresh = []
    for clause in followed(clauses_of(package)):
        found = selection.find(clause)
        if found is None:
            error = unmet(selection, package, clause)
            # Another version of it may get along with what is chosen already.
            raise StalePinError(package.name, error.message) if package.name in selection.pins else error
        if selection.add(found, f"dependency of {package.name}"):
            fresh.append(found)
    return fresh


def followed(clauses: Iterable[Clause]) -> list[Clause]:
    """Leave out the dependencies that only maintainer scripts have."""
    return [clause for clause in clauses if not any(relation.name in SCRIPT_TOOLS for relation in clause)]


def unmet(selection: Selection, package: DebianPackage, clause: Clause) -> SystemPackageError:
    """Make the error for a dependency that nothing serves."""
    wanted = " | ".join(map(str, clause))
    chosen = [selection.chosen[relation.name].version for relation in clause if relation.name in selection.chosen]
    found = f"{', '.join(chosen)} is chosen" if chosen else "none in the suite"
    return SystemPackageError(
        f"Debian {selection.suite.name}: {package.name} {package.version} depends on {wanted} (found: {found})",
        hint="the mirror may be out of step with itself: try again later, or with `--refresh-system`",
    )
