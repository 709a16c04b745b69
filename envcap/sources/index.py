"""Asking an index for the files of a project: a page of a server, or a folder of this machine."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from envcap.sources.answer import AnswerError, Meter
from envcap.sources.http import Session
from envcap.sources.location import IndexLocation, ProjectFile, path_of_file_url
from envcap.sources.simple import ACCEPT, HTML_TYPES, everything, is_file_name, parse_page

MAX_PAGE: Final = 64 << 20
"""Bytes of a project page; the largest real ones have some 20 MB."""


class IndexReader:
    """Reads the pages of indexes; a find-links page is read once. Safe to share between threads.

    Attributes:
        session: Where servers are asked.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._flat: dict[str, tuple[ProjectFile, ...] | AnswerError] = {}
        self._lock = threading.Lock()

    def files(
        self,
        index: IndexLocation,
        project: str,
        *,
        meter: Meter,
        wanted: Callable[[str], bool] = everything,
    ) -> tuple[ProjectFile, ...]:
        """List the files of a project that an index has; none where it doesn't know the project.

        Args:
            index: Whom to ask.
            project: Name, in any spelling.
            meter: Counts what was received.
            wanted: Tells by its name whether a file is of interest. A find-links page holds files of all
                projects, so it must look at the project's name too.

        Raises:
            AnswerError: The index fails, refuses, or answers garbage.
        """
        if index.kind == "find-links":
            found: Iterator[ProjectFile] | tuple[ProjectFile, ...] = self._flat_files(index, meter)
            return tuple(file for file in found if wanted(file.filename))
        address = f"{index.url}/{canonicalize_name(project)}/"
        if index.is_local:
            return tuple(_local_files(path_of_file_url(address), address, index, wanted))
        try:
            return self._page(address, index, meter, wanted)
        except AnswerError as error:
            if error.is_absence:
                return ()
            raise

    def _page(
        self, url: str, index: IndexLocation, meter: Meter, wanted: Callable[[str], bool]
    ) -> tuple[ProjectFile, ...]:
        own = Meter()
        try:
            body = self.session.get(url, limit=MAX_PAGE, meter=own, headers={"Accept": ACCEPT})
        finally:
            meter.add_pages(own.received)
        return parse_page(body.data, body.content_type, url=body.url, index=index, wanted=wanted)

    def _flat_files(self, index: IndexLocation, meter: Meter) -> tuple[ProjectFile, ...]:
        """Read a find-links page once; its failure is remembered too, for every project would ask for it again."""
        with self._lock:
            found = self._flat.get(index.url)
            if found is None:
                try:
                    found = self._read_flat(index, meter)
                except AnswerError as error:
                    found = error
                self._flat[index.url] = found
        if isinstance(found, AnswerError):
            raise AnswerError(found.message, reason=found.reason, status=found.status, hint=found.hint)
        return found

    def _read_flat(self, index: IndexLocation, meter: Meter) -> tuple[ProjectFile, ...]:
        if index.is_local:
            return tuple(_local_files(path_of_file_url(index.url), index.url, index, everything))
        return self._page(index.url, index, meter, everything)


def _local_files(path: Path, url: str, index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    """Read a folder's `index.html`, as pip does, or list its files; a page or a single file may be named itself."""
    try:
        if path.is_dir():
            page = path / "index.html"
            rows = _local_page(page, url, index, wanted) if page.is_file() else _folder(path, index, wanted)
        elif path.suffix in {".html", ".htm"} and path.is_file():
            rows = _local_page(path, url, index, wanted)
        else:
            rows = _folder_rows([path] if path.is_file() else [], index, wanted)
        yield from rows
    except OSError as error:
        raise AnswerError(f"The local index can't be read: {error.strerror}", reason="unreachable") from error


def _local_page(page: Path, url: str, index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    with page.open("rb") as file:
        data = file.read(MAX_PAGE + 1)
    if len(data) > MAX_PAGE:
        raise AnswerError(f"The local index has a page of more than {MAX_PAGE} bytes", reason="too-large")
    base = page.as_uri() if not url.endswith("/") else url
    for file_row in parse_page(data, HTML_TYPES[1], url=base, index=index, wanted=wanted):
        local = file_row.local_path
        if local is None:
            yield file_row
        elif local.is_file():
            yield replace(file_row, size=local.stat().st_size)


def _folder(path: Path, index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    return _folder_rows(sorted(path.iterdir()), index, wanted)


def _folder_rows(paths: list[Path], index: IndexLocation, wanted: Callable[[str], bool]) -> Iterator[ProjectFile]:
    for path in paths:
        if is_file_name(path.name) and wanted(path.name) and path.is_file():
            yield ProjectFile(filename=path.name, url=path.absolute().as_uri(), size=path.stat().st_size, index=index)
