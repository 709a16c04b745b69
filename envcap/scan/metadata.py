"""Reads METADATA, PKG-INFO and WHEEL as leniently as their writers are careless.

Sources: PyPA core metadata and binary distribution format specifications. Only what identifies the distribution is
read: `packaging.metadata` refuses many real wheels (a `License-File` under Metadata-Version 2.1, say).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_~-]{0,127}\Z")
_EGG = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+?)(?:-py\d(?:\.\d+)?(?:-.+)?)?\Z")
_TAG = re.compile(r"[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\Z")
_MAX_NAME = 128
UNKNOWN_VERSION = "0+unknown"
"""Stands for a version that nothing states: lower than any, and plain to see (PEP 440, local versions)."""

_MAX_TAGS = 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """Name and version of a distribution; empty where they can't be told.

    Attributes:
        name: As written, if it is a valid name.
        version: As written, if it looks like a version (not only PEP 440: old packages predate it).
    """

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class WheelFacts:
    """What WHEEL says.

    Attributes:
        tags: Expanded, sorted.
        root_is_purelib: `Root-Is-Purelib`.
        bad_tags: Number of `Tag` lines that are no compatibility tags.
    """

    tags: tuple[str, ...]
    root_is_purelib: bool
    bad_tags: int


def parse_identity(text: str) -> Identity:
    """Read name and version from METADATA or PKG-INFO; what isn't valid counts as absent."""
    found: dict[str, str] = {}
    for key, value in _headers(text):
        if key in ("name", "version"):
            found.setdefault(key, value)
    name, version = found.get("name", ""), found.get("version", "")
    return Identity(
        name if _NAME.match(name) and len(name) <= _MAX_NAME else "", version if _VERSION.match(version) else ""
    )


def identity_of_folder(folder: str) -> Identity:
    """Tell name and version from `name-version.dist-info`, `.egg-info`, `.egg` or `.egg-link`; never empty names."""
    stem = folder.rpartition(".")[0]
    # An egg-link's name is the project's alone: in `my-project.egg-link` nothing is a version.
    match = None if folder.endswith(".egg-link") else _EGG.match(stem)
    name, version = (match["name"], match["version"]) if match else (stem, "")
    if not _NAME.match(name):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-") or "unknown"
    return Identity(name[:_MAX_NAME].rstrip("._-"), version if _VERSION.match(version) else "")


def parse_wheel(text: str) -> WheelFacts:
    """Read tags and root of WHEEL; compressed tag sets (`py2.py3-none-any`, PEP 425) are expanded."""
    tags: set[str] = set()
    purelib, bad = True, 0
    for key, value in _headers(text):
        if key == "root-is-purelib":
            purelib = value.lower() == "true"
        elif key == "tag":
            expanded = expand_tag(value)
            bad += not expanded
            tags.update(expanded[:_MAX_TAGS])
    return WheelFacts(tuple(sorted(tags)[:_MAX_TAGS]), purelib, bad)


def expand_tag(tag: str) -> list[str]:
    """Expand a compressed tag set; an empty list if it is none, or expands beyond reason."""
    if not _TAG.match(tag):
        return []
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    if len(pythons) * len(abis) * len(platforms) > _MAX_TAGS:
        return []
    return [f"{python}-{abi}-{platform}" for python in pythons for abi in abis for platform in platforms]


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """Yield the fields up to the first empty line, keys in lower case; continuation lines are left out."""
    for line in text.lstrip("\ufeff").split("\n"):
        if not line.strip("\r"):
            return
        key, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            yield key.strip().lower(), value.strip()
