"""Publishing a lock: what it needs first, the tag last. The tag is the commit point.

Order: the image and its layers, the lock's bytes, the lock, attestations, the lock's own tag, the tag. Whoever is
killed on the way leaves blobs and manifests that nothing names yet, and what the tag named before; the next run goes on
there. What the registry has is asked for (HEAD) and not sent again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

from envcap.bundle.contents import EMPTY, LOCK_ARTIFACT, LOCK_LAYER, Piece, lock_manifest
from envcap.digest import Digest
from envcap.errors import RegistryError, UsageError
from envcap.lockfile.document import write_lockfile
from envcap.lockfile.model import Lockfile
from envcap.oci.image import MEDIA_TYPE_MANIFEST, Descriptor, Image
from envcap.oci.layout import Progress
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.connection import Connection
from envcap.registry.documents import MAX_ROWS, ImageManifest, read_document
from envcap.registry.journal import UploadJournal
from envcap.registry.manifests import fetch_manifest, head_manifest, put_manifest
from envcap.registry.platforms import named_platforms
from envcap.registry.reference import DEFAULT_TAG, Reference
from envcap.registry.referrers import attach_referrer, list_referrers
from envcap.registry.transfer import Blob, push_blobs, push_image, put_tag
from envcap.registry.upload import Outcome
from envcap.sharing.artifact import (
    EMPTY_CONFIG,
    LOCK_KIND,
    Claim,
    attestation_manifest,
    lock_annotations,
    lock_tag,
    read_claim,
)
from envcap.sharing.find import FoundLock
from envcap.trust.bundle import BUNDLE_TYPE
from envcap.trust.claims import lock_facts

OpenPiece = Callable[[Piece], BinaryIO]
"""Opens the bytes of a pinned file, seekable; they are hashed as they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest's bytes and how others name them."""

    data: bytes
    descriptor: Descriptor

    @classmethod
    def of(cls, data: bytes) -> "Manifest":
        """Name bytes."""
        return cls(
            data=data, descriptor=Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=Digest.of(data), size=len(data))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What to publish beside the image.

    Attributes:
        lockfile: The lock.
        pieces: The pinned files that go with it: at least those kept beside it.
        attestations: What is said of it, each as a bundle with what it says.
    """

    lockfile: Lockfile
    pieces: tuple[Piece, ...]
    attestations: tuple[tuple[bytes, Claim], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it.

    Attributes:
        root: Digest of what the tag names: of the image, else of the lock.
        lock: Digest of the lock's artifact.
        outcomes: How each blob came there; none if the registry had all before.
        before: What the tag named before, or None.
        lost: Platforms of which the tag named an image before, and does not now.
    """

    root: Digest
    lock: Digest
    outcomes: tuple[Outcome, ...]
    before: Digest | None
    lost: tuple[str, ...] = ()

    @property
    def is_news(self) -> bool:
        """Tell whether the tag was set."""
        return self.before != self.root


def check_target(reference: Reference) -> Reference:
    """Give the reference to publish to, with its tag.

    Raises:
        UsageError: It names a digest, or its tag is too long.
    """
    if reference.digest is not None:
        raise UsageError(
            f"{reference} names a digest, which can't be published to", hint=f"name a tag: `{reference.name}:TAG`"
        )
    lock_tag(reference.tag or DEFAULT_TAG)
    return replace(reference, tag=reference.tag or DEFAULT_TAG)


def known_image(connection: Connection, repository: str, digest: Digest) -> Manifest | None:
    """Give an image's manifest if the registry has it, so that nothing is built or sent; its bytes are checked.

    Raises:
        RegistryError: The registry doesn't answer, or answers wrongly.
    """
    if head_manifest(connection, repository, str(digest)) is None:
        return None
    found = fetch_manifest(connection, repository, str(digest))
    if found.descriptor.media_type != MEDIA_TYPE_MANIFEST or not isinstance(found.document, ImageManifest):
        raise RegistryError(f"{connection.host} has something else than an image at {digest} in {repository}")
    return Manifest(data=found.data, descriptor=found.descriptor)


def send_image(
    connection: Connection,
    reference: Reference,
    image: Image,
    *,
    mounts: Sequence[str] = (),
    journal: UploadJournal,
    progress: Progress,
) -> tuple[Manifest, tuple[Outcome, ...]]:
    """Have an image in a repository, by digest.

    Raises:
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    pushed = push_image(
        connection, image, replace(reference, tag=""), mounts=mounts, journal=journal, progress=progress
    )
    return Manifest.of(image.manifest), pushed.outcomes


def send_lock(
    connection: Connection,
    reference: Reference,
    publication: Publication,
    image: Manifest | None,
    *,
    have_pieces: Callable[[], OpenPiece],
    mounts: Sequence[str] = (),
    journal: UploadJournal,
    progress: Progress,
) -> Published:
    """Publish a lock, with an image that is there already or without one, and set the tag.

    Args:
        connection: To the registry.
        reference: From `check_target`.
        publication: What to publish.
        image: What the tag will name, or None: then it names the lock.
        have_pieces: Gives how to open pinned files; called only if some are to be sent.
        mounts: Repositories of the same registry that may have them.
        journal: Where unfinished uploads are kept for another run.
        progress: Told of bytes.

    Raises:
        DigestError: A file's bytes aren't those that the lock pins.
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    text = write_lockfile(publication.lockfile).encode()
    lock = Manifest.of(_manifest(text, publication, image))
    lock = _richer(connection, reference, lock, tag=lock_tag(reference.tag) if image else reference.tag) or lock
    outcomes: tuple[Outcome, ...] = ()
    if head_manifest(connection, reference.repository, str(lock.descriptor.digest)) is None:
        # Registries check a manifest's blobs when they take it: where it is, they are.
        blobs = _blobs(text, publication.pieces, have_pieces)
        outcomes = push_blobs(
            connection, reference.repository, blobs, mounts=mounts, journal=journal, progress=progress
        )
    known: set[Digest] = set()
    root = image or lock
    if image is not None:
        known = _known(connection, reference, image, LOCK_ARTIFACT)
        if lock.descriptor.digest not in known:
            attach_referrer(connection, reference.repository, lock.data, kind=LOCK_KIND)
    elif head_manifest(connection, reference.repository, str(lock.descriptor.digest)) is None:
        put_manifest(connection, reference.repository, str(lock.descriptor.digest), lock.data, MEDIA_TYPE_MANIFEST)
    send_attestations(connection, reference.repository, publication.attestations, root.descriptor, progress=progress)
    if image is not None:
        put_tag(connection, reference.repository, lock_tag(reference.tag), lock.data, MEDIA_TYPE_MANIFEST)
    before = head_manifest(connection, reference.repository, reference.tag)
    lost: set[str] = set()
    if before is not None and before != root.descriptor.digest:
        lost = named_platforms(connection, reference.repository, before)
        lost -= named_platforms(connection, reference.repository, root.descriptor.digest) if lost else set()
    if before != root.descriptor.digest:
        put_manifest(connection, reference.repository, reference.tag, root.data, MEDIA_TYPE_MANIFEST)
    return Published(
        root=root.descriptor.digest,
        lock=lock.descriptor.digest,
        outcomes=outcomes,
        before=before,
        lost=tuple(sorted(lost)),
    )


