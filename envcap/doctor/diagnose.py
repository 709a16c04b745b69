"""Which files of a lock would not survive: every source is asked for each, and what it says is joined."""

import enum
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

from envcap.archives.access import RegionStream
from envcap.blobs import LockFolder, kept_hashes
from envcap.conda.channel import source_name
from envcap.digest import Digest
from envcap.doctor.findings import Diagnosis, Finding, Pinned, Problem, pinned_files
from envcap.doctor.presence import Answer, Presence, ask
from envcap.errors import ArchiveError, SystemPackageError
from envcap.lockfile.model import CAPTURED, Artifact, Source, SystemPackage
from envcap.pinned import PinnedArtifacts
from envcap.sources.conda_locator import CONDA_CHANNEL
from envcap.sources.debian_locator import locate_deb, locate_snapshot
from envcap.sources.debian_settings import DebianMirrors
from envcap.sources.fetch import SIMPLE_INDEX
from envcap.sources.locate import FilePlace, Refusal
from envcap.world import World

_AT_ONCE: Final = 8
_NO_MIRRORS: Final = DebianMirrors(main=())


def diagnose(folder: LockFolder, world: World, progress: Callable[[str, int, int], None]) -> Diagnosis:
    """Ask the sources of a lock for everything that does not lie with it.

    Args:
        folder: The lock.
        world: This machine; its session may ask the machine's Debian mirrors too.
        progress: Told of each file.
    """
    blobs = [_blob(sha256, size) for sha256, size in kept_hashes(folder.lockfile).items()]
    rows = [*pinned_files(folder.lockfile), *blobs]
    doctor = _Doctor(folder, world)
    findings: list[Finding] = []
    kept = 0
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            for number, (beside, found) in enumerate(pool.map(doctor.look, rows)):
                progress(rows[number].name, number + 1, len(rows))
                kept += beside is _Kept.WHOLE
                findings += [found] if found else []
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Diagnosis(files=len(rows), kept=kept, findings=tuple(findings))


