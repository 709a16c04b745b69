"""Counts containers of GPU code by the targets that they hold code for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from envcap.errors import ScanError
from envcap.gpu.model import CodeSet

_MAX_CONTAINERS = 20_000
_MAX_SETS = 256
_MAX_TARGETS = 128
_MAX_KINDS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCode:
    """GPU code of one file.

    Attributes:
        sets: Containers that hold code which can be loaded, sorted by targets.
        jit: Kinds of code that no target tells, sorted: `lto`, `relocatable`, `unknown-16`.
    """

    sets: tuple[CodeSet, ...] = ()
    jit: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sets or self.jit)


@dataclass(slots=True)
class Tally:
    """Containers seen so far. Limits are far above what real libraries have: the largest, cublasLt, has 3,014."""

    sets: Counter[tuple[str, ...]] = field(default_factory=Counter)
    jit: set[str] = field(default_factory=set)
    containers: int = 0

    def add(self, targets: Iterable[str]) -> None:
        """Count one container; one without targets counts for nothing.

        Raises:
            ScanError: There are more containers, or of more kinds, than any compiler writes.
        """
        key = tuple(sorted(set(targets)))
        self.containers += 1
        if key:
            self.sets[key] += 1
        if self.containers > _MAX_CONTAINERS or len(self.sets) > _MAX_SETS or len(key) > _MAX_TARGETS:
            raise damaged(f"more than {_MAX_CONTAINERS} containers, {_MAX_SETS} kinds or {_MAX_TARGETS} targets")

    def note(self, kind: str) -> None:
        """Remember a kind of code that no target tells.

        Raises:
            ScanError: There are more kinds than any compiler writes.
        """
        self.jit.add(kind)
        if len(self.jit) > _MAX_KINDS:
            raise damaged(f"more than {_MAX_KINDS} kinds of code")

    def result(self) -> FoundCode:
        """Give what was counted."""
        sets = tuple(CodeSet(count=self.sets[key], targets=key) for key in sorted(self.sets))
        return FoundCode(sets=sets, jit=tuple(sorted(self.jit)))


def join_code(found: Iterable[FoundCode]) -> FoundCode:
    """Add up what several sections of a file hold."""
    sets: Counter[tuple[str, ...]] = Counter()
    jit: set[str] = set()
    for one in found:
        sets.update({row.targets: row.count for row in one.sets})
        jit.update(one.jit)
    return FoundCode(sets=tuple(CodeSet(count=sets[key], targets=key) for key in sorted(sets)), jit=tuple(sorted(jit)))


def damaged(what: str) -> ScanError:
    """Say that GPU code can't be read."""
    return ScanError(f"Damaged GPU code ({what})", hint="reinstall the package that owns it")
