"""Having a pinned file in the store: as it is there, from beside the lock, or from a source by name and hash."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from envcap.archives.access import FileReader, RandomAccess
from envcap.archives.held import Held
from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import ArchiveError, DigestError, MissingArtifactError, SourceError
from envcap.lockfile.model import CAPTURED, Artifact
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.download import Sink, download
from envcap.sources.http import OFFLINE_HINT, Session
from envcap.sources.locate import FilePlace, Locator, Refusal
from envcap.sources.location import path_of_file_url
from envcap.sources.ranges import open_remote
from envcap.store.blobs import BlobStore

SIMPLE_INDEX: Final = "simple-index"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPlace:
    """A bundle that has a file of the right size.

    Attributes:
        reader: Its bytes, unchecked.
        shown: What messages may say of it.
    """

    reader: RandomAccess
    shown: str


class Fetcher:
    """Fetches pinned files, each once; safe to share between threads.

    Attributes:
        store: Where they go.
    """

    def __init__(
        self,
        store: BlobStore,
        session: Session,
        locators: Mapping[str, Locator],
        *,
        kinds: Mapping[str, str],
        blob_folders: Sequence[Path] = (),
        held: Sequence[Held] = (),
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            store: Where files go.
            session: Where servers are asked.
            locators: By kind of source: `simple-index`, `debian`, …
            kinds: Kind by the source's name, from the lock; sources not named there are simple indexes.
            blob_folders: Folders of files named by their hash, beside the lock.
            held: Bundles, asked first.
        """
        self.store = store
        self._session = session
        self._locators = locators
        self._kinds = kinds
        self._blob_folders = tuple(blob_folders)
        self._held = tuple(held)

    def fetch(self, artifact: Artifact, *, meter: Meter | None = None) -> Digest:
        """Have a file in the store.

        Args:
            artifact: What is pinned.
            meter: Counts what is received.

        Returns:
            Its digest: the name under which the store has it.

        Raises:
            MissingArtifactError: No source has it; the message says who was asked and what each answered.
            StoreError: The store can't be written.
        """
        digest = Digest(artifact.sha256)
        if self.store.has(digest, size=artifact.size):
            return digest
        refusals: list[Refusal] = []
        if self._take(artifact, self._places(artifact), refusals, meter or Meter()):
            return digest
        raise _missing(artifact, refusals, offline=self._session.offline)

    def fetch_kept(self, artifact: Artifact) -> bool:
        """Have a file in the store if it is there, in a bundle or beside the lock; tell whether it is now."""
        if self.store.has(Digest(artifact.sha256), size=artifact.size):
            return True
        return self._take(artifact, self._kept_places(artifact), [], Meter())

    def _take(
        self,
        artifact: Artifact,
        places: Iterator[FilePlace | HeldPlace | Refusal],
        refusals: list[Refusal],
        meter: Meter,
    ) -> bool:
        """Copy a file into the store from the first place that has it; the others say why not."""
        for place in places:
            if isinstance(place, Refusal):
                refusals.append(place)
                continue
            try:
                copy = partial(self._copy, place, artifact, meter)
                self.store.ensure(Digest(artifact.sha256), copy, size=artifact.size, check=True)
            except DigestError:
                refusals.append(Refusal(shown=place.shown, answer="sent bytes with another hash"))
            except SourceError as error:
                refusals.append(Refusal(shown=place.shown, answer=error.message))
            else:
                return True
        return False

    @contextmanager
    def reading(self, artifact: Artifact, *, tail: int) -> Iterator[RandomAccess]:
        """Open a file where it is, to look at parts of it: from a server, nothing else is fetched.

        Its hash was checked only if it lies in the store, so this is for showing, never for building.

        Args:
            artifact: What is pinned.
            tail: Bytes at the end that a server is first asked for.

        Raises:
            MissingArtifactError: No source has it.
        """
        digest = Digest(artifact.sha256)
        with ExitStack() as stack:
            if self.store.has(digest, size=artifact.size):
                yield stack.enter_context(FileReader(self.store.path(digest)))
                return
            refusals: list[Refusal] = []
            for place in self._places(artifact):
                if isinstance(place, Refusal):
                    refusals.append(place)
                    continue
                if isinstance(place, HeldPlace):
                    yield place.reader
                    return
                try:
                    opened = open_remote(self._session, place.url, tail=tail, meter=Meter(), size=artifact.size)
                    reader = stack.enter_context(opened)
                    if reader.size == artifact.size:
                        break
                    refusals.append(Refusal(shown=place.shown, answer="has another size"))
                except (SourceError, ArchiveError) as error:
                    refusals.append(Refusal(shown=place.shown, answer=error.message))
            else:
                raise _missing(artifact, refusals, offline=self._session.offline)
            yield reader

    def _kept_places(self, artifact: Artifact) -> Iterator[FilePlace | HeldPlace | Refusal]:
        for held in self._held:
            reader = held.reader(artifact.sha256)
            if reader is None or reader.size != artifact.size:
                yield Refusal(shown=held.shown, answer="has another size" if reader else "does not have it")
            else:
                yield HeldPlace(reader=reader, shown=held.shown)
        for folder in self._blob_folders:
            for path in (folder / artifact.sha256, folder / artifact.sha256[:2] / artifact.sha256):
                if path.is_file():
                    yield FilePlace(url=path.absolute().as_uri(), shown="the blobs beside the lock")

    def _places(self, artifact: Artifact) -> Iterator[FilePlace | HeldPlace | Refusal]:
        yield from self._kept_places(artifact)
        if artifact.source == CAPTURED:
            yield Refusal(shown="the blobs beside the lock", answer="do not have it; only they can")
            return
        locator = self._locators.get(self._kinds.get(artifact.source, SIMPLE_INDEX)) or self._locators[SIMPLE_INDEX]
        yield from locator.urls(artifact)

    def _copy(self, place: FilePlace | HeldPlace, artifact: Artifact, meter: Meter, sink: Sink) -> None:
        if isinstance(place, HeldPlace):
            _copy_held(place.reader, sink)
        elif place.url.startswith("file:"):
            _copy_file(path_of_file_url(place.url), sink, artifact.size)
        else:
            download(self._session, place.url, sink, size=artifact.size, meter=meter)


