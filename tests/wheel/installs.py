"""A wheel, its installation as pip, uv or `installer` leave it, and the two lists of entries that must be equal.

The live side is scanned by the real scan, compared by the real proof and locked by the real assembly; only the
interpreter's answer is made up.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envcap.archives.zip import open_zip
from envcap.build.arrange import arrange
from envcap.build.live import live_package_entries, spellings
from envcap.build.package import TREE_SUFFIX, package_entries
from envcap.entry import Entry, EntryKind
from envcap.environment import Distribution, Environment
from envcap.lock.assemble import LockedPackages, lock_packages
from envcap.lock.proof import Place, WheelContents, WheelMember, match_artifact, patches_of
from envcap.lock.pypi_live import LiveTree
from envcap.lock.pypi_result import ProofResult, Proven, Unproven
from envcap.lock.readable import as_readable
from envcap.lockfile.model import Artifact, Package
from envcap.scan.entry_points import parse_entry_points
from envcap.wheel.layout import dist_info_folder, install_path
from envcap.wheel.record import parse_record
from tests.archives.fakes import MemoryReader
from tests.lock.wheels import LAYOUT, SITE, row_hash
from tests.scan.env_builder import make_env, scan
from tests.wheel.members import PLAIN, Packing, pack
from tests.wheel.script_texts import PIP, script

PLATFORM = "linux/amd64"
_PLACEHOLDER = re.compile(rb"#!python[^\n]*\n?")

Facts = tuple[str, EntryKind, int, str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel, before it is packed."""

    name: str
    version: str
    members: Mapping[str, bytes]
    packing: Packing = PLAIN

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def dist_info(self) -> str:
        return dist_info_folder(list(self.members), project=self.name, archive=self.file)

    @property
    def data(self) -> bytes:
        return pack(self.members, self.packing)

    def contents(self) -> WheelContents:
        """What the proof sees of it."""
        archive = open_zip(MemoryReader(self.data), name=self.file)
        hashes = parse_record(self.members[f"{self.dist_info}/RECORD"])
        rows = [
            WheelMember(
                name=one.name,
                size=one.size,
                crc=one.crc,
                executable=bool(one.mode & 0o111),
                sha256=hashes.get(one.name, ""),
            )
            for one in archive.members
            if not one.is_directory
        ]
        return WheelContents(file=self.file, dist_info=self.dist_info, members=tuple(rows))


def make_wheel(
    files: Mapping[str, bytes],
    *,
    name: str = "demo",
    version: str = "1.0",
    spelled: str = "",
    entry_points: str = "",
    packing: Packing = PLAIN,
) -> Wheel:
    """Make a wheel of files; `spelled` is how its dist-info folder spells the name."""
    stem = f"{spelled or name}-{version}"
    info = f"{stem}.dist-info"
    members = {path.replace("@data", f"{stem}.data").replace("@info", info): data for path, data in files.items()}
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if entry_points:
        members[f"{info}/entry_points.txt"] = entry_points.encode()
    rows = "".join(f'"{path}",{row_hash(data)},{len(data)}\n' for path, data in members.items())
    members[f"{info}/RECORD"] = f"{rows}{info}/RECORD,,\n".encode()
    return Wheel(name=name, version=version, members=members, packing=packing)


def put(prefix: Path, path: str, data: bytes, *, executable: bool = False) -> None:
    """Write a live file."""
    place = prefix / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    place.write_bytes(data)
    place.chmod(0o755 if executable else 0o644)


def install(prefix: Path, wheel: Wheel, *, words: str = PIP, newline: str = "\r\n") -> None:
    """Install a wheel as its installers do; `words` are those of the installer's scripts."""
    info = wheel.dist_info
    python = f"{prefix}/bin/python"
    written: dict[str, bytes] = {}
    for member, data in wheel.members.items():
        where = install_path(member, layout=LAYOUT, dist_info=info, archive=wheel.file)
        body = _PLACEHOLDER.sub(f"#!{python}\n".encode(), data, count=1) if data[:8] == b"#!python" else data
        written[where.path] = body if where.is_script else data
        put(prefix, where.path, written[where.path], executable=member in wheel.packing.executable or where.is_script)
    text = wheel.members.get(f"{info}/entry_points.txt", b"").decode()
    for point in parse_entry_points(text).entry_points:
        written[f"bin/{point.name}"] = script(words, point.value, python)
        put(prefix, f"bin/{point.name}", written[f"bin/{point.name}"], executable=True)
    for name, data in (("INSTALLER", b"pip\n"), ("REQUESTED", b""), ("direct_url.json", b'{"url": "x"}')):
        written[f"{SITE}/{info}/{name}"] = data
        put(prefix, f"{SITE}/{info}/{name}", data)
    record = f"{SITE}/{info}/RECORD"
    written.pop(record)
    rows = [f'"{os.path.relpath(path, SITE)}",{row_hash(data)},{len(data)}' for path, data in written.items()]
    put(prefix, record, newline.join([*rows, f"{info}/RECORD,,", ""]).encode())


