"""Reading what other tools lock conda environments in: `@EXPLICIT` lists and `conda-lock.yml` of version 1.

They are claims of somebody else: every name is checked before it becomes a path or an address, and nothing is believed
of a file but its hash.
Source: conda/ceps#79 (text spec input files), conda-lock 4.0 `lockfile/v1/models.py`. Files in the wild lack `optional`
and hold virtual packages (notes/capture.md §3), so that only what is needed is looked at.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from envcap.conda.channel import FILE, SUBDIR, channel_name, channel_url, split_url
from envcap.digest import is_sha256
from envcap.errors import LockfileError

_HINT = "give an `@EXPLICIT` list (`conda list --explicit --sha256`) or a `conda-lock.yml` of version 1"
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_PIP = re.compile(r"#\s*pip\s+(?P<name>[A-Za-z0-9._-]+)\s*@\s*(?P<url>\S+?)(?:#sha256=(?P<sha256>[0-9a-f]{64}))?\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPackage:
    """A conda package that a file names.

    Attributes:
        channel: Name of its channel.
        channel_url: Scrubbed URL of the channel.
        subdir: `linux-64`, `noarch`.
        file: Archive's file name.
        md5: Its MD5, or empty.
        sha256: Its sha256, or empty.
    """

    channel: str
    channel_url: str
    subdir: str
    file: str
    md5: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWheel:
    """A package that a file has pip install.

    Attributes:
        name: As the file has it.
        url: As the file has it, without fragment; may hold a token.
        sha256: Hash of the file, or empty.
    """

    name: str
    url: str = field(repr=False)
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a file asks for on one platform.

    Attributes:
        packages: Sorted by file name.
        pip: What it has pip install, sorted by name.
        left_out: Names of packages in other categories than `main`, sorted.
    """

    packages: tuple[ListedPackage, ...]
    pip: tuple[ListedWheel, ...] = ()
    left_out: tuple[str, ...] = ()


def read_listing(text: str, *, name: str, subdir: str) -> Listing:
    """Read a file.

    Args:
        text: What it holds.
        name: Its name, for messages.
        subdir: The platform that is wanted, such as `linux-64`.

    Raises:
        LockfileError: It is neither format, damaged, or for another platform.
    """
    lines = [line.strip() for line in text.splitlines()]
    listing = _explicit(lines, name) if "@EXPLICIT" in lines else _conda_lock(text, name, subdir)
    other = sorted({row.subdir for row in listing.packages} - {subdir, "noarch"})
    if other or not listing.packages:
        raise LockfileError(
            f"{name} holds {', '.join(other) or 'no'} packages (expected some for {subdir})", hint=_HINT
        )
    times: set[str] = set()
    for row in listing.packages:
        project = row.file.rsplit("-", 2)[0]
        if project in times:
            raise LockfileError(f"{name} names {project!r} twice (expected each package once)", hint=_HINT)
        times.add(project)
    return listing


def _explicit(lines: Iterable[str], name: str) -> Listing:
    packages, pip = [], []
    for line in lines:
        if match := _PIP.match(line):
            pip.append(ListedWheel(name=match["name"], url=match["url"], sha256=match["sha256"] or ""))
        elif line and line != "@EXPLICIT" and not line.startswith("#"):
            url, _, found = line.partition("#")
            found = found.removeprefix("sha256:")
            if found and not _MD5.match(found) and not is_sha256(found):
                raise LockfileError(f"{name}: {_shown(line)} ends with no hash (expected MD5 or sha256)", hint=_HINT)
            md5, sha256 = (found, "") if _MD5.match(found) else ("", found)
            packages.append(_package(url, md5, sha256, name))
    return Listing(packages=_sorted(packages), pip=tuple(sorted(pip, key=lambda row: row.name)))


def _conda_lock(text: str, name: str, subdir: str) -> Listing:
    import yaml  # noqa: PLC0415 - slow to load

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        document = None  # The parser's message repeats the line, which may hold a token.
    rows = document.get("package") if isinstance(document, Mapping) and document.get("version") == 1 else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise LockfileError(f"{name} is neither an `@EXPLICIT` list nor a `conda-lock.yml` of version 1", hint=_HINT)
    wanted = [row for row in rows if row.get("platform") == subdir and not _text(row, "name").startswith("__")]
    if not wanted:
        covered = sorted({_text(row, "platform") for row in rows})
        raise LockfileError(f"{name} covers {', '.join(covered) or 'no platform'} (expected {subdir})", hint=_HINT)
    main = [row for row in wanted if row.get("category", "main") == "main"]
    conda = [row for row in main if row.get("manager") == "conda"]
    packages = [_package(_text(row, "url"), _hash(row, "md5"), _hash(row, "sha256"), name) for row in conda]
    pip = [_wheel(row) for row in main if row.get("manager") != "conda"]
    left_out = {_text(row, "name") for row in wanted} - {_text(row, "name") for row in main}
    return Listing(
        packages=_sorted(packages),
        pip=tuple(sorted(pip, key=lambda row: row.name)),
        left_out=tuple(sorted(left_out)),
    )


def _package(url: str, md5: str, sha256: str, name: str) -> ListedPackage:
    path = unquote(split_url(url).path)
    base, _, file = path.rpartition("/")
    subdir = base.rpartition("/")[2]
    if "://" not in url or not FILE.match(file) or not SUBDIR.match(subdir):
        raise LockfileError(
            f"{name}: {_shown(url)} is no address of a conda package (expected CHANNEL/SUBDIR/FILE)", hint=_HINT
        )
    if (md5 and not _MD5.match(md5)) or (sha256 and not is_sha256(sha256)):
        raise LockfileError(f"{name}: the hash of {file} is none (expected MD5 or sha256)", hint=_HINT)
    channel = channel_url(url)
    return ListedPackage(
        channel=channel_name(channel), channel_url=channel, subdir=subdir, file=file, md5=md5, sha256=sha256
    )


def _wheel(row: Mapping[object, object]) -> ListedWheel:
    url, _, fragment = _text(row, "url").partition("#")
    return ListedWheel(
        name=_text(row, "name"), url=url, sha256=_hash(row, "sha256") or fragment.removeprefix("sha256=")
    )


def _sorted(packages: Iterable[ListedPackage]) -> tuple[ListedPackage, ...]:
    return tuple(sorted(packages, key=lambda row: row.file))


def _text(row: Mapping[object, object], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _hash(row: Mapping[object, object], key: str) -> str:
    table = row.get("hash")
    value = table.get(key) if isinstance(table, Mapping) else None
    return "" if value is None else str(value)  # one that YAML reads as a number is no hash, and not none either


def _shown(url: str) -> str:
    """Show of an address what holds no secret: its last part."""
    return repr(split_url(url).path.rpartition("/")[2][:80] or "a line")
