"""What a file of another tool asks for: nouns, and the checks that every reader of such a file makes.

The files are claims of somebody else: every name is checked before it becomes a path or an address, and nothing is
believed of a file but its hash.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from envcap.conda.channel import FILE, SUBDIR, channel_name, channel_url, split_url
from envcap.digest import is_sha256
from envcap.errors import LockfileError
from envcap.few import few

HINT = (
    "give an `@EXPLICIT` list (`conda list --explicit --sha256`), a `conda-lock.yml` of version 1, a `pixi.lock`, "
    "an `environment.yml` with exact builds, or a `pylock.toml`"
)
INSTALL_HINT = "install the file with the tool that wrote it, and take a snapshot of the environment"
MD5 = re.compile(r"[0-9a-f]{32}\Z")

_SHOWN = 5


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
        file: Name of the file where the URL does not end with it.
        path: Where it lies relative to the folder of the file that names it, or empty.
    """

    name: str
    url: str = field(repr=False)
    sha256: str = ""
    file: str = ""
    path: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChannel:
    """A channel that a file names.

    Attributes:
        name: What a lock calls it.
        url: Its scrubbed URL; empty where the file has the mere name.
    """

    name: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactSpec:
    """A conda package by name, version and build: which file of a channel that is, the channel's index tells.

    Attributes:
        name: Its name.
        version: Its version.
        build: Its build string.
        channel: Where it is, if the file says so for this package.
    """

    name: str
    version: str
    build: str
    channel: ListedChannel | None = None

    @property
    def files(self) -> tuple[str, str]:
        """Names of its archive, the better form first (conda: a `.conda` counts more than its `.tar.bz2`)."""
        stem = f"{self.name}-{self.version}-{self.build}"
        return f"{stem}.conda", f"{stem}.tar.bz2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPin:
    """A package of pip by name and version: which wheel that is, the configured indexes tell."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactEnvironment:
    """What an `environment.yml` asks for: exact, but without files and hashes.

    Attributes:
        channels: In the order in which they are asked.
        specs: Sorted by name.
        pins: Packages of pip, sorted by name.
        pip: Packages of pip that have an address, sorted by name.
        ignored: Keys of the file that say what a lock doesn't take, sorted.
    """

    channels: tuple[ListedChannel, ...]
    specs: tuple[ExactSpec, ...]
    pins: tuple[ExactPin, ...] = ()
    pip: tuple[ListedWheel, ...] = ()
    ignored: tuple[str, ...] = ()


def listed_package(url: str, *, md5: str, sha256: str, name: str) -> ListedPackage:
    """Check the address and the hashes of a conda package.

    Args:
        url: As the file has it.
        md5: As the file has it, or empty.
        sha256: As the file has it, or empty.
        name: The file's name, for messages.

    Raises:
        LockfileError: It is no address of a package, or has something else than hashes.
    """
    path = unquote(split_url(url).path)
    base, _, file = path.rpartition("/")
    subdir = base.rpartition("/")[2]
    if "://" not in url or not FILE.match(file) or not SUBDIR.match(subdir):
        raise LockfileError(
            f"{name}: {shown(url)} is no address of a conda package (expected CHANNEL/SUBDIR/FILE)", hint=HINT
        )
    if (md5 and not MD5.match(md5)) or (sha256 and not is_sha256(sha256)):
        raise LockfileError(f"{name}: the hash of {file} is none (expected MD5 or sha256)", hint=HINT)
    channel = channel_url(url)
    return ListedPackage(
        channel=channel_name(channel), channel_url=channel, subdir=subdir, file=file, md5=md5, sha256=sha256
    )


def check_listing(listing: Listing, *, name: str, subdir: str) -> Listing:
    """Refuse a listing without conda packages, for another platform, or with a package twice.

    Raises:
        LockfileError: It is such.
    """
    other = sorted({row.subdir for row in listing.packages} - {subdir, "noarch"})
    if other or not listing.packages:
        raise LockfileError(f"{name} holds {', '.join(other) or 'no'} packages (expected some for {subdir})", hint=HINT)
    times: set[str] = set()
    for row in listing.packages:
        project = row.file.rsplit("-", 2)[0]
        if project in times:
            raise LockfileError(f"{name} names {project!r} twice (expected each package once)", hint=HINT)
        times.add(project)
    return listing


def sorted_packages(packages: Iterable[ListedPackage]) -> tuple[ListedPackage, ...]:
    """Sort by file name."""
    return tuple(sorted(packages, key=lambda row: row.file))


def sorted_wheels(wheels: Iterable[ListedWheel]) -> tuple[ListedWheel, ...]:
    """Sort by name."""
    return tuple(sorted(wheels, key=lambda row: row.name))


def text_of(row: Mapping[object, object], key: str) -> str:
    """Give a text of a mapping; empty where there is none, or YAML's null."""
    value = row.get(key)
    return value if isinstance(value, str) and value not in {"~", "null"} else ""


def shown(url: str) -> str:
    """Show of an address what holds no secret: its last part."""
    return repr(split_url(url).path.rpartition("/")[2][:80] or "a line")


def named(names: Iterable[str]) -> str:
    """Name the first few of many things that may be called anything."""
    return few([repr(name[:80]) for name in names], _SHOWN)
