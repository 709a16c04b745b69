"""What a difference is, and the comparisons that all topics share."""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version


class Topic(enum.Enum):
    """What a difference is about; its value is the heading."""

    INTERPRETER = "interpreter"
    PACKAGES = "packages"
    CONDA = "conda packages"
    PATCHES = "patched files"
    GPU = "GPU"
    SYSTEM = "OS packages"
    UNOWNED = "files of no package"
    ENVIRONMENT = "environment"
    IMAGE = "image"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that two locks say otherwise.

    Attributes:
        topic: What it is about.
        name: The package, file or fact.
        before: What the first lock says, or empty where it says nothing.
        after: What the second lock says, or empty.
        note: What it means, or empty: `downgrade`, `another file of the same version`.
    """

    topic: Topic
    name: str
    before: str
    after: str
    note: str = ""


def compare_facts(topic: Topic, rows: Mapping[str, tuple[str, str]]) -> Iterator[Difference]:
    """Compare pairs of facts, by name."""
    for name, (before, after) in rows.items():
        if before != after:
            yield Difference(topic=topic, name=name, before=before, after=after)


def compare_tables(topic: Topic, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    """Compare two tables; a fact that one of them lacks is empty there."""
    for name in sorted({*before, *after}):
        left, right = before.get(name, ""), after.get(name, "")
        if left != right:
            yield Difference(topic=topic, name=name, before=left, after=right)


def compare_lists(topic: Topic, name: str, before: Iterable[str], after: Iterable[str]) -> Iterator[Difference]:
    """Compare two lists as sets, a difference for each text that only one of them has."""
    one, two = set(before), set(after)
    for text in sorted(one ^ two):
        yield Difference(topic=topic, name=name, before=text if text in one else "", after=text if text in two else "")


def direction(before: str, after: str) -> str:
    """Name a step back, which is seldom wanted (PEP 440 order; versions of another form have none)."""
    try:
        return "downgrade" if Version(after) < Version(before) else ""
    except InvalidVersion:
        return ""


def short(text: str) -> str:
    """Shorten a hash, and nothing else."""
    return text[:12] if len(text) in {40, 64} else text
