"""Versions of drivers, toolkits and instruction sets: dotted numbers, compared number by number. Pure.

They are no PEP 440 versions: `580.65.06` has a leading zero, and `13.2` stands for every `13.2.x`.
"""

import re

Version = tuple[int, ...]

_DOTTED = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}", re.ASCII)


def parse_version(text: str) -> Version | None:
    """Read one to four dotted numbers; None for anything else."""
    return tuple(int(part) for part in text.split(".")) if _DOTTED.fullmatch(text) else None


def parse_major_minor(text: str) -> Version | None:
    """Read the first two numbers of a version, such as (13, 2) of `13.2.75`; a lone `12` is (12, 0)."""
    version = parse_version(".".join(text.split(".", 4)[:4]))
    return None if version is None else (*version, 0)[:2]


def dotted(version: Version) -> str:
    """Write a version; leading zeros are gone."""
    return ".".join(str(part) for part in version)


def two_components(text: str) -> str:
    """Shorten a driver's version to what tells drivers apart: `580.65` of `580.65.06`.

    Returns:
        The first two numbers without leading zeros, which is also what NVIDIA's container toolkit accepts in a
        requirement: it reads them by the rules of semantic versions, where `06` is an error. The text as it is if it
        is no version.
    """
    version = parse_version(text)
    return text if version is None else dotted(version[:2])


def same_release(one: str, other: str) -> bool:
    """Tell whether two versions agree as far as both go: `580.95` and `580.95.05` do."""
    first, second = parse_version(one), parse_version(other)
    if first is None or second is None:
        return one == other
    shared = min(len(first), len(second))
    return first[:shared] == second[:shared]