@dataclass(slots=True)
class Keeper:
    """Keeps bytes as the lock's folder does, and gives them back."""

    folder: Path
    archives: dict[str, bytes] = field(default_factory=dict)

    def capture(self, produce: Callable[[Callable[[bytes], object]], None]) -> tuple[str, int]:
        data = bytearray()
        produce(data.extend)
        sha256 = hashlib.sha256(data).hexdigest()
        self.archives[sha256] = bytes(data)
        return sha256, len(data)

    def keep(self, locked: LockedPackages) -> None:
        self.folder.mkdir(exist_ok=True)
        for sha256, content in locked.kept:
            data = b"".join(content.chunks())
            assert hashlib.sha256(data).hexdigest() == sha256
            assert len(data) == content.size
            (self.folder / sha256).write_bytes(data)

    def blob(self, sha256: str) -> Path:
        return self.folder / sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """The two sides of an image's packages, and the lock between them."""

    locked: LockedPackages
    live: list[Entry]
    rebuilt: list[Entry]
    keeper: Keeper

    @property
    def packages(self) -> tuple[Package, ...]:
        return self.locked.packages

    def paths(self) -> list[str]:
        return [entry.path.removeprefix("opt/env/") for entry in self.live]


def proof_of(environment: Environment, distribution: Distribution, wheel: Wheel) -> ProofResult:
    """Prove a distribution by its wheel, or say that it can't be."""
    site = distribution.directory.rpartition("/")[0]
    place = Place(layout=LAYOUT, site_packages=site, prefixes=spellings(environment.prefix))
    with_live = LiveTree(environment.prefix)
    match = match_artifact(
        distribution, wheel.contents(), place, live=with_live, read_member=lambda name: wheel.members[name]
    )
    if not match.is_accepted:
        return Unproven(distribution=distribution, reason="no-match", message="no wheel of the index is it")
    sha256 = hashlib.sha256(wheel.data).hexdigest()
    artifact = Artifact(platform=PLATFORM, source="pypi", file=wheel.file, size=len(wheel.data), sha256=sha256)
    files = {file.path: file for file in distribution.files}
    return Proven(distribution=distribution, artifact=artifact, patches=patches_of(match, files))


def both_sides(
    prefix: Path,
    wheels: Sequence[Wheel],
    folder: Path,
    *,
    prove: bool = True,
    complete: Callable[[Environment], Environment] = lambda environment: environment,
) -> Both:
    """Scan, prove (or capture) and lock an environment, and give its entries from both sides."""
    environment = complete(scan(prefix))
    by_name = {wheel.name: wheel for wheel in wheels}
    results: list[ProofResult] = [
        proof_of(environment, row, by_name[row.name])
        if prove
        else Unproven(distribution=row, reason="offline", message="nothing was asked")
        for row in environment.distributions
    ]
    results = list(as_readable(results, prefix=prefix))
    keeper = Keeper(folder)
    locked = lock_packages(environment, results, layout=LAYOUT, platform=PLATFORM, capture=keeper.capture)
    keeper.keep(locked)
    live: list[Entry] = []
    rebuilt: list[Entry] = []
    for package, distribution in zip(locked.packages, environment.distributions, strict=True):
        artifact = package.artifacts[0]
        data = keeper.archives[artifact.sha256] if artifact.source == "captured" else by_name[distribution.name].data
        archive = open_zip(MemoryReader(data), name=artifact.file)
        rebuilt += package_entries(archive, package, file=artifact.file, layout=LAYOUT, blobs=keeper)
        live += live_package_entries(
            distribution,
            prefix=prefix,
            left_out=frozenset(patch.path for patch in package.patches if patch.change == "deleted"),
            owner=package.name,
            is_tree=artifact.file.endswith(TREE_SUFFIX),
        )
    return Both(locked=locked, live=arrange(live), rebuilt=arrange(rebuilt), keeper=keeper)


def facts(entries: Sequence[Entry]) -> list[Facts]:
    """What two lists of entries are compared by: all that reaches a tar, and the owner, which names the RECORD.

    A hash that an entry brings must be that of its bytes.
    """
    found: list[Facts] = []
    for entry in entries:
        data = b"".join(entry.content.chunks())
        assert entry.sha256 in ("", hashlib.sha256(data).hexdigest())
        found.append((entry.path, entry.kind, entry.mode, f"{entry.target} {entry.owner}", data))
    return found


def new_env(folder: Path) -> Path:
    """An empty environment."""
    return make_env(folder)
