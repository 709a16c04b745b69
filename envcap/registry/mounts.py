"""Which repositories of a registry have a blob, remembered by the store: it is mounted there instead of sent again.

The memory is a hint: a registry that doesn't have the blob there any more is sent it (distribution-spec 1.1, "Mounting
a blob from another repository").
"""

from contextlib import suppress
from typing import Final

from envcap.digest import Digest
from envcap.errors import UsageError
from envcap.registry.reference import check_repository
from envcap.store.actions import ActionCache, action_key

_KEPT: Final = 3
"""Repositories remembered of one blob: each that is asked in vain costs two requests."""


class MountMemory:
    """Remembers the newest repositories of each blob."""

    def __init__(self, actions: ActionCache, host: str) -> None:
        self._actions = actions
        self._host = host

    def find(self, digest: Digest) -> tuple[str, ...]:
        """Give repositories that had a blob, the newest first.

        Raises:
            StoreError: The store can't be read.
        """
        record = self._actions.get(self._key(digest))
        rows = record.get("repositories") if record else None
        found = []
        for row in rows if isinstance(rows, list) else []:
            with suppress(UsageError):
                check_repository(str(row))
                found.append(str(row))
        return tuple(found[:_KEPT])

    def note(self, digest: Digest, repository: str) -> None:
        """Remember that a repository has a blob.

        Raises:
            StoreError: The store can't be written.
        """
        known = self.find(digest)
        if repository not in known:
            # The blob itself may leave the store: what is known of the registry stays true.
            self._actions.put(self._key(digest), {"repositories": [repository, *known][:_KEPT]})

    def _key(self, digest: Digest) -> Digest:
        return action_key("pushed-blob", {"host": self._host, "blob": str(digest)})