def _copy_held(reader: RandomAccess, sink: Sink) -> None:
    """Copy from a bundle; what its file lacks by now is found by the hash."""
    position = 0
    try:
        while chunk := reader.read_at(position, CHUNK_SIZE):
            position += len(chunk)
            sink.write(chunk)
    except ArchiveError as error:
        raise AnswerError(error.message, reason="unreachable") from error


def _copy_file(path: Path, sink: Sink, size: int) -> None:
    """Copy a file of this machine, as far as it has the right size."""
    try:
        with path.open("rb") as file:
            left = size
            while chunk := file.read(min(CHUNK_SIZE, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                sink.write(chunk)
    except OSError as error:
        raise AnswerError(f"can't be read: {error.strerror}", reason="unreachable") from error
    if left:
        raise AnswerError(f"has another size (expected {size} bytes)", reason="garbage")


def _missing(artifact: Artifact, refusals: list[Refusal], *, offline: bool) -> MissingArtifactError:
    asked = "; ".join(f"{refusal.shown}: {refusal.answer}" for refusal in refusals)
    hint = OFFLINE_HINT if offline else "name an index that has it with `--index`, or add a bundle"
    if artifact.source == CAPTURED:
        hint = "copy the lock's whole folder, with its `blobs`"
    return MissingArtifactError(
        f"Can't find {artifact.file} (sha256:{artifact.sha256}). The store: does not have it; {asked or 'nobody else'}",
        hint=hint,
    )
