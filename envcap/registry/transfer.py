"""Whole images to and from a registry, some blobs at a time. The tag comes last: it is the commit point.

Source: OCI distribution-spec 1.1, "Push" and "Pull".
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Final, TypeVar

from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_CONFIG, MEDIA_TYPE_MANIFEST, Descriptor, Image
from envcap.oci.layout import Progress
from envcap.registry.connection import Connection
from envcap.registry.documents import ImageManifest
from envcap.registry.download import fetch_blob, read_blob
from envcap.registry.journal import UploadJournal
from envcap.registry.manifests import FoundManifest, fetch_manifest, head_manifest, put_manifest
from envcap.registry.reference import Reference
from envcap.registry.upload import Outcome, upload_blob
from envcap.store.blobs import BlobStore

_Row = TypeVar("_Row")
_Result = TypeVar("_Result")

JOBS: Final = 4
"""Blobs moved at a time: one is hashed while another waits for the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A blob to send.

    Attributes:
        descriptor: What it is.
        open: Opens its bytes, seekable.
        what: For people.
    """

    descriptor: Descriptor
    open: Callable[[], BinaryIO]
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did.

    Attributes:
        digest: Of the manifest.
        outcomes: How each blob came there; empty where the registry had the manifest already.
    """

    digest: Digest
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image in a registry, so far as it is read without its layers.

    Attributes:
        manifest: Its manifest, checked.
        document: What the manifest says.
        config: Its config's bytes, checked.
    """

    manifest: FoundManifest
    document: ImageManifest
    config: bytes


def push_image(
    connection: Connection,
    image: Image,
    reference: Reference,
    *,
    mounts: Sequence[str] = (),
    journal: UploadJournal | None = None,
    progress: Progress,
) -> Pushed:
    """Have an image in a registry: blobs, then the manifest by digest, then the tag.

    Args:
        connection: To the registry.
        image: What to push.
        reference: Where to; without a tag it is there by digest only.
        mounts: Repositories of the same registry that may have its layers.
        journal: Where unfinished uploads are kept for another run, or None.
        progress: Told of bytes.

    Raises:
        DigestError: A layer's bytes aren't those of its digest.
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
        StoreError: A layer is missing.
    """
    manifest, digest = image.manifest, image.descriptor.digest
    config = Descriptor(media_type=MEDIA_TYPE_CONFIG, digest=image.image_id, size=len(image.config))
    blobs = [Blob(descriptor=config, open=lambda: BytesIO(image.config), what="config")]
    blobs += [
        Blob(descriptor=layer.descriptor, open=_opener(image, layer.digest), what=layer.what) for layer in image.layers
    ]
    outcomes = push_manifest(
        connection,
        reference.repository,
        manifest,
        MEDIA_TYPE_MANIFEST,
        blobs,
        mounts=mounts,
        journal=journal,
        progress=progress,
    )
    if reference.tag:
        put_tag(connection, reference.repository, reference.tag, manifest, MEDIA_TYPE_MANIFEST)
    return Pushed(digest=digest, outcomes=outcomes)


def push_manifest(
    connection: Connection,
    repository: str,
    manifest: bytes,
    media_type: str,
    blobs: Sequence[Blob],
    *,
    mounts: Sequence[str] = (),
    journal: UploadJournal | None = None,
    progress: Progress,
) -> tuple[Outcome, ...]:
    """Have a manifest and all that it names in a repository, by digest. One that is there moves no blob.

    Raises:
        DigestError: A blob's bytes aren't those of its digest.
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    digest = Digest.of(manifest)
    if head_manifest(connection, repository, str(digest)) == digest:
        # Registries check a manifest's blobs when they take it (distribution-spec, "Pushing Manifests").
        return ()
    outcomes = push_blobs(connection, repository, blobs, mounts=mounts, journal=journal, progress=progress)
    put_manifest(connection, repository, str(digest), manifest, media_type)
    return outcomes