class _Kept(enum.Enum):
    """How a file lies with the lock."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    ABSENT = "absent"


def _look_beside(folder: LockFolder, pinned: Pinned) -> _Kept:
    """Look for a file beside a lock, or in its bundle, and hash it: a rebuild would pass over a damaged one."""
    sha256, size = pinned.row.sha256, pinned.row.size
    found = _Kept.ABSENT
    for held in folder.held:
        if reader := held.reader(sha256):
            with RegionStream(reader, 0, reader.size) as stream:
                found = _compare(stream, sha256)  # type: ignore[arg-type]  # reads only
    if found is _Kept.WHOLE:
        return found
    path = folder.blobs / sha256
    try:
        if path.is_file():
            with path.open("rb") as file:
                found = _compare(file, sha256) if os.fstat(file.fileno()).st_size == size else _Kept.DAMAGED
    except (OSError, ArchiveError):
        return _Kept.DAMAGED
    return found


def _compare(stream: BinaryIO, sha256: str) -> _Kept:
    return _Kept.WHOLE if Digest.of_file(stream).hex == sha256 else _Kept.DAMAGED


def _blob(sha256: str, size: int) -> Pinned:
    file = f"blobs/sha256/{sha256}"
    return Pinned(name="", version="", row=Artifact(platform="", source=CAPTURED, file=file, size=size, sha256=sha256))


@dataclass(slots=True)
class _Said:
    """What all places said of one file, as messages may show it."""

    servers: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    yanked: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def add(self, answer: Answer, shown: str, *, local: bool) -> None:
        match answer.presence:
            case Presence.THERE:
                (self.folders if local else self.servers).append(shown)
            case Presence.ABSENT:
                self.absent.append(answer.said)
            case Presence.UNKNOWN:
                self.unknown.append(answer.said)


class _Doctor:
    def __init__(self, folder: LockFolder, world: World) -> None:
        self._folder = folder
        self._world = world
        self._sources: Mapping[str, Source] = {source.name: source for source in folder.lockfile.sources}
        pinned = PinnedArtifacts(world, sources=folder.lockfile.sources, blobs=folder.blobs)
        self._locators = pinned.locators
        self._mirrors = _mirrors(world)

    def look(self, pinned: Pinned) -> tuple[_Kept, Finding | None]:
        """Look for one file beside the lock, and ask the sources if it is not there; None: nothing is to be said."""
        beside = _look_beside(self._folder, pinned)
        if beside is _Kept.WHOLE:
            return beside, None
        found = self._ask(pinned)
        if found and found.problem is Problem.LOST and beside is _Kept.DAMAGED:
            found = replace(found, detail="damaged beside the lock, and nobody else has it")
        return beside, found

    def _ask(self, pinned: Pinned) -> Finding | None:
        row = pinned.row
        said = _Said()
        if isinstance(row, SystemPackage):
            if self._is_archived(row, said):
                return None
            self._ask_mirrors(row, said)
        elif row.source != CAPTURED:
            self._ask_places(row, said)
        problem = self._judge(row, said)
        return Finding(pinned=pinned, problem=problem[0], detail=problem[1]) if problem else None

    def _ask_places(self, row: Artifact, said: _Said) -> None:
        locator = self._locators.get(row.source) or self._locators[SIMPLE_INDEX]
        for place in locator.urls(row):
            match place:
                case Refusal():
                    (said.absent if place.absent else said.unknown).append(f"{place.shown}: {place.answer}")
                case FilePlace():
                    local = place.url.startswith("file:")
                    # A page that states the pinned hash of the file has said enough.
                    listed = Answer(presence=Presence.THERE) if place.hash_stated and not local else None
                    answer = listed or ask(place.url, size=row.size, session=self._world.session)
                    said.add(answer, place.shown, local=local)
                    said.yanked += [place.shown] if place.yanked and not local else []

    def _is_archived(self, row: SystemPackage, said: _Said) -> bool:
        source = self._sources.get(row.source)
        return self._any(locate_snapshot(row, mirrors=self._mirrors, source=source), row, _Said(unknown=said.unknown))

    def _ask_mirrors(self, row: SystemPackage, said: _Said) -> None:
        source = self._sources.get(row.source)
        archives = set(locate_snapshot(row, mirrors=self._mirrors, source=source))
        places = locate_deb(row, mirrors=self._mirrors, sources=self._sources.values())
        self._any((url for url in places if url not in archives), row, said)

    def _any(self, urls: Iterable[str], row: SystemPackage, said: _Said) -> bool:
        """Ask one address after the other until one has the file."""
        for url in urls:
            answer = ask(url, size=row.size, session=self._world.session)
            said.add(answer, answer.said, local=url.startswith("file:"))
            if answer.presence is Presence.THERE:
                return True
        return False

    def _judge(self, row: Artifact | SystemPackage, said: _Said) -> tuple[Problem, str] | None:
        here = said.folders or (["the store"] if self._stored(row) else [])
        if isinstance(row, SystemPackage) and said.servers:
            return Problem.NO_ARCHIVE, said.unknown[0] if said.unknown else "no snapshot archive is known or has it"
        servers = list(dict.fromkeys(said.servers))
        if not servers:
            # Who did not answer may have it all the same.
            problem = Problem.UNKNOWN if said.unknown else Problem.LOCAL if here else Problem.LOST
            words = said.unknown or [*(f"{place} has it" for place in here), *said.absent]
            return problem, "; ".join(words[:2]) or "not beside the lock"
        if said.yanked and set(servers) <= set(said.yanked):
            return Problem.YANKED, f"by {', '.join(dict.fromkeys(said.yanked))}"
        if len(servers) == 1 and self._is_private(row):
            return Problem.ONE_SOURCE, f"only {servers[0]} has it"
        return None

    def _is_private(self, row: Artifact | SystemPackage) -> bool:
        """Tell whether a file comes from somewhere else than the public archives that locks name without address."""
        if isinstance(row, SystemPackage):
            return False
        name = source_name(row.file.rsplit("/", 2)[0]) if row.source == CONDA_CHANNEL else row.source
        source = self._sources.get(name)
        return bool(row.url or (source and source.url))

    def _stored(self, row: Artifact | SystemPackage) -> bool:
        return self._world.store.blobs.has(Digest(row.sha256), size=row.size)


def _mirrors(world: World) -> DebianMirrors:
    try:
        return world.debian_mirrors()
    except SystemPackageError:
        return _NO_MIRRORS  # then only the lock's own snapshot archive is asked


def mirror_urls(world: World) -> Iterator[str]:
    """Yield the addresses of the machine's Debian mirrors, which a session must know to ask them."""
    mirrors = _mirrors(world)
    yield from (mirror.uri for mirror in (*mirrors.main, *mirrors.security))
    if mirrors.snapshot:
        yield mirrors.snapshot
