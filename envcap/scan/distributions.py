"""Reads every installed distribution's own statements: what it is, and which files it says are its.

Nothing is imported, nothing is trusted: a missing or damaged metadata file is a finding, and the distribution is
still there. Sources: PyPA "Recording installed projects", PEP 376, PEP 610, PEP 627.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from envcap.environment import DirectUrl, Distribution
from envcap.finding import FindingLevel
from envcap.scan.direct_url import parse_direct_url, project_name
from envcap.scan.entry_points import Scripts, parse_entry_points
from envcap.scan.files import Tree
from envcap.scan.metadata import Identity, WheelFacts, identity_of_folder, parse_identity, parse_wheel
from envcap.scan.reader import TreeReader
from envcap.scan.record import LIMIT, Base, Record, read_record

_METADATA_LIMIT = 256 << 10
_DIRECT_URL_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution with what it claims; which files are really there is for `envcap.scan.owners` to say.

    Attributes:
        distribution: `files` and `missing` are still empty.
        folders: Folders that are wholly its own: the metadata folder, an `.egg` folder.
        claims: Paths that it lists as its own.
        modules: Top-level module names, where nothing better says which files are its own.
    """

    distribution: Distribution
    folders: tuple[str, ...] = ()
    claims: frozenset[str] = field(default_factory=frozenset)
    modules: tuple[str, ...] = ()


def read_wheel_installs(reader: TreeReader, site: str, names: Sequence[str], roots: Sequence[str]) -> list[Installed]:
    """Read the `*.dist-info` folders among the `names` in the folder `site`.

    Args:
        reader: Reads the tree; findings gather in it.
        site: A site-packages folder, relative to the prefix.
        names: What lies directly in it.
        roots: Absolute names of the prefix, for absolute RECORD rows.
    """
    found: list[Installed] = []
    for name in names:
        folder = f"{site}/{name}"
        if name.endswith(".dist-info") and folder in reader.tree.folders and not name.startswith("~"):
            found.append(_read_dist_info(reader, folder, Base(folder=site, roots=roots, tree=reader.tree)))
    return found


def children(tree: Tree, folder: str) -> tuple[str, ...]:
    """Return the names of what lies directly in a folder of the tree, sorted."""
    start = len(folder) + 1
    inside = f"{folder}/"
    names = {path[start:] for path in tree.files if path.startswith(inside) and "/" not in path[start:]}
    names.update(path[start:] for path in tree.folders if path.startswith(inside) and "/" not in path[start:])
    return tuple(sorted(names))


def read_identity(reader: TreeReader, path: str, folder: str) -> Identity:
    """Read name and version from METADATA or PKG-INFO at `path`, with the folder's name to fall back on."""
    named = identity_of_folder(folder.rpartition("/")[2])
    text = reader.read_text(path, limit=_METADATA_LIMIT)
    if text is None:
        reader.note("metadata-missing", "It can't be read: name and version are taken from the folder's name", path)
        return named
    stated = parse_identity(text)
    if not stated.name or not stated.version:
        message = "It names no valid name and version: the folder's name is used instead"
        reader.note("metadata-invalid", message, path)
    elif named.version and canonicalize_name(stated.name) != canonicalize_name(named.name):
        reader.note("metadata-disagrees", "It names another distribution than its folder", path)
    return Identity(stated.name or named.name, stated.version or named.version)


def read_scripts(reader: TreeReader, path: str) -> Scripts:
    """Read an entry_points.txt; an absent one means no scripts."""
    scripts = parse_entry_points(reader.read_text(path) or "")
    if scripts.odd:
        reader.note("entry-point-invalid", f"{scripts.odd} lines name no usable script", path)
    return scripts


