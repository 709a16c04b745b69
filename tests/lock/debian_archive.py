"""Builds a small Debian archive on disk: real .debs with real ELF files, indexes, Release files."""

import gzip
import hashlib
import io
import lzma
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import httpx

from envcap.archives.access import FileReader, RandomAccess
from envcap.errors import MissingArtifactError
from envcap.lock.debian_base import BASE
from envcap.lock.debian_deb import ReadDeb, make_deb_reader
from envcap.lockfile.model import SystemPackage
from envcap.sources.debian_archive import DebianAccess, DebianSuite, open_suite
from envcap.sources.debian_settings import DebianMirror, DebianMirrors
from envcap.sources.debian_signature import Runner
from envcap.sources.debian_table import IndexCache
from envcap.sources.debian_transport import MirrorTransport
from tests.sources.index_cache import MemoryCache

NOW = 1_700_000_000
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
MACHINES = {"amd64": 62, "arm64": 183}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """A package to build. `libraries`: sonames that it brings; `needed`: what each of them needs."""

    name: str
    version: str = "1.0-1"
    architecture: str = "amd64"
    source: str = ""
    pre_depends: str = ""
    depends: str = ""
    provides: str = ""
    priority: str = "optional"
    libraries: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    folder: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def pool_path(self) -> str:
        version = self.version.partition(":")[2] or self.version
        return f"pool/main/{self.name[0]}/{self.name}/{self.name}_{version}_{self.architecture}.deb"

    @property
    def members(self) -> dict[str, bytes]:
        base = "usr/lib/" + TRIPLETS.get(self.architecture, "")
        folder = f"{base}/{self.folder}" if self.folder else base
        elfs = {f"{folder}/{soname}": build_elf(soname, self.needed, self.architecture) for soname in self.libraries}
        return elfs | dict(self.files)

    @property
    def control(self) -> str:
        fields = {
            "Package": self.name,
            "Source": self.source,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "Nobody <nobody@example.org>",
            "Pre-Depends": self.pre_depends,
            "Depends": self.depends,
            "Provides": self.provides,
            "Priority": self.priority,
            "Description": "A package\n with two lines",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def build_elf(soname: str, needed: Sequence[str], architecture: str) -> bytes:
    """Build the least shared library that the dynamic loader would read: headers, dynamic section, strings."""
    strings = b"\0"
    tags: list[tuple[int, int]] = []
    for tag, name in [*((1, name) for name in needed), (14, soname)]:
        tags.append((tag, len(strings)))
        strings += name.encode() + b"\0"
    start = 64 + 2 * 56
    tags += [(5, start), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    size = start + len(strings) + len(dynamic)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, MACHINES[architecture], 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    place = start + len(strings)
    segment = struct.pack("<IIQQQQQQ", 2, 6, place, place, place, len(dynamic), len(dynamic), 8)
    return header + load + segment + strings + dynamic


def build_deb(deb: Deb) -> bytes:
    """Build a .deb of format 2.0."""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": _tar({"control": deb.control.encode()}),
        "data.tar.xz": _tar(deb.members),
    }
    data = b"!<arch>\n"
    for name, content in members.items():
        data += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", len(content))
        data += content + b"\n" * (len(content) % 2)
    return data


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in sorted(folders):
            info = tarfile.TarInfo(f"./{folder}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return lzma.compress(buffer.getvalue(), preset=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pocket:
    """One suite of the archive, such as `bookworm-security`."""

    suite: str
    debs: tuple[Deb, ...]
    date: int = NOW - 86400
    valid_until: int = 0
    origin: str = "Debian"
    codename: str = ""
    snapshots: str = ""
    by_hash: bool = False
    contents: bool = True


def build_archive(root: Path, *pockets: Pocket, architectures: Sequence[str] = ("amd64", "arm64")) -> str:
    """Write an archive, unsigned but in the form of a clearsigned one; return its address."""
    for pocket in pockets:
        for deb in pocket.debs:
            path = root / deb.pool_path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(build_deb(deb))
        _write_suite(root, pocket, architectures)
    return root.as_uri()


def _write_suite(root: Path, pocket: Pocket, architectures: Sequence[str]) -> None:
    folder = root / "dists" / pocket.suite
    files: dict[str, bytes] = {}
    for architecture in architectures:
        debs = [deb for deb in pocket.debs if deb.architecture in (architecture, "all")]
        packages = "\n".join(_paragraph(root, deb) for deb in debs)
        files[f"main/binary-{architecture}/Packages.xz"] = lzma.compress(packages.encode(), preset=0)
        if pocket.contents:
            files[f"main/Contents-{architecture}.gz"] = gzip.compress(_contents(debs), mtime=0)
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        if pocket.by_hash:
            twin = target.parent / "by-hash" / "SHA256" / hashlib.sha256(data).hexdigest()
            twin.parent.mkdir(parents=True, exist_ok=True)
            twin.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "InRelease").write_text(clearsign(release_text(pocket, files)))


def release_text(pocket: Pocket, files: Mapping[str, bytes]) -> str:
    """Write a Release file."""
    lines = [
        f"Origin: {pocket.origin}",
        f"Codename: {pocket.codename or pocket.suite}",
        f"Date: {formatdate(pocket.date, usegmt=True)}",
        *([f"Valid-Until: {formatdate(pocket.valid_until, usegmt=True)}"] if pocket.valid_until else []),
        *([f"Snapshots: {pocket.snapshots}"] if pocket.snapshots else []),
        f"Acquire-By-Hash: {'yes' if pocket.by_hash else 'no'}",
        "SHA256:",
        *(f" {hashlib.sha256(data).hexdigest()} {len(data):8} {path}" for path, data in sorted(files.items())),
    ]
    return "\n".join(lines) + "\n"


def clearsign(text: str) -> str:
    """Put a text in the form of a clearsigned one, with a signature that is none."""
    return (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        f"{text}-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    )


def _paragraph(root: Path, deb: Deb) -> str:
    data = (root / deb.pool_path).read_bytes()
    return f"{deb.control}Filename: {deb.pool_path}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"


def _contents(debs: Sequence[Deb]) -> bytes:
    lines = [f"{path:<60} libs/{deb.name}" for deb in debs for path in deb.members]
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def no_tools(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run nothing: a machine with neither gpgv nor sqv."""
    raise FileNotFoundError(command[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine whose only mirror is an archive on disk."""

    root: Path
    cache: IndexCache = field(default_factory=MemoryCache)
    run: Runner = no_tools
    opened: list[str] = field(default_factory=list)

    @property
    def mirrors(self) -> DebianMirrors:
        mirror = DebianMirror(uri=self.root.as_uri())
        return DebianMirrors(main=(mirror,), security=(mirror,))

    def open(self, suite: str = "bookworm", architecture: str = "amd64") -> DebianSuite:
        with httpx.Client() as client:
            access = DebianAccess(
                mirrors=self.mirrors, transport=MirrorTransport(client), cache=self.cache, run=self.run, now=NOW
            )
            return open_suite(access, suite, architecture)

    @property
    def read_deb(self) -> ReadDeb:
        @contextmanager
        def open_deb(package: SystemPackage) -> Iterator[RandomAccess]:
            self.opened.append(package.name)
            path = self.root / package.file
            if not path.is_file():
                raise MissingArtifactError(f"No source has {package.name}")
            with FileReader(path) as reader:
                yield reader

        return make_deb_reader(open_deb, self.cache)


def base_debs(*, glibc: str = "2.36-9", architecture: str = "amd64") -> tuple[Deb, ...]:
    """Give what every image is made of, small: the base set and what it depends on."""
    special = {
        "libc6": Deb(
            name="libc6",
            version=glibc,
            source="glibc",
            depends="libgcc-s1",
            architecture=architecture,
            libraries=("libc.so.6", "libm.so.6"),
        ),
        "tzdata": Deb(name="tzdata", architecture="all", depends="debconf (>= 0.5) | debconf-2.0"),
        "bash": Deb(name="bash", architecture=architecture, pre_depends="libc6 (>= 2.36)", depends="base-files"),
        "base-files": Deb(name="base-files", architecture=architecture, pre_depends="awk"),
    }
    rest = [special.get(name, Deb(name=name, architecture=architecture, depends="libc6")) for name in BASE]
    return (
        *rest,
        Deb(name="libgcc-s1", architecture=architecture, depends="libc6", libraries=("libgcc_s.so.1",)),
        Deb(name="mawk", architecture=architecture, provides="awk", priority="required"),
        Deb(name="gawk", architecture=architecture, provides="awk"),
        Deb(name="debconf", architecture="all", depends="perl-base"),
        Deb(name="perl-base", architecture=architecture),
    )


GL = (
    Deb(
        name="libgl1",
        source="libglvnd",
        depends="libc6, libglvnd0 (= 1.0-1), libglx0 (= 1.0-1)",
        libraries=("libGL.so.1",),
        needed=("libGLdispatch.so.0", "libGLX.so.0", "libc.so.6"),
    ),
    Deb(name="libglvnd0", source="libglvnd", depends="libc6", libraries=("libGLdispatch.so.0",)),
    Deb(
        name="libglx0",
        source="libglvnd",
        depends="libglx-mesa0, libx11-6, libglvnd0 (= 1.0-1)",
        libraries=("libGLX.so.0",),
        needed=("libX11.so.6", "libGLdispatch.so.0"),
    ),
    Deb(name="libglx-mesa0", source="mesa", depends="libllvm15", libraries=("libGLX_mesa.so.0",)),
    Deb(name="libllvm15", source="llvm", libraries=("libLLVM-15.so.1",)),
    Deb(name="libx11-6", source="libx11", depends="libx11-data", libraries=("libX11.so.6",)),
    Deb(name="libx11-data", source="libx11", architecture="all"),
)
"""What libGL.so.1 brings along, as in Debian: its drivers only by a dependency, not by need."""
