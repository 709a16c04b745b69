"""A cache of parsed indexes in memory."""


class MemoryCache:
    """An index cache that lasts as long as the process."""

    def __init__(self) -> None:
        self._tables: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Recall a table, or None."""
        return self._tables.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Keep a table."""
        self._tables[key] = data