def note_record(reader: TreeReader, record: Record, path: str) -> None:
    """Turn what was odd about a RECORD into findings, one a kind."""
    if record.escapes:
        reader.note("record-escapes", f"{record.escapes} rows name files outside the environment: left out", path)
    if record.odd:
        reader.note("record-odd", f"{record.odd} rows hold no usable path: left out", path)
    if record.broken:
        reader.note("record-unreadable", f"Reading stopped after {len(record.rows)} rows: {record.broken}", path)
    if record.conflicts:
        message = f"{record.conflicts} rows name a file again with another hash: the first counts"
        reader.note("record-conflict", message, path, FindingLevel.NOTE)


def note_editable(reader: TreeReader, direct_url: DirectUrl, folder: str) -> None:
    """Say that a distribution's code lies elsewhere; the project's folder by its last name only."""
    name = project_name(direct_url) or "?"
    message = f"It is an editable install: its code lies in the project folder {name!r}, not in the environment"
    reader.note("editable", message, folder, FindingLevel.NOTE)


def _read_dist_info(reader: TreeReader, folder: str, base: Base) -> Installed:
    identity = read_identity(reader, f"{folder}/METADATA", folder)
    wheel = _read_wheel(reader, f"{folder}/WHEEL")
    direct_url = _read_direct_url(reader, f"{folder}/direct_url.json")
    if direct_url is not None and direct_url.kind == "editable":
        note_editable(reader, direct_url, folder)
    data = reader.read(f"{folder}/RECORD", limit=LIMIT)
    if data is None:
        reader.note(
            "record-missing", "Without it nothing says which files belong to the distribution", f"{folder}/RECORD"
        )
    record = read_record(data or b"", base)
    note_record(reader, record, f"{folder}/RECORD")
    distribution = Distribution(
        name=identity.name,
        version=identity.version,
        directory=folder,
        installer=_first_line(reader.read_text(f"{folder}/INSTALLER", limit=4096)),
        requested=f"{folder}/REQUESTED" in reader.tree.files,
        direct_url=direct_url,
        tags=wheel.tags,
        root_is_purelib=wheel.root_is_purelib,
        # uv writes it if, and only if, it built the wheel itself (`notes/capture.md` §3); pip leaves no such trace.
        built_from_source=f"{folder}/uv_build.json" in reader.tree.files,
        entry_points=read_scripts(reader, f"{folder}/entry_points.txt").entry_points,
        record=record.sorted_rows(),
    )
    modules = read_top_level(reader, folder) if data is None else ()
    return Installed(distribution=distribution, folders=(folder,), claims=frozenset(record.rows), modules=modules)


def _read_wheel(reader: TreeReader, path: str) -> WheelFacts:
    text = reader.read_text(path, limit=_METADATA_LIMIT)
    if text is None:
        reader.note("wheel-missing", "Without it the wheel's tags are unknown", path)
        return WheelFacts((), root_is_purelib=True, bad_tags=0)
    wheel = parse_wheel(text)
    if wheel.bad_tags:
        reader.note("wheel-invalid", f"{wheel.bad_tags} lines are no compatibility tags: left out", path)
    return wheel


def _read_direct_url(reader: TreeReader, path: str) -> DirectUrl | None:
    text = reader.read_text(path, limit=_DIRECT_URL_LIMIT)
    direct_url = parse_direct_url(text) if text is not None else None
    if text is not None and direct_url is None:
        reader.note(
            "direct-url-invalid", "It is not as PEP 610 wants it: where the distribution came from is unknown", path
        )
    return direct_url


def read_top_level(reader: TreeReader, folder: str) -> tuple[str, ...]:
    """Read top_level.txt (setuptools): module names, one a line."""
    lines = (reader.read_text(f"{folder}/top_level.txt", limit=64 << 10) or "").split()
    return tuple(sorted({line for line in lines if line.isidentifier()}))


def _first_line(text: str | None) -> str:
    line = (text or "").partition("\n")[0].strip()
    return line if line.isprintable() and len(line) <= 100 else ""  # noqa: PLR2004 - longer is no name of a tool
