"""Bytes kept under the name of their sha256, in `blobs/sha256/ab/<hex>`.

The promise: a name in the store means that the bytes hash to it, and this is checked on every read into an
image or out to a user. Objects are never changed in place, and never linked into or out of the store (an
editor's write through a hard link would change the store: that is how uv's cache was poisoned,
`notes/security.md` T22). What fails the check is set aside in `quarantine/` and can be produced anew.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import DamagedObjectError, StoreError
from envcap.store.faults import explain_fault, faults_explained, show_path
from envcap.store.objects import FileIdentity, move_aside, open_object
from envcap.store.scratch import ScratchFile
from envcap.store.writer import BlobWriter

ALGORITHM: Final = "sha256"


class BlobStore:
    """The objects of one store. Safe to share between threads; processes need no coordination.

    Attributes:
        root: The store's folder, made by `open_store`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._scratch_folder = root / "tmp"
        self._guard = Lock()
        self._turns: dict[Digest, Lock] = {}
        self._checked: dict[Digest, FileIdentity] = {}
        self._used: set[Digest] = set()

    def path(self, digest: Digest) -> Path:
        """Tell where an object is or would be. Reading it there is reading unchecked bytes."""
        return self.root / "blobs" / ALGORITHM / digest.hex[:2] / digest.hex

    def size(self, digest: Digest) -> int | None:
        """Tell the size of an object in bytes, or None if there is none (a link is none).

        Raises:
            StoreError: The store can't be read.
        """
        path = self.path(digest)
        try:
            state = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain_fault(error, "read", path) from error
        return state.st_size if stat.S_ISREG(state.st_mode) else None

    def has(self, digest: Digest, *, size: int | None = None) -> bool:
        """Tell whether an object is there, and of the right size where it is known. Hashes nothing.

        Raises:
            StoreError: The store can't be read.
        """
        found = self.size(digest)
        return found is not None and (size is None or found == size)

    def open(self, digest: Digest) -> BinaryIO:
        """Open an object unchecked, for a reader that checks the bytes itself or doesn't let them out.

        Raises:
            StoreError: It is missing, unreadable, or something else stands in its place.
        """
        path = self.path(digest)
        try:
            return open_object(path)
        except FileNotFoundError as error:
            raise StoreError(
                f"Missing object {digest} in the store {show_path(self.root)}",
                hint="run the command again: it is fetched or built anew",
            ) from error
        except OSError as error:
            raise explain_fault(error, "read", path) from error

    def open_verified(self, digest: Digest) -> BinaryIO:
        """Open an object whose bytes were hashed by this instance; one pass of hashing per run.

        The bytes are hashed through the very file that is returned, so no swap of the path comes in between.

        Raises:
            StoreError: As `open`; or the bytes are not those of the digest, and were set aside.
        """
        file = self.open(digest)
        try:
            self._check(digest, file)
        except BaseException:
            file.close()
            raise
        return file

    def verified(self, digest: Digest) -> Path:
        """Hash an object once per instance and tell its path, for libraries that want a path.

        Threads that ask for the same object wait for one hashing; others go on. To overlap hashing with work,
        call it ahead from a thread (hashing releases the GIL). An object that changed since is hashed again.

        Raises:
            StoreError: As `open_verified`.
        """
        self.open_verified(digest).close()
        return self.path(digest)

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        """Copy an object out, hashing what is copied, each time.

        Raises:
            StoreError: As `open_verified`. The destination then holds wrong bytes: the caller discards them.
            OSError: The destination can't be written; it is the caller's, and so is the error.
        """
        path = self.path(digest)
        sha256 = hashlib.sha256()
        with self.open(digest) as file:
            self._mark(digest, file)
            with faults_explained("read", path):
                identity = FileIdentity.of_file(file)
            while chunk := self._read(file, path):
                sha256.update(chunk)
                destination.write(chunk)
        found = Digest(sha256.hexdigest())
        if found != digest:
            raise self._set_aside(digest, found, identity)
        self._checked[digest] = identity

    @contextmanager
    def writer(self, *, size: int | None = None, hashing: bool = True) -> Iterator[BlobWriter]:
        """Write a new object, which appears whole at its commit or not at all.

        Args:
            size: The size in bytes it will have, where known: told when the disk is full.
            hashing: Whether to hash what is written; without it only `commit_as` can publish.

        Raises:
            StoreError: The disk is full or fails.
        """
        with ScratchFile(self._scratch_folder, need=size) as scratch:
            yield BlobWriter(scratch, self._publish, hashing=hashing)

    def add_bytes(self, data: bytes) -> Digest:
        """Keep bytes. Raises as `writer` and `BlobWriter.commit`."""
        with self.writer(size=len(data)) as writer:
            writer.write(data)
            return writer.commit()

    def add_stream(self, file: BinaryIO, *, expected: Digest | None = None, size: int | None = None) -> Digest:
        """Keep what a file holds from its position to its end.

        Raises:
            DigestError: The bytes are not the expected ones.
            StoreError: The disk is full or fails.
            OSError: The file can't be read; it is the caller's, and so is the error.
        """
        with self.writer(size=size) as writer:
            while chunk := file.read(CHUNK_SIZE):
                writer.write(chunk)
            return writer.commit(expected)

    def add_file(self, path: Path, *, expected: Digest | None = None) -> Digest:
        """Keep a copy of a file; never a link to it.

        Raises:
            DigestError: The bytes are not the expected ones.
            StoreError: The file can't be read, or the disk is full or fails.
        """
        with faults_explained("read", path), path.open("rb") as file:
            return self.add_stream(file, expected=expected, size=os.fstat(file.fileno()).st_size)

    def ensure(
        self,
        digest: Digest,
        produce: Callable[[BlobWriter], None],
        *,
        size: int | None = None,
        check: bool = False,
    ) -> None:
        """Have an object in the store: as it is there, or produced.

        Args:
            digest: What must be there.
            produce: Writes the bytes; it doesn't commit.
            size: The size in bytes it must have, where known.
            check: Hash what is there (once per instance), and produce it anew if it is damaged.

        Raises:
            DigestError: What was produced is not it.
            StoreError: The disk is full or fails.
        """
        if self.has(digest, size=size) and not (check and self._is_damaged(digest)):
            return
        with self.writer(size=size) as writer:
            produce(writer)
            writer.commit(digest)

    def mark_used(self, digest: Digest) -> None:
        """Stamp an object as used now (its mtime), for the collector; once per instance, and only if it can."""
        with suppress(StoreError), self.open(digest) as file:
            self._mark(digest, file)

    def _is_damaged(self, digest: Digest) -> bool:
        try:
            self.verified(digest)
        except StoreError:
            # Missing by now, or wrong. If the store itself is unreadable, producing will tell.
            return True
        return False

    def _check(self, digest: Digest, file: BinaryIO) -> None:
        with self._guard:
            turn = self._turns.setdefault(digest, Lock())
        with turn:
            # Its stamp changes the file's identity: no other thread may read that before.
            self._mark(digest, file)
            with faults_explained("read", self.path(digest)):
                identity = FileIdentity.of_file(file)
                if self._checked.get(digest) == identity:
                    return
                found = Digest.of_file(file)
                file.seek(0)
            if found != digest:
                raise self._set_aside(digest, found, identity)
            # The state from before the hashing: what was changed during it is hashed again.
            self._checked[digest] = identity

    def _read(self, file: BinaryIO, path: Path) -> bytes:
        with faults_explained("read", path):
            return file.read(CHUNK_SIZE)

    def _mark(self, digest: Digest, file: BinaryIO) -> None:
        if digest in self._used:
            return
        self._used.add(digest)
        with suppress(OSError):  # somebody else's store, or a read-only one: it can be read all the same
            os.utime(file.fileno())

    def _publish(self, scratch: ScratchFile, digest: Digest, *, checked: bool) -> None:
        state = scratch.publish(self.path(digest))
        self._used.add(digest)  # its mtime is now
        if checked:
            self._checked[digest] = FileIdentity.of_state(state)

    def _set_aside(self, digest: Digest, found: Digest, identity: FileIdentity) -> DamagedObjectError:
        path = self.path(digest)
        self._checked.pop(digest, None)
        message = f"Unexpected bytes in {show_path(path)} (expected {digest}, found {found})"
        try:
            move_aside(path, self.root / "quarantine", inode=identity.inode)
        except OSError as error:
            fault = explain_fault(error, "set aside", path)
            return DamagedObjectError(
                f"{message}. {fault.message}", hint="remove this file, then run the command again"
            )
        hint = "run the command again: the damaged object was set aside and is fetched or built anew"
        return DamagedObjectError(message, hint=hint)
