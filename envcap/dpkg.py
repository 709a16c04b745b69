"""Reads dpkg's own files: which installed package owns a file, and what it was when it was unpacked.

Read directly, since `dpkg-query` would be started for nothing else and needs dpkg to be there.
Source: dpkg(1), FILES; deb-md5sums(5); Debian policy, section 5.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DPKG_ROOT = Path("/var/lib/dpkg")
_SMALL = 1 << 20
_LARGEST_LIST = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DpkgPackage:
    """An installed package, as far as it lies in the folders that were asked for.

    Attributes:
        name: Binary package.
        version: Debian version.
        paths: What it owns there, absolute, folders included.
        md5: MD5 of files as they were unpacked, by absolute path; not every file has one.
    """

    name: str
    version: str
    paths: frozenset[str]
    md5: Mapping[str, str] = field(default_factory=dict)


def read_dpkg(root: Path, folders: Sequence[str]) -> tuple[DpkgPackage, ...]:
    """Find the installed packages that own something below some folders, sorted by name.

    Args:
        root: dpkg's administrative folder.
        folders: Absolute paths.
    """
    starts = tuple(f"{folder}/" for folder in folders)
    needles = tuple(start.encode() for start in starts)
    installed: dict[tuple[str, str], str] | None = None
    found: list[DpkgPackage] = []
    diverted = _read_diverted(root)
    for file in sorted(root.glob("info/*.list")):
        data = _read_bytes(file)
        if not any(needle in data for needle in needles):
            continue
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        paths = frozenset(line for line in lines if line.startswith(starts)) - diverted
        name, _, architecture = file.name.removesuffix(".list").partition(":")
        if installed is None:
            installed = _read_installed(root)
        version = installed.get((name, architecture))
        if paths and version is not None:
            md5 = _read_md5(file.with_suffix(".md5sums"), paths)
            found.append(DpkgPackage(name=name, version=version, paths=paths, md5=md5))
    return tuple(found)


def read_status(status: Path) -> Iterator[dict[str, str]]:
    """Yield the one-line fields of each stanza (Debian policy, section 5.1)."""
    fields: dict[str, str] = {}
    try:
        with status.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    yield fields
                    fields = {}
                elif not line[0].isspace():
                    key, _, value = line.partition(":")
                    fields[key] = value.strip()
    except OSError:
        return
    yield fields


def parse_os_release(text: str) -> dict[str, str]:
    """Read `/etc/os-release` (os-release(5))."""
    rows = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in rows}


def read_small(file: Path) -> str:
    """Read a small text; empty if it can't be read."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_SMALL)
    except OSError:
        return ""


def _read_installed(root: Path) -> dict[tuple[str, str], str]:
    """Read the versions of installed packages, by name and architecture, and by name alone."""
    found: dict[tuple[str, str], str] = {}
    for fields in read_status(root / "status"):
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields.get("Package", ""), fields.get("Version", "")
            found[name, fields.get("Architecture", "")] = found[name, ""] = version
    return found


def _read_md5(file: Path, paths: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _read_bytes(file).decode("utf-8", "surrogateescape").split("\n"):
        digest, _, path = line.partition("  ")
        if f"/{path}" in paths:
            found[f"/{path}"] = digest
    return found


def _read_diverted(root: Path) -> frozenset[str]:
    """Read the paths that some package moved aside: what lies there is not of the package that lists them."""
    return frozenset(_read_bytes(root / "diversions").decode("utf-8", "surrogateescape").split("\n")[::3])


def _read_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST_LIST)
    except OSError:
        return b""
