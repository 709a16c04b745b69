"""Dependencies as Debian writes them: `libc6 (>= 2.34), mawk | awk, python3:any` (Debian policy §7.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from envcap.errors import SystemPackageError
from envcap.sources.debian_archive import compare_key

_RELATION: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::(?P<arch>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s)]+)\s*\))?\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One alternative of a dependency.

    Attributes:
        name: A package, or a name that packages provide.
        operator: `<<`, `<=`, `=`, `>=`, `>>`, or empty where any version serves.
        version: What the operator compares with.
    """

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def accepts(self, version: str) -> bool:
        """Tell whether a version satisfies the constraint.

        Raises:
            SystemPackageError: One of the versions is no Debian version.
        """
        if not self.operator:
            return True
        found, wanted = compare_key(version), compare_key(self.version)
        if self.operator == "=":
            return bool(found == wanted)
        if self.operator[0] == "<":
            return bool(found < wanted if self.operator == "<<" else found <= wanted)
        return bool(found > wanted if self.operator == ">>" else found >= wanted)


Clause = tuple[Relation, ...]
"""Alternatives of which one is enough, the preferred one first."""


def parse_relations(text: str, *, owner: str) -> Iterator[Clause]:
    """Read a dependency field.

    Args:
        text: As written; architecture qualifiers are dropped, since all is of one architecture here.
        owner: Whose field it is, for messages.

    Raises:
        SystemPackageError: It is malformed.
    """
    for clause in text.split(","):
        if clause.strip():
            yield tuple(_parse_relation(part.strip(), owner) for part in clause.split("|"))


def _parse_relation(text: str, owner: str) -> Relation:
    match = _RELATION.match(text)
    if match is None:
        raise SystemPackageError(f"Unexpected dependency {text[:100]!r} of the Debian package {owner}")
    # `<` and `>` are old spellings of `<=` and `>=` (policy §7.1).
    operator = {"<": "<=", ">": ">="}.get(match["operator"] or "", match["operator"] or "")
    return Relation(name=match["name"], operator=operator, version=match["version"] or "")
