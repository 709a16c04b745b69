"""Blobs to a registry: not sent if it has them, mounted if another repository has, else streamed and resumable.

A small blob is one PUT. A large one goes in chunks, each to the newest place that the registry gave (an older one is
refused); what broke off goes on from where the registry says that it stands. (docker-registry 2.8 goes on after whole
chunks only: a chunk that broke off makes it refuse the upload, "resumed at wrong offset", and the blob begins anew.)
Bytes are hashed once, as they are sent, and the last of them is held back until the digest is right: a damaged file is
never published.
Source: OCI distribution-spec 1.1, "Pushing a blob in chunks", "Pushing a blob monolithically", "Mounting a blob".
"""

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from envcap.errors import DigestError, RegistryError
from envcap.oci.image import Descriptor
from envcap.registry.answer import NOT_FOUND, RegistryAnswerError
from envcap.registry.auth import Scope, pull_scope, push_scope
from envcap.registry.connection import COMMIT_TIMEOUT, TRIES, Connection
from envcap.registry.download import Count
from envcap.registry.hashed_file import HashedFile
from envcap.registry.journal import NoJournal, UploadJournal
from envcap.registry.manifests import DIGEST_HEADER
from envcap.registry.request import Payload

PART_SIZE: Final = 64 << 20
"""Bytes of a chunk: what is sent again at most after a break; registries on object storage refuse less than 5 MiB."""
MAX_PART_SIZE: Final = 1 << 30
_PART_TIMEOUT: Final = 120.0
"""Seconds for an answer to a chunk: a registry on object storage hands it on first."""

_RANGE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,15})\Z")
_RANGE_REFUSED: Final = 416
_CREATED: Final = 201
_ACCEPTED: Final = 202
_NO_CHUNKS: Final = frozenset({400, 404, 405, 411, 413, 416, 501})
"""What registries that know no chunks answer to one."""


class Outcome(enum.Enum):
    """How a blob came to be in a repository."""

    PRESENT = "present"
    MOUNTED = "mounted"
    SENT = "sent"


def has_blob(connection: Connection, repository: str, descriptor: Descriptor) -> bool:
    """Tell whether a repository has a blob, of the right size; its bytes are checked when they are read.

    Raises:
        RegistryAnswerError: The registry doesn't answer.
    """
    path = f"/v2/{repository}/blobs/{descriptor.digest}"
    accept = (200, NOT_FOUND)
    with connection.open("HEAD", path, scope=pull_scope(repository), accept=accept) as response:
        size = response.headers.get("content-length", str(descriptor.size))
        return response.status_code != NOT_FOUND and size == str(descriptor.size)


def upload_blob(
    connection: Connection,
    repository: str,
    descriptor: Descriptor,
    open_blob: Callable[[], BinaryIO],
    *,
    mounts: Sequence[str] = (),
    journal: UploadJournal | None = None,
    part_size: int = PART_SIZE,
    count: Count,
) -> Outcome:
    """Have a blob in a repository.

    Args:
        connection: To the registry.
        repository: Name below it.
        descriptor: Digest and size of the blob.
        open_blob: Opens its bytes, seekable.
        mounts: Repositories of the same registry that may have it.
        journal: Where unfinished uploads are kept for another run, or None.
        part_size: Bytes of a chunk; blobs up to this size are sent at once.
        count: Told of bytes as they are sent; those that are skipped or sent again count as well, negative if need be.

    Raises:
        DigestError: The bytes aren't those of the digest; nothing was published.
        RegistryAnswerError: The registry refuses, or doesn't answer.
        RegistryError: It says that it has other bytes.
    """
    if has_blob(connection, repository, descriptor):
        count(descriptor.size)
        return Outcome.PRESENT
    upload = _Upload(connection, repository, descriptor, journal or NoJournal(), count)
    if upload.recall():
        pass
    elif upload.mount(mounts):
        count(descriptor.size)
        return Outcome.MOUNTED
    with open_blob() as file:
        upload.send(HashedFile(file, descriptor), part_size)
    if not has_blob(connection, repository, descriptor):
        # docker-registry 2.8 answers 201 and keeps a file of another size that lay there damaged.
        raise RegistryError(
            f"{connection.host} took the blob {descriptor.digest} and doesn't have it in {repository}",
            hint="the registry's storage is damaged: ask its administrator, or publish to another registry",
        )
    return Outcome.SENT


