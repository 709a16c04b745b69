"""The files that lie with a lock in a registry, at hand for a rebuild: fetched when they are read, and hashed.

See `envcap.archives.held`: a registry that fails is one place fewer to ask, no reason to stop.
"""

from collections.abc import Callable

from envcap.archives.access import FileReader
from envcap.errors import ArchiveError, EnvcapError
from envcap.oci.image import Descriptor
from envcap.registry.connection import Connection
from envcap.registry.download import fetch_blob
from envcap.sharing.find import FoundLock
from envcap.store.blobs import BlobStore

OpenBlobs = Callable[[], BlobStore]
"""Opens the store when something is first fetched."""


class RegistryFiles:
    """The files of a lock in a registry, by hash; see `Held`. Safe to share between threads.

    Attributes:
        lock: The lock.
        connection: To its registry; whoever made it closes it.
    """

    def __init__(self, lock: FoundLock, connection: Connection, open_blobs: OpenBlobs) -> None:
        self.lock = lock
        self.connection = connection
        self._open_blobs = open_blobs

    @property
    def shown(self) -> str:
        """What messages may say of it."""
        return str(self.lock.reference.name)

    def reader(self, sha256: str) -> "RemoteFile | None":
        """Open the bytes that go by a sha256; see `Held`."""
        row = self.lock.layers.get(sha256)
        return RemoteFile(row, self._fetch) if row is not None else None

    def _fetch(self, row: Descriptor) -> FileReader:
        blobs = self._open_blobs()
        fetch_blob(self.connection, self.lock.reference.repository, row, blobs, count=lambda _count: None)
        return FileReader(blobs.path(row.digest))


class RemoteFile:
    """A file under random access that is fetched into the store, whole, when it is first read.

    Attributes:
        size: Length in bytes.
    """

    __slots__ = ("_fetch", "_row", "size")

    def __init__(self, row: Descriptor, fetch: Callable[[Descriptor], FileReader]) -> None:
        self._row = row
        self._fetch = fetch
        self.size = row.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer than `length` only at the end.

        Raises:
            ArchiveError: The registry doesn't give it, or the store can't take it.
        """
        try:
            with self._fetch(self._row) as reader:
                return reader.read_at(offset, length)
        except ArchiveError:
            raise
        except EnvcapError as error:
            raise ArchiveError(error.message, hint=error.hint) from None
