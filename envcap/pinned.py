"""The bytes that a lock pins, in the store: fetched once, each from whoever has it, believed by their hash alone."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from envcap.archives.access import FileReader, RandomAccess
from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.interpreter import find_python_mirror, standalone_url
from envcap.interpreter.table import SOURCE as STANDALONE
from envcap.lock.debian_deb import OpenDeb
from envcap.lockfile.model import Artifact, CondaPackage, Source, SystemPackage
from envcap.plan import CondaLayer, InterpreterLayer, LayerPlan, PackagesLayer, SystemLayer, artifact_of
from envcap.secrets.urls import scrub_url
from envcap.sources.conda_locator import CONDA_CHANNEL, CondaLocator, conda_artifact
from envcap.sources.debian_locator import fetch_deb, locate_deb
from envcap.sources.fetch import SIMPLE_INDEX, Fetcher
from envcap.sources.index import IndexReader
from envcap.sources.locate import FilePlace, Locator, Refusal, SimpleLocator
from envcap.workers import worker_pool
from envcap.world import World

_DOWNLOADS = 8
_TAIL = 128 << 10
"""Bytes at a wheel's end that hold the central directory of all but the largest."""


class StandaloneLocator:
    """Finds archives of python-build-standalone: at this machine's mirror, else at the project's releases."""

    def __init__(self, mirror: str) -> None:
        self._mirror = mirror

    def urls(self, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
        """Yield the one place."""
        url = standalone_url(artifact.file, mirror=self._mirror)
        yield FilePlace(url=url, shown=scrub_url(url))


def deb_artifact(package: SystemPackage) -> Artifact:
    """Name an OS package as a pinned file."""
    return Artifact(
        platform=package.platform,
        source=package.source,
        file=package.file,
        size=package.size,
        sha256=package.sha256,
    )


class PinnedArtifacts:
    """Gives the pinned bytes of one lock; safe to share between threads.

    Attributes:
        locators: What knows where files may be, by kind of source.
    """

    def __init__(self, world: World, *, sources: Sequence[Source], blobs: Path | None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            world: This machine.
            sources: The lock's sources.
            blobs: The folder of bytes kept beside the lock, if there is one.
        """
        self._world = world
        self._sources = tuple(sources)
        self._blobs = blobs
        hints = {source.name: source.url for source in sources if source.url}
        locators: dict[str, Locator] = {
            SIMPLE_INDEX: SimpleLocator(IndexReader(world.session), hints),
            STANDALONE: StandaloneLocator(find_python_mirror(world.machine.environ)),
            CONDA_CHANNEL: CondaLocator(
                world.conda,
                {source.name: source.url for source in sources if source.kind == CONDA_CHANNEL},
                offline=world.machine.offline,
            ),
        }
        self.locators: Mapping[str, Locator] = locators
        self._fetcher = Fetcher(
            world.store.blobs,
            world.session,
            locators,
            kinds={STANDALONE: STANDALONE, CONDA_CHANNEL: CONDA_CHANNEL},
            blob_folders=[blobs] if blobs else [],
            held=world.held,
        )

    def artifact(self, artifact: Artifact) -> Path:
        """Fetch a wheel or an interpreter, and check its hash once per run."""
        digest = Digest(artifact.sha256)
        try:
            return self._world.store.blobs.verified(self._fetcher.fetch(artifact))
        except StoreError:
            # A damaged object was set aside by the check: fetch it anew, once.
            if self._world.store.blobs.has(digest):
                raise
            return self._world.store.blobs.verified(self._fetcher.fetch(artifact))

    def conda(self, package: CondaPackage) -> Path:
        """Fetch a conda package, and check its hash once per run."""
        return self.artifact(conda_artifact(package))

    def deb(self, package: SystemPackage) -> Path:
        """Fetch an OS package, and check its hash once per run."""
        blobs = self._world.store.blobs
        digest = Digest(package.sha256)
        if blobs.has(digest, size=package.size):
            try:
                return blobs.verified(digest)
            except StoreError:
                if blobs.has(digest):
                    raise
        if self._fetcher.fetch_kept(deb_artifact(package)):
            return blobs.verified(digest)
        urls = locate_deb(package, mirrors=self._world.debian_mirrors(), sources=self._sources)
        with tempfile.TemporaryFile(dir=self._world.store.root / "tmp") as file:
            fetch_deb(package, urls, transport=self._world.transport, file=file)
            file.seek(0)
            blobs.add_stream(file, expected=digest, size=package.size)
        return blobs.path(digest)

    def blob(self, sha256: str) -> Path:
        """Give bytes kept beside the lock, from the store."""
        size = self._kept_size(sha256)
        artifact = Artifact(platform="", source="captured", file=f"blob {sha256[:12]}", size=size, sha256=sha256)
        blobs = self._world.store.blobs
        if size < 0 and blobs.has(Digest(sha256)):
            return blobs.verified(Digest(sha256))
        return self.artifact(artifact)

    def _kept_size(self, sha256: str) -> int:
        for held in self._world.held:
            if reader := held.reader(sha256):
                return reader.size
        return (self._blobs / sha256).stat().st_size if self._blobs and (self._blobs / sha256).is_file() else -1

    def reading(self, artifact: Artifact) -> AbstractContextManager[RandomAccess]:
        """Open a wheel to look at parts of it; see `Fetcher.reading`."""
        return self._fetcher.reading(artifact, tail=_TAIL)

    def open_deb(self) -> OpenDeb:
        """Give a function that opens an OS package for reading."""

        @contextmanager
        def opened(package: SystemPackage) -> Iterator[RandomAccess]:
            with FileReader(self.deb(package)) as reader:
                yield reader

        return opened

    def prefetch(self, layers: Sequence[LayerPlan], progress: Callable[[str, int, int], None]) -> None:
        """Fetch everything that some layers need, many at a time.

        Raises:
            MissingArtifactError: A source does not have what the lock pins.
        """
        self._run([(name, job) for layer in layers for name, job in self._jobs(layer)], progress)

    def fetch_all(
        self, wanted: Sequence[tuple[str, Artifact | SystemPackage]], progress: Callable[[str, int, int], None]
    ) -> None:
        """Fetch pinned files, many at a time; those that the store has are neither read nor hashed.

        Args:
            wanted: What messages call each file, and what the lock says of it.
            progress: Told of each.

        Raises:
            MissingArtifactError: A source does not have what the lock pins.
        """
        blobs = self._world.store.blobs
        missing = [row for row in wanted if not blobs.has(Digest(row[1].sha256), size=row[1].size)]
        self._run(
            [
                (
                    name,
                    partial(self.deb, row) if isinstance(row, SystemPackage) else partial(self._fetcher.fetch, row),
                )
                for name, row in missing
            ],
            progress,
        )

    def _run(
        self, wanted: Sequence[tuple[str, Callable[[], object]]], progress: Callable[[str, int, int], None]
    ) -> None:
        with worker_pool(_DOWNLOADS) as pool:
            running = {pool.submit(job): name for name, job in wanted}
            for done, future in enumerate(as_completed(running)):
                future.result()
                progress(running[future], done + 1, len(wanted))

    def _jobs(self, layer: LayerPlan) -> Iterator[tuple[str, Callable[[], object]]]:
        match layer:
            case SystemLayer():
                for package in layer.packages:
                    if not self._world.store.blobs.has(Digest(package.sha256), size=package.size):
                        yield package.name, partial(self.deb, package)
            case InterpreterLayer():
                yield layer.artifact.file, partial(self._fetcher.fetch, layer.artifact)
            case CondaLayer():
                for conda in layer.packages:
                    yield conda.name, partial(self._fetcher.fetch, conda_artifact(conda))
            case PackagesLayer():
                for row in layer.packages:
                    yield row.name, partial(self._fetcher.fetch, artifact_of(row, layer.platform))
            case _:
                return
