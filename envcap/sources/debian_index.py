"""The packages of one suite: `Packages.xz`, read once into a table, searched after that.

Only what resolving needs is kept (deb-control(5) for the fields, Debian wiki RepositoryFormat for the file).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from envcap.digest import is_sha256
from envcap.errors import SourceError
from envcap.sources.debian_table import Table

FORMAT: Final = "debian-packages-2"
"""Part of the cache key: a new meaning of the table's rows is a new format."""

_KEPT: Final = frozenset(
    (
        b"Packa",
        b"Sourc",
        b"Versi",
        b"Archi",
        b"Pre-D",
        b"Depen",
        b"Provi",
        b"Filen",
        b"Size:",
        b"SHA25",
        b"Prior",
        b"Essen",
    )
)
"""First bytes of the fields that are kept: a set look-up a line, since a suite has two million lines."""
_SEPARATOR: Final = b"\x1f"
_CONTINUED: Final = re.compile(rb"\n[ \t]+")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+~:-]{1,200}\Z")
_FILE: Final = re.compile(r"(?:[A-Za-z0-9_+~%:-][A-Za-z0-9._+~%:-]*/)+[A-Za-z0-9_+~%:-][A-Za-z0-9._+~%:-]*\.deb\Z")
_PARAGRAPH_LIMIT: Final = 1 << 20
_DEB_LIMIT: Final = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """One binary package of an index.

    Attributes:
        name: Binary package name.
        version: Debian version.
        architecture: `amd64`, `arm64` or `all`.
        source: Name of the source package it was built from.
        pre_depends: As written.
        depends: As written.
        provides: As written.
        file: Pool path.
        size: Bytes.
        sha256: Hash of the .deb.
        priority: `required`, `important`, `optional`, …
        suite: Codename with its pocket.
    """

    name: str
    version: str
    architecture: str
    source: str
    pre_depends: str = ""
    depends: str = ""
    provides: str = ""
    file: str
    size: int
    sha256: str
    priority: str = ""
    suite: str = ""


class PackageIndex:
    """The packages of one suite and architecture.

    Attributes:
        suite: Codename with its pocket.
    """

    def __init__(self, suite: str, data: bytes) -> None:
        self.suite = suite
        self._table = Table(data)

    def packages(self, name: str) -> tuple[DebianPackage, ...]:
        """Return the versions of a package, in no meaningful order."""
        return tuple(self._decode(name, value) for value in self._table.find(f"p {name}"))

    def providers(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the packages that provide a virtual one, with the version that they provide it in, or empty."""
        rows = (value.partition(" ")[::2] for value in self._table.find(f"v {name}"))
        return tuple(sorted(set(rows)))

    def library_packages(self, key: str) -> tuple[str, ...]:
        """Return the packages whose `library_key` is this."""
        return tuple(sorted(set(self._table.find(f"k {key}"))))

    def dependents(self, name: str) -> int:
        """Return how many dependencies of the suite name a package: what Debian itself builds against."""
        return self._table.count(rb"[ |]" + re.escape(name.encode()) + rb"(?=[ ,|(:\x1f\n])")

    def _decode(self, name: str, value: str) -> DebianPackage:
        fields = dict(line.partition(": ")[::2] for line in value.split(_SEPARATOR.decode()))
        return read_fields(fields, suite=self.suite, name=name)


def library_key(name: str) -> str:
    """Reduce a library package's name to what Debian's naming leaves free.

    Debian policy §8.1 names a library's package after its SONAME, but leaves hyphens to the maintainer
    (`libglib2.0-0` for `libglib-2.0.so.0`), and the 64-bit `time_t` transition of 2024 added `t64`.
    """
    return name.lower().removesuffix("t64").replace("-", "").replace("_", "")


def parse_packages(chunks: Iterable[bytes], *, architecture: str, where: str) -> bytes:
    """Turn an uncompressed `Packages` file into a table for `PackageIndex`.

    Paragraphs are kept as they are written and judged when they are looked up: few of a suite's 64,000 ever are.

    Args:
        chunks: Its bytes, in order.
        architecture: Packages of this architecture and of `all` are kept.
        where: The file's name for messages.

    Raises:
        SourceError: A paragraph is longer than any archive's.
    """
    fine = {f"Architecture: {architecture}".encode(), b"Architecture: all"}
    lines: list[bytes] = []
    for paragraph in _paragraphs(chunks, where):
        if b"\n " in paragraph:
            paragraph = _CONTINUED.sub(b" ", paragraph)  # noqa: PLW2901 - unfolded
        kept = [line for line in paragraph.split(b"\n") if line[:5] in _KEPT]
        if not fine.isdisjoint(kept):
            lines.extend(_rows(kept))
    lines.sort()
    return b"".join(lines)


def _rows(kept: list[bytes]) -> Iterator[bytes]:
    """Give the table's lines for one package: itself, what it provides, and its key if it is a library's."""
    name = provides = b""
    for line in kept:
        if line.startswith(b"Package: "):
            name = line[9:]
        elif line.startswith(b"Provides: "):
            provides = line[10:]
    yield b"p %s\t%s\n" % (name, _SEPARATOR.join(kept).replace(b"\t", b" "))
    if name.startswith(b"lib") and not name.endswith((b"-dev", b"-dbg", b"-doc")):
        yield b"k %s\t%s\n" % (library_key(name.decode("ascii", "replace")).encode(), name)
    for clause in provides.split(b",") if provides else ():
        virtual, _, version = clause.strip().partition(b" ")
        yield b"v %s\t%s %s\n" % (virtual, name, version.strip(b"()= "))


def read_fields(fields: Mapping[str, str], *, suite: str, name: str) -> DebianPackage:
    """Check and take over one paragraph of `Packages`.

    Args:
        fields: As written, unfolded.
        suite: The suite that it is of.
        name: The package that was asked for.

    Raises:
        SourceError: A field is missing or malformed: a path that leaves the archive, a weak hash.
    """
    version, file = fields.get("Version", ""), fields.get("Filename", "")
    size, sha256 = fields.get("Size", ""), fields.get("SHA256", "")
    for field, value, fine in (
        ("Package", fields.get("Package", ""), fields.get("Package") == name and _NAME.match(name)),
        ("Version", version, _VERSION.match(version)),
        ("Filename", file, _FILE.match(file)),
        ("Size", size, size.isdecimal() and len(size) < 12 and int(size) < _DEB_LIMIT),  # noqa: PLR2004 - 11 digits
        ("SHA256", sha256, is_sha256(sha256)),
    ):
        if not fine:
            raise SourceError(f"Unexpected {field} of package {name[:60]!r} in Debian {suite}: {value[:100]!r}")
    return DebianPackage(
        name=name,
        version=version,
        architecture=fields.get("Architecture", ""),
        source=fields.get("Source", name).partition(" ")[0],
        pre_depends=fields.get("Pre-Depends", ""),
        depends=fields.get("Depends", ""),
        provides=fields.get("Provides", ""),
        file=file,
        size=int(size),
        sha256=sha256,
        priority=fields.get("Priority", ""),
        suite=suite,
    )


def _paragraphs(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from whole
        if len(rest) > _PARAGRAPH_LIMIT:
            raise SourceError(f"Unexpected paragraph in {where}: longer than {_PARAGRAPH_LIMIT} bytes")
    if rest.strip():
        yield rest
