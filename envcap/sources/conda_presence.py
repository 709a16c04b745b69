"""Asking channels whether they still have an archive: one byte of each is asked for, and nothing fetched.

What a channel has by name and size counts as had; a rebuild checks the hash. That a server has a file is remembered
for a while, so that a snapshot asks once, not each time.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol
from urllib.parse import quote

from envcap.digest import Digest
from envcap.environment import CondaRecord
from envcap.errors import SourceError
from envcap.sources.answer import Meter
from envcap.sources.conda_lookup import Channels
from envcap.sources.http import Session
from envcap.sources.location import path_of_file_url
from envcap.sources.ranges import IDENTITY
from envcap.store.actions import action_key

UNREACHED: Final = "can't be reached"
_REQUESTS: Final = 8
_REMEMBERED: Final = 14 * 24 * 3600
"""Seconds for which an answer is believed again."""

_HAS: Final = frozenset({200, 206})
_LACKS: Final = frozenset({404, 410})


class Memory(Protocol):
    """Remembers answers."""

    def get(self, key: Digest) -> dict[str, object] | None:
        """Recall a value, or None."""

    def put(self, key: Digest, value: Mapping[str, object]) -> None:
        """Remember a value."""


class ChannelPresence:
    """Asks the channels of some records."""

    def __init__(self, channels: Channels, session: Session, memory: Memory, *, now: int) -> None:
        """Prepare; nothing is asked yet.

        Args:
            channels: Where they are.
            session: Where servers are asked; offline none is, and each is taken to have what a record names.
            memory: Remembers which server had which file.
            now: Seconds since the epoch.
        """
        self._channels = channels
        self._session = session
        self._memory = memory
        self._now = now

    def find_lost(self, records: Sequence[CondaRecord]) -> dict[str, str]:
        """Find the packages that no channel has: by name, what the channels answered, in a clause."""
        urls = sorted({base for record in records for base in self._channels.addresses(record.channel)})
        seen = {base: self._recall(base) for base in urls}
        with ThreadPoolExecutor(_REQUESTS) as pool:
            answers = list(pool.map(lambda record: self._ask(record, seen), records))
        fresh: dict[str, dict[str, int]] = {}
        for record, (base, _) in zip(records, answers, strict=True):
            if base and not base.startswith("file:") and not self._session.offline:
                fresh.setdefault(base, {})[_place(record)] = seen[base].get(_place(record), self._now)
        for base, places in fresh.items():
            if places != seen[base]:
                self._memory.put(_key(base), {"seen": {**seen[base], **places}})
        return {record.name: said for record, (base, said) in zip(records, answers, strict=True) if not base}

    def _ask(self, record: CondaRecord, seen: Mapping[str, Mapping[str, int]]) -> tuple[str, str]:
        """Give the address that has an archive, or an empty one and what was answered."""
        said = []
        for base in self._channels.addresses(record.channel):
            if not base.startswith("file:") and (self._session.offline or _place(record) in seen[base]):
                return base, ""
            url = f"{base}/{record.subdir}/{quote(record.file, safe='!+')}"
            answer = _ask_folder(url, record.size) if base.startswith("file:") else self._ask_server(url, record.size)
            if not answer:
                return base, ""
            said.append(answer)
        return "", "; ".join(dict.fromkeys(said)) or "has no address"

    def _ask_server(self, url: str, size: int) -> str:
        """Tell why a server is not to be had the file from; empty if it is."""
        try:
            with self._session.open(url, headers={**IDENTITY, "Range": "bytes=0-0"}) as response:
                status = response.status_code
                length = response.headers.get("content-range", "").rpartition("/")[2]
                length = length if status == 206 else response.headers.get("content-length", "")  # noqa: PLR2004
                if status == 206:  # noqa: PLR2004 - its one byte is read, so that the connection can be used again
                    for _ in self._session.chunks(response, limit=1, meter=Meter()):
                        pass
        except SourceError:
            return UNREACHED
        if status in _LACKS:
            return "does not have it"
        if status not in _HAS:
            return f"answers {status}"
        return "has another file of that name" if size >= 0 and length.isdigit() and int(length[:19]) != size else ""

    def _recall(self, base: str) -> dict[str, int]:
        if base.startswith("file:"):
            return {}
        match self._memory.get(_key(base)):
            case {"seen": dict(rows)}:
                return {
                    str(place): int(when)
                    for place, when in rows.items()
                    if isinstance(when, int) and 0 <= self._now - when < _REMEMBERED
                }
            case _:
                return {}


def _ask_folder(url: str, size: int) -> str:
    try:
        found = path_of_file_url(url).stat().st_size
    except (OSError, SourceError):
        return "does not have it"
    return "has another file of that name" if size >= 0 and found != size else ""


def _place(record: CondaRecord) -> str:
    return f"{record.subdir}/{record.file}:{record.size}"


def _key(base: str) -> Digest:
    return action_key("conda-presence", {"channel": base})
