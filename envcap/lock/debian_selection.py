"""The packages chosen so far, and how the next one is chosen.

The order of preference is apt's for a fresh system, without its backtracking: what is chosen already; then the
alternatives from left to right; of one name the pinned version, else the highest; of a virtual name the provider of
priority `required`, then the first by name. One suite is consistent in itself, so a search never has to go back.
"""

from collections.abc import Iterator, Mapping

from envcap.errors import SystemPackageError
from envcap.lock.debian_relation import Clause, Relation, parse_relations
from envcap.sources.debian_archive import DebianSuite
from envcap.sources.debian_index import DebianPackage


class StalePinError(SystemPackageError):
    """A pinned version can't stay: something that is needed now wants another one.

    Attributes:
        name: The pinned package.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Selection:
    """Packages chosen so far, with the reasons.

    Attributes:
        suite: Where packages come from.
        pins: Versions to keep, by package.
        chosen: By name.
        reasons: Why, by name.
    """

    def __init__(self, suite: DebianSuite, pins: Mapping[str, DebianPackage]) -> None:
        self.suite = suite
        self.pins = pins
        self.chosen: dict[str, DebianPackage] = {}
        self.reasons: dict[str, set[str]] = {}

    def add(self, package: DebianPackage, reason: str) -> bool:
        """Choose a package, or give a chosen one another reason; tell whether it is new."""
        self.reasons.setdefault(package.name, set()).add(reason)
        if package.name in self.chosen:
            return False
        self.chosen[package.name] = package
        return True

    def candidates(self, name: str) -> Iterator[DebianPackage]:
        """Give the versions of a package, best first."""
        if pin := self.pins.get(name):
            yield pin
        yield from self.suite.versions(name)

    def find(self, clause: Clause) -> DebianPackage | None:
        """Return the package that serves a dependency: a chosen one, or the one to choose; None if there is none.

        Raises:
            StalePinError: Only another version of a pinned package would do.
        """
        for relation in clause:
            if found := self._find_chosen(relation):
                return found
        for relation in clause:
            if found := self._find_new(relation):
                return found
        for relation in clause:
            if relation.name in self.chosen and relation.name in self.pins:
                raise StalePinError(
                    relation.name, f"{relation} is needed, {self.chosen[relation.name].version} is pinned"
                )
        return None

    def _find_chosen(self, relation: Relation) -> DebianPackage | None:
        package = self.chosen.get(relation.name)
        if package is not None and relation.accepts(package.version):
            return package
        for name, version in self.suite.providers(relation.name):
            if name in self.chosen and _provides(relation, version):
                return self.chosen[name]
        return None

    def _find_new(self, relation: Relation) -> DebianPackage | None:
        if relation.name in self.chosen:
            return None  # in a version that doesn't serve: there is room for one
        for package in self.candidates(relation.name):
            if relation.accepts(package.version):
                return package
        providers = [
            next(self.candidates(name))
            for name, version in self.suite.providers(relation.name)
            if name not in self.chosen and _provides(relation, version)
        ]
        return min(providers, key=lambda package: (package.priority != "required", package.name), default=None)


def _provides(relation: Relation, version: str) -> bool:
    """Tell whether a `Provides` serves; without a version of its own it serves no constraint (policy §7.5)."""
    return relation.accepts(version) if version else not relation.operator


def clauses_of(package: DebianPackage) -> list[Clause]:
    """Return what a package can't do without: Pre-Depends, then Depends.

    Raises:
        SystemPackageError: A field is malformed.
    """
    return [
        *parse_relations(package.pre_depends, owner=package.name),
        *parse_relations(package.depends, owner=package.name),
    ]