def send_attestations(
    connection: Connection,
    repository: str,
    attestations: Sequence[tuple[bytes, Claim]],
    subject: Descriptor,
    *,
    progress: Progress,
) -> None:
    """Attach what is said of a lock to what its tag names.

    Raises:
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    if not attestations:
        return
    known = {row.descriptor.digest for row in list_referrers(connection, repository, subject.digest)}
    rows = [(attestation_manifest(data, claim, subject), data, claim) for data, claim in attestations]
    new = [row for row in rows if Digest.of(row[0]) not in known]
    blobs = [_memory(Descriptor(media_type=BUNDLE_TYPE, digest=Digest.of(data), size=len(data)), data, claim.kind)
             for _, data, claim in new]  # fmt: skip
    if new:
        push_blobs(connection, repository, [_empty(), *blobs], progress=progress)
    for manifest, _, claim in new:
        attach_referrer(connection, repository, manifest, kind=claim.kind)


def attach_attestation(connection: Connection, lock: FoundLock, data: bytes) -> Reference:
    """Attach a new attestation to a published lock; nothing of what is there changes.

    Raises:
        TrustError: It is not about the lock.
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    claim = read_claim(data, lock_facts(lock.lockfile))
    row = (data, claim)
    send_attestations(
        connection, lock.reference.repository, [row], lock.root, progress=lambda _what, _done, _total: None
    )
    digest = Digest.of(attestation_manifest(data, claim, lock.root))
    return Reference(host=lock.reference.host, repository=lock.reference.repository, digest=digest)


def _richer(connection: Connection, reference: Reference, lock: Manifest, *, tag: str) -> Manifest | None:
    """Give what a tag names if it is this very lock with more files beside it: to publish again takes nothing away."""
    try:
        found = fetch_manifest(connection, reference.repository, tag)
    except RegistryAnswerError as error:
        if error.is_not_found:
            return None
        raise
    own, other = read_document(lock.data, MEDIA_TYPE_MANIFEST, "The lock"), found.document
    if not isinstance(own, ImageManifest) or not isinstance(other, ImageManifest):
        return None
    is_same = replace(other, layers=other.layers[:1]) == replace(own, layers=own.layers[:1])
    if not is_same or not set(own.layers) < set(other.layers):
        return None
    return Manifest(data=found.data, descriptor=found.descriptor)


def _manifest(text: bytes, publication: Publication, image: Manifest | None) -> bytes:
    if len(publication.pieces) >= MAX_ROWS:
        raise UsageError(
            f"The lock pins {len(publication.pieces)} files (expected fewer than {MAX_ROWS} in one artifact)",
            hint="publish it without `--with-sources`",
        )
    return lock_manifest(
        text,
        publication.pieces,
        subject=image.descriptor if image else None,
        annotations=lock_annotations(publication.lockfile),
    )


def _blobs(text: bytes, pieces: Sequence[Piece], have_pieces: Callable[[], OpenPiece]) -> list[Blob]:
    """Name what the lock's manifest names."""
    layer = Descriptor(media_type=LOCK_LAYER, digest=Digest.of(text), size=len(text))
    opened = have_pieces() if pieces else None
    return [_empty(), _memory(layer, text, "lock"), *(_piece(piece, opened) for piece in pieces if opened)]


def _known(connection: Connection, reference: Reference, subject: Manifest, artifact_type: str) -> set[Digest]:
    rows = list_referrers(connection, reference.repository, subject.descriptor.digest, artifact_type=artifact_type)
    return {row.descriptor.digest for row in rows}


def _empty() -> Blob:
    return _memory(EMPTY_CONFIG, EMPTY, "config")


def _memory(descriptor: Descriptor, data: bytes, what: str) -> Blob:
    return Blob(descriptor=descriptor, open=lambda: BytesIO(data), what=what)


def _piece(piece: Piece, opened: OpenPiece) -> Blob:
    descriptor = Descriptor(media_type=piece.media_type, digest=Digest(piece.sha256), size=piece.size)
    return Blob(descriptor=descriptor, open=lambda: opened(piece), what=piece.title.rpartition("/")[2])
