"""What a server answered, where it was not what was asked for; and how much was received. No httpx here."""

import threading
from typing import Final

from envcap.errors import SourceError

GONE: Final = frozenset({404, 410})
"""Statuses that say: there is no such thing here."""


class AnswerError(SourceError):
    """A server refused, answered garbage, or did not answer.

    Attributes:
        status: HTTP status, or 0 where there was no answer.
        reason: `status`, `unreachable`, `broken` (cut off or too slow), `garbage`, `too-large`, `refused` (by us).
    """

    def __init__(self, message: str, *, reason: str, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.status = status

    @property
    def is_absence(self) -> bool:
        """Tell whether the server said that it has no such thing."""
        return self.status in GONE


class Meter:
    """Counts the bytes received for one purpose; threads may share one.

    Attributes:
        received: All of them.
        pages: Those of project pages: what an index says, not what it serves.
    """

    def __init__(self) -> None:
        self.received = 0
        self.pages = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes."""
        with self._lock:
            self.received += count

    def add_pages(self, count: int) -> None:
        """Count bytes of project pages."""
        with self._lock:
            self.received += count
            self.pages += count
