"""An image to a registry while it is still being built: each layer goes as soon as it is known, the tag comes last.

Source: OCI distribution-spec 1.1, "Push".
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO, Final

from envcap.digest import Digest
from envcap.errors import DigestError, StoreError
from envcap.oci.image import MEDIA_TYPE_CONFIG, MEDIA_TYPE_MANIFEST, BlobSource, Descriptor, Image, Layer
from envcap.oci.layout import Progress
from envcap.registry.connection import Connection
from envcap.registry.journal import UploadJournal
from envcap.registry.manifests import head_manifest
from envcap.registry.mounts import MountMemory
from envcap.registry.reference import DEFAULT_TAG, Reference
from envcap.registry.transfer import put_tag
from envcap.registry.upload import Outcome, upload_blob
from envcap.store.blobs import BlobStore

_JOBS: Final = 3
"""Layers sent at a time, beside those that are being built: one is hashed while another waits for the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """What a push did.

    Attributes:
        reference: What names the image now, by digest.
        known: Whether the registry had the manifest, so that nothing was sent.
        outcomes: How each layer came there, lowest first; all present where it had the manifest.
    """

    reference: Reference
    known: bool
    outcomes: tuple[tuple[Layer, Outcome], ...]


def tag_of(reference: Reference) -> str:
    """Give the tag that a push sets: the one that was named, the usual one, or none beside a digest."""
    return reference.tag or ("" if reference.digest else DEFAULT_TAG)


def tag_known(connection: Connection, reference: Reference, manifest: bytes, layers: Sequence[Layer]) -> PushedImage:
    """Let the tag name a manifest that the repository has already.

    Raises:
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    if tag := tag_of(reference):
        put_tag(connection, reference.repository, tag, manifest, MEDIA_TYPE_MANIFEST)
    return PushedImage(
        reference=replace(reference, tag=tag, digest=Digest.of(manifest)),
        known=True,
        outcomes=tuple((layer, Outcome.PRESENT) for layer in layers),
    )


class NewPush:
    """A push that has begun; made by `new_push`."""

    def __init__(
        self,
        connection: Connection,
        reference: Reference,
        store: BlobStore,
        *,
        memory: MountMemory,
        mounts: Sequence[str],
        journal: UploadJournal,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._connection = connection
        self._reference = reference
        self._store = store
        self._memory = memory
        self._mounts = tuple(mounts)
        self._journal = journal
        self._pool = pool
        self._running: dict[Digest, Future[Outcome]] = {}
        self._lock = threading.Lock()
        self._sent = 0
        self._total = 0
        self._progress: Progress | None = None
        self._stopped = threading.Event()

    def add(self, layer: Layer) -> None:
        """Begin to send a layer, unless that was done; an upload that has failed by now is raised here.

        Raises:
            RegistryError: As `publish`: there is no use in building the rest.
        """
        for known, future in self._running.items():
            if future.done():
                self._result(known)
        self._add(layer, self._store)

    def publish(self, image: Image, *, progress: Progress) -> PushedImage:
        """Send what is missing, then the config, the manifest by digest, and the tag.

        Args:
            image: What to push; its own blobs are read for layers that were not added.
            progress: Told of bytes.

        Raises:
            RegistryError: The registry refuses, doesn't answer, or answers wrongly.
            DamagedObjectError: A layer in the store was damaged, and was set aside.
            StoreError: A layer is missing.
        """
        manifest, repository = image.manifest, self._reference.repository
        layers = list({layer.digest: layer for layer in image.layers}.values())
        if not self._running and head_manifest(self._connection, repository, str(Digest.of(manifest))) is not None:
            return tag_known(self._connection, self._reference, manifest, image.layers)
        self._total = sum(layer.size for layer in layers)
        self._progress = progress
        for layer in layers:
            self._add(layer, image.blobs)
        found: dict[Digest, Outcome] = {}
        for layer in layers:
            found[layer.digest] = self._result(layer.digest)
        config = Descriptor(media_type=MEDIA_TYPE_CONFIG, digest=image.image_id, size=len(image.config))
        upload_blob(self._connection, repository, config, lambda: BytesIO(image.config), count=lambda _size: None)
        put_tag(self._connection, repository, str(Digest.of(manifest)), manifest, MEDIA_TYPE_MANIFEST)
        if tag := tag_of(self._reference):
            put_tag(self._connection, repository, tag, manifest, MEDIA_TYPE_MANIFEST)
        return PushedImage(
            reference=replace(self._reference, tag=tag, digest=Digest.of(manifest)),
            known=False,
            outcomes=tuple((layer, found[layer.digest]) for layer in image.layers),
        )

    def stop(self) -> None:
        """Let no upload go on: something failed. What is there stays, and the next push goes on from it."""
        self._stopped.set()

    def _add(self, layer: Layer, blobs: BlobSource) -> None:
        if layer.digest not in self._running:
            self._running[layer.digest] = self._pool.submit(self._send, layer, blobs)

    def _send(self, layer: Layer, blobs: BlobSource) -> Outcome:
        repository = self._reference.repository
        remembered = self._memory.find(layer.digest)
        outcome = upload_blob(
            self._connection,
            repository,
            layer.descriptor,
            self._opener(blobs, layer.digest),
            mounts=tuple(dict.fromkeys((*self._mounts, *remembered))),
            journal=self._journal,
            count=lambda size: self._count(layer, size),
        )
        if repository not in remembered:
            self._memory.note(layer.digest, repository)
        return outcome

    def _opener(self, blobs: BlobSource, digest: Digest) -> Callable[[], BinaryIO]:
        return lambda: blobs.open(digest)

    def _count(self, layer: Layer, size: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        with self._lock:
            self._sent += size
            if self._progress is not None:
                self._progress(layer.what, self._sent, self._total)

    def _result(self, digest: Digest) -> Outcome:
        try:
            return self._running[digest].result()
        except DigestError as error:
            # Hashing what is there sets it aside, so that the next try makes it anew.
            self._store.verified(digest)
            raise StoreError(f"The layer {digest} changed while it was sent: {error.message}") from None


class _StoppedError(Exception):
    """Another layer, or the build, failed."""


@contextmanager
def new_push(
    connection: Connection,
    reference: Reference,
    store: BlobStore,
    *,
    memory: MountMemory,
    mounts: Sequence[str] = (),
    journal: UploadJournal,
) -> Iterator[NewPush]:
    """Begin a push; without a `publish` that ended, no tag and no manifest is put.

    Args:
        connection: To the registry.
        reference: Where to.
        store: Where layers are that are added.
        memory: Which repositories of the registry may have a blob.
        mounts: Repositories that are asked before those.
        journal: Where unfinished uploads are kept for another run.
    """
    with ThreadPoolExecutor(max_workers=_JOBS) as pool:
        push = NewPush(connection, reference, store, memory=memory, mounts=mounts, journal=journal, pool=pool)
        try:
            yield push
        except BaseException:
            push.stop()
            pool.shutdown(cancel_futures=True)
            raise
