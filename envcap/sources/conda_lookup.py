"""Looking up what a record lacks in what channels say of their packages, so that no archive need be fetched for a hash.

Asked are, in this order: what an installer wrote down beside an unpacked package (`info/repodata_record.json`), the
lists that conda and mamba keep in a package cache (`cache/*.json`), and the channel's own list. Of a cache only a
row with the record's MD5 is believed: it does not say whose list it is.
Source: CEP 36 (repodata), conda's `gateways/repodata` (the cache) and `core/package_cache_data.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from envcap.conda.channel import archive_stem
from envcap.conda.repodata import RepodataRow, find_rows
from envcap.digest import CHUNK_SIZE
from envcap.environment import CondaRecord
from envcap.errors import EnvcapError, SourceError
from envcap.sources.conda_repodata import bounded, find_packages
from envcap.sources.debian_transport import Transport

_MOST_LISTS: Final = 64


class Channels(Protocol):
    """Knows where channels are."""

    def addresses(self, channel: str) -> Iterator[str]:
        """Yield the addresses of a channel, best first; they may hold tokens."""


def look_up_records(
    records: Sequence[CondaRecord], *, caches: Sequence[Path], channels: Channels, transport: Transport
) -> dict[str, RepodataRow]:
    """Look some records up; gives what was found, by the package's name.

    A row counts if it names the same package, version and build, and has the MD5 and the size that the record has.

    Args:
        records: Of packages whose archive has no sha256.
        caches: Package caches of this machine.
        channels: Where channels are.
        transport: Reads channels; what it raises is taken for an answer.
    """
    search = _Search(list(records), {})
    for cache in caches:
        search.take_noted(cache)
    for cache in caches:
        for path in _cached_lists(cache):
            search.take(search.with_md5(), _file_chunks(path))
    for channel, subdir in sorted({(record.channel, record.subdir) for record in search.left}):
        for base in channels.addresses(channel):
            own = [row for row in search.left if (row.channel, row.subdir) == (channel, subdir)]
            if own:
                search.ask(own, base, subdir, transport)
    return search.found


@dataclass(slots=True)
class _Search:
    """What is still looked for, and what was found."""

    left: list[CondaRecord]
    found: dict[str, RepodataRow]

    def with_md5(self) -> list[CondaRecord]:
        return [record for record in self.left if record.md5]

    def take_noted(self, cache: Path) -> None:
        """Take what an installer noted beside an unpacked package."""
        for record in self.with_md5():
            path = cache / archive_stem(record.file) / "info/repodata_record.json"
            if path.is_file():
                # One object, not a list of them: it is made one.
                note = (b'{"', record.file.encode(), b'":', *_file_chunks(path), b"}")
                self.take([record], note)

    def take(self, records: Iterable[CondaRecord], chunks: Iterable[bytes]) -> None:
        """Take what a list has of some records, if it can be read to where it must be."""
        wanted = {record.file: record for record in records}
        with suppress(EnvcapError):
            self._accept(wanted, find_rows(chunks, wanted))

    def ask(self, records: Iterable[CondaRecord], base: str, subdir: str, transport: Transport) -> None:
        """Take what a channel's folder has of some records, if it can be read."""
        wanted = {record.file: record for record in records}
        with suppress(EnvcapError):
            self._accept(wanted, find_packages(base, subdir, wanted, transport))

    def _accept(self, wanted: Mapping[str, CondaRecord], rows: Mapping[str, RepodataRow]) -> None:
        for file, row in rows.items():
            record = wanted[file]
            if _is_of(row, record) and record.name not in self.found:
                self.found[record.name] = row
        self.left = [record for record in self.left if record.name not in self.found]


def completed_by(record: CondaRecord, row: RepodataRow) -> CondaRecord:
    """Put the hash and size that a channel names into a record."""
    return replace(
        record, sha256=row.sha256, md5=record.md5 or row.md5, size=row.size if record.size < 0 else record.size
    )


def _is_of(row: RepodataRow, record: CondaRecord) -> bool:
    same = (row.name, row.version, row.build) == (record.name, record.version, record.build)
    has_md5 = not record.md5 or row.md5 == record.md5
    has_size = record.size < 0 or row.size < 0 or row.size == record.size
    has_sha256 = row.sha256 == record.sha256 if record.sha256 else bool(row.sha256)
    return same and has_md5 and has_size and has_sha256


def _cached_lists(cache: Path) -> list[Path]:
    """List the channels' lists in a package cache, the newest first; beside them lie small files of their state."""
    try:
        paths = [
            (path.stat().st_mtime_ns, path)
            for path in (cache / "cache").iterdir()
            if path.name.endswith(".json") and not path.name.endswith((".info.json", ".state.json")) and path.is_file()
        ]
    except OSError:
        return []
    return [path for _, path in sorted(paths, key=lambda row: (-row[0], row[1].name))[:_MOST_LISTS]]


def _file_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from bounded(iter(lambda: file.read(CHUNK_SIZE), b""), path.name)
    except OSError as error:
        raise SourceError(f"{path.name} can't be read: {error.strerror}") from None
