"""Where a pinned file may be had: the configured indexes by name and hash, then the hints of a lock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from packaging.utils import canonicalize_name

from envcap.errors import SourceError
from envcap.lockfile.model import Artifact
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import Meter
from envcap.sources.index import IndexReader
from envcap.sources.location import IndexLocation, ProjectFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """A place that may have a file.

    Attributes:
        url: `https`, `http` or, on this machine, `file`; may hold a token.
        shown: What messages may say of it.
        hash_stated: Whether the place states the pinned hash for the file, so that a part of it may be believed.
        yanked: Whether the place says that the file should not be used any more (PEP 592).
    """

    url: str = field(repr=False)
    shown: str
    hash_stated: bool = False
    yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A place that was asked and does not have a file.

    Attributes:
        shown: Who was asked.
        answer: What it said, in one clause.
        absent: Whether it said that it does not have the file, rather than nothing.
    """

    shown: str
    answer: str
    absent: bool = False


class Locator(Protocol):
    """Knows where files of one kind of source may be."""

    def urls(self, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
        """Yield places one by one, best first, and who was asked in vain; asks only as far as it is read."""


class SimpleLocator:
    """Finds files on simple indexes, in find-links folders and by the hints of a lock.

    Attributes:
        reader: Reads the configured indexes.
        hints: URL of an index by the source's name, as the lock says.
    """

    def __init__(self, reader: IndexReader, hints: Mapping[str, str]) -> None:
        self.reader = reader
        self.hints = hints

    def urls(self, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
        """Yield the configured indexes' files of that name and hash, the artifact's own index first, then the hints."""
        configured = self.reader.session.settings.indexes
        for index in sorted(configured, key=lambda index: index.name != artifact.source):
            yield from self._ask(index, artifact)
        hint = self.hints.get(artifact.source, "")
        if hint and hint not in {scrub_url(index.url) for index in configured}:
            if hint.startswith("https://"):
                yield from self._ask(IndexLocation(name=artifact.source, url=hint.rstrip("/")), artifact)
            else:
                yield Refusal(shown=scrub_url(hint), answer="not asked: a lock may only name https")
        if artifact.url.startswith("https://"):
            yield FilePlace(url=artifact.url, shown=scrub_url(artifact.url))
        elif artifact.url:
            yield Refusal(shown=scrub_url(artifact.url), answer="not asked: a lock may only name https")

    def _ask(self, index: IndexLocation, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
        if self.reader.session.offline and not index.is_local:
            yield Refusal(shown=index.shown, answer="not asked (offline)")
            return
        try:
            files = self.reader.files(
                index, _project(artifact.file), meter=Meter(), wanted=lambda name: name == artifact.file
            )
        except SourceError as error:
            yield Refusal(shown=index.shown, answer=error.message)
            return
        right = [file for file in files if file.sha256 in {"", artifact.sha256}]
        for file in right:
            yield FilePlace(url=file.url, shown=index.shown, hash_stated=bool(file.sha256), yanked=file.yanked)
        if not right:
            yield Refusal(shown=index.shown, answer=_absence(files), absent=True)


def _absence(files: tuple[ProjectFile, ...]) -> str:
    return "has a file of that name with another hash" if files else "does not have it"


def _project(filename: str) -> str:
    """Take the project's name out of a file name (wheel, or source archive)."""
    name = filename.partition("-")[0] if filename.endswith(".whl") else filename.rpartition("-")[0]
    return canonicalize_name(name or filename)