def put_tag(connection: Connection, repository: str, tag: str, manifest: bytes, media_type: str) -> None:
    """Let a tag name a manifest, unless it does already.

    Raises:
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    if head_manifest(connection, repository, tag) != Digest.of(manifest):
        put_manifest(connection, repository, tag, manifest, media_type)


def push_blobs(
    connection: Connection,
    repository: str,
    blobs: Sequence[Blob],
    *,
    mounts: Sequence[str] = (),
    journal: UploadJournal | None = None,
    progress: Progress,
) -> tuple[Outcome, ...]:
    """Have blobs in a repository, some at a time; the first failure stops the others.

    Raises:
        DigestError: A blob's bytes aren't those of its digest.
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    rows = list({blob.descriptor.digest: blob for blob in blobs}.values())
    meter = _Meter(sum(blob.descriptor.size for blob in rows), progress)

    def push(blob: Blob) -> Outcome:
        return upload_blob(
            connection,
            repository,
            blob.descriptor,
            blob.open,
            mounts=mounts,
            journal=journal,
            count=lambda count: meter.add(blob.what, count),
        )

    return tuple(_in_parallel(push, rows, meter))


def fetch_image(connection: Connection, reference: Reference, *, platform: str) -> RemoteImage:
    """Read an image's manifest and config. A tag is resolved once; of an index, the platform's manifest is taken.

    Args:
        connection: To the registry.
        reference: What to read.
        platform: `os/architecture`.

    Raises:
        RegistryError: There is none, or the registry answers wrongly.
    """
    found = fetch_manifest(connection, reference.repository, reference.target)
    if not isinstance(found.document, ImageManifest):
        rows = [row for row in found.document.manifests if row.platform == platform]
        if len(rows) != 1:
            platforms = ", ".join(sorted({row.platform for row in found.document.manifests if row.platform})) or "none"
            raise RegistryError(
                f"{reference} has {len(rows)} images for {platform} (expected one; its platforms: {platforms[:200]})"
            )
        found = fetch_manifest(connection, reference.repository, str(rows[0].descriptor.digest))
    if not isinstance(found.document, ImageManifest):
        raise RegistryError(f"{reference}: an index within an index (expected an image)")
    config = read_blob(connection, reference.repository, found.document.config.descriptor)
    return RemoteImage(manifest=found, document=found.document, config=config)


def fetch_blobs(
    connection: Connection,
    repository: str,
    descriptors: Iterable[Descriptor],
    blobs: BlobStore,
    *,
    progress: Progress,
) -> None:
    """Have blobs of a repository in the store, some at a time; each whole and right, or not at all.

    Raises:
        RegistryError: The registry doesn't have one, doesn't answer, or sends other bytes.
        StoreError: The disk is full or fails.
    """
    rows = list({row.digest: row for row in descriptors}.values())
    meter = _Meter(sum(row.size for row in rows), progress)

    def fetch(row: Descriptor) -> None:
        fetch_blob(connection, repository, row, blobs, count=lambda count: meter.add(row.digest.hex[:12], count))

    _in_parallel(fetch, rows, meter)


class _StoppedError(Exception):
    """Another transfer failed."""


class _Meter:
    """Adds up what all threads move, and stops them after a failure."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._progress = progress
        self._total = total
        self._done = 0
        self.stop = threading.Event()

    def add(self, what: str, count: int) -> None:
        if self.stop.is_set():
            raise _StoppedError
        with self._lock:
            self._done += count
            self._progress(what, self._done, self._total)


def _in_parallel(work: Callable[[_Row], _Result], rows: Sequence[_Row], meter: _Meter) -> list[_Result]:
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        futures = [pool.submit(work, row) for row in rows]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() for future in futures):
                meter.stop.set()
                pool.shutdown(cancel_futures=True)
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    # Those that were stopped failed because of another.
    for error in sorted(errors, key=lambda error: isinstance(error, _StoppedError)):
        raise error
    return [future.result() for future in futures]


def _opener(image: Image, digest: Digest) -> Callable[[], BinaryIO]:
    return lambda: image.blobs.open(digest)