class _Upload:
    """One upload: where it stands, and where to send what follows."""

    def __init__(
        self, connection: Connection, repository: str, descriptor: Descriptor, journal: UploadJournal, count: Count
    ) -> None:
        self._connection = connection
        self._repository = repository
        self._descriptor = descriptor
        self._journal = journal
        self._count = count
        self._name = f"{connection.host}/{repository}"
        self._scope: Scope = push_scope(repository)
        self._place = ""
        self._offset = 0
        self._counted = 0
        self._least = 0

    def recall(self) -> bool:
        """Go on with an upload of an earlier run, if the registry still knows it."""
        self._place = self._journal.recall(self._name, self._descriptor.digest)
        if not self._place:
            return False
        try:
            self._ask_where()
        except RegistryError:
            self._place = ""
        if not self._place:
            self._journal.forget(self._name, self._descriptor.digest)
        return bool(self._place)

    def mount(self, sources: Sequence[str]) -> bool:
        """Ask for the blob of another repository; where none has it, an upload was begun."""
        for source in sources:
            if source == self._repository:
                continue
            query = f"?mount={self._descriptor.digest}&from={source}"
            try:
                if self._begin(query, push_scope(self._repository, source)) == _CREATED:
                    return True
            except RegistryAnswerError as error:
                if error.is_transient:
                    raise
                continue  # no right to read there, or no mounting here
            self._cancel()
        return False

    def send(self, file: HashedFile, part_size: int) -> None:
        """Send what the registry hasn't, and commit it."""
        in_parts = self._descriptor.size > part_size
        failures, furthest = 0, -1
        while True:
            try:
                if not self._place:
                    self._offset = 0
                    self._begin("", self._scope)
                if in_parts:
                    self._send_parts(file, min(max(part_size, self._least), MAX_PART_SIZE))
                    self._commit(None)
                else:
                    self._offset = 0
                    self._commit(Payload(size=file.size, chunks=partial(self._part, file, 0, file.size)))
            except RegistryAnswerError as error:
                failures = 0 if self._offset > furthest else failures + 1
                furthest = max(furthest, self._offset)
                if in_parts and not self._offset and error.status in _NO_CHUNKS and not failures:
                    in_parts, self._place = False, ""
                    continue
                if not self._may_go_on(error) or failures >= TRIES - 1:
                    self._give_up(error)
                    raise
                self._connection.pause(failures, error.retry_after)
                if self._is_there():
                    break
                self._find_out(in_parts=in_parts)
            except DigestError:
                self._cancel()
                self._journal.forget(self._name, self._descriptor.digest)
                raise
            else:
                break
        self._recount(self._descriptor.size)
        self._journal.forget(self._name, self._descriptor.digest)

    def _send_parts(self, file: HashedFile, part_size: int) -> None:
        while self._offset < file.size:
            end = min(self._offset + part_size, file.size)
            start = self._offset
            with self._connection.open(
                "PATCH",
                self._place,
                scope=self._scope,
                accept=(_ACCEPTED, 204, _CREATED),
                headers={"Content-Range": f"{start}-{end - 1}"},
                payload=Payload(size=end - start, chunks=partial(self._part, file, start, end)),
                repeat=False,
                timeout=_PART_TIMEOUT,
            ) as response:
                self._follow(response.headers.get("location", ""))
                said = response.headers.get("range", "")
            self._offset = self._read_offset(said, end) if said else end
            if not start < self._offset <= end:
                raise RegistryError(
                    f"{self._connection.host} was sent the bytes {start} to {end - 1} of {self._descriptor.digest} and"
                    f" says that it has {said[:40]!r}"
                )
            self._journal.note(self._name, self._descriptor.digest, self._place)
        file.check()

    def _commit(self, payload: Payload | None) -> None:
        """Give the upload its digest. It may be sent again: `_is_there` is asked first."""
        separator = "&" if urlsplit(self._place).query else "?"
        with self._connection.open(
            "PUT",
            f"{self._place}{separator}digest={self._descriptor.digest}",
            scope=self._scope,
            accept=(_CREATED, 204),
            payload=payload or Payload.of(b""),
            repeat=False,
            timeout=COMMIT_TIMEOUT,
        ) as response:
            said = response.headers.get(DIGEST_HEADER, "")
        if said and said != str(self._descriptor.digest):
            raise RegistryError(f"{self._connection.host} took {self._descriptor.digest} and says it is {said[:100]!r}")

    def _begin(self, query: str, scope: Scope) -> int:
        path = f"/v2/{self._repository}/blobs/uploads/{query}"
        accept = (_CREATED, _ACCEPTED)
        with self._connection.open("POST", path, scope=scope, accept=accept, payload=Payload.of(b"")) as response:
            least = response.headers.get("oci-chunk-min-length", "")
            self._least = int(least) if least.isascii() and least.isdigit() and len(least) < 12 else 0  # noqa: PLR2004
            if response.status_code == _ACCEPTED:
                self._place = ""
                self._follow(response.headers.get("location", ""), base=path)
                self._offset = 0
            return int(response.status_code)

    def _follow(self, location: str, *, base: str = "") -> None:
        if location:
            self._place = self._connection.follow(base or self._place, location)
        if not self._place:
            raise RegistryError(f"{self._connection.host} takes an upload and doesn't say where")

    def _ask_where(self) -> None:
        """Ask where the upload stands; what the registry doesn't know has no place."""
        with self._connection.open("GET", self._place, scope=self._scope, accept=(204, 200, NOT_FOUND)) as response:
            if response.status_code == NOT_FOUND:
                self._place, self._offset = "", 0
                return
            self._follow(response.headers.get("location", ""))
            self._offset = self._read_offset(response.headers.get("range", ""), 0)

    def _find_out(self, *, in_parts: bool) -> None:
        """Find out from where to go on after a failure."""
        try:
            if in_parts:
                self._ask_where()
            if not in_parts or not self._offset:
                # `0-0` may mean one byte or none: a new upload is sure, and loses nothing.
                self._cancel()
        except RegistryAnswerError:
            self._place, self._offset = "", 0
        if not self._place:
            self._journal.forget(self._name, self._descriptor.digest)

    def _read_offset(self, said: str, sent: int) -> int:
        """Read how many bytes the registry has. `0-0` may be one or none (docker-registry): then none is believed."""
        match = _RANGE.match(said)
        last = int(match[1]) if match else 0
        found = last + 1 if last else min(sent, 1)
        return found if found <= self._descriptor.size else 0

    def _may_go_on(self, error: RegistryAnswerError) -> bool:
        unknown = error.is_not_found and error.code in {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}
        return error.is_transient or error.status == _RANGE_REFUSED or unknown

    def _is_there(self) -> bool:
        """Tell whether what seemed to fail was done all the same."""
        try:
            return has_blob(self._connection, self._repository, self._descriptor)
        except RegistryAnswerError:
            return False

    def _give_up(self, error: RegistryAnswerError) -> None:
        if not error.is_transient:
            self._cancel()
            self._journal.forget(self._name, self._descriptor.digest)

    def _cancel(self) -> None:
        """Tell the registry that nothing follows; it forgets by itself if it can't be told."""
        if not self._place:
            return
        place, self._place = self._place, ""
        try:
            with self._connection.open("DELETE", place, scope=self._scope, accept=(204, 202, 200), repeat=False):
                pass
        except RegistryError:
            pass

    def _part(self, file: HashedFile, start: int, end: int) -> Iterator[bytes]:
        self._recount(start)
        for chunk in file.read(start, end):
            yield chunk
            self._counted += len(chunk)
            self._count(len(chunk))

    def _recount(self, offset: int) -> None:
        if offset != self._counted:
            self._count(offset - self._counted)
            self._counted = offset
