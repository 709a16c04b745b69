"""Finding a lock in a registry, and what is said of it. A tag is resolved once; nothing is believed unhashed.

Whoever may push to a repository may attach what they like to an image: a lock is found by the tag's own lock, else as
the only one that refers to the image. Two different ones are refused, and named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from envcap.blobs import kept_hashes
from envcap.bundle.contents import EMPTY_TYPE, LOCK_ARTIFACT, LOCK_LAYER
from envcap.digest import Digest
from envcap.errors import LockfileError, RegistryError, UsageError
from envcap.few import few
from envcap.lockfile.document import MAX_TEXT, read_lockfile
from envcap.lockfile.model import Lockfile
from envcap.oci.image import Descriptor
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.connection import Connection
from envcap.registry.documents import ImageManifest
from envcap.registry.download import read_blob
from envcap.registry.manifests import FoundManifest, fetch_manifest, list_tags
from envcap.registry.reference import DEFAULT_TAG, Reference
from envcap.registry.referrers import list_referrers
from envcap.sharing.artifact import is_own_tag, lock_tag
from envcap.trust.bundle import BUNDLE_TYPE
from envcap.trust.judge import MAX_ATTESTATIONS, Attestation
from envcap.trust.strict_json import MAX_BYTES

MAX_LOCKS: Final = 64
"""Most locks of one image that are looked at."""
_SHOWN: Final = 10
_HINT: Final = "publish it again with `envcap publish`, to another repository if need be"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """A lock in a registry.

    Attributes:
        reference: What was asked for, resolved to `root`.
        root: What the tag names: the image, or the lock where there is none.
        artifact: The lock's artifact.
        text: The lockfile's bytes, hashed.
        lockfile: What they say.
        layers: The files that lie with it, by sha256.
    """

    reference: Reference
    root: Descriptor
    artifact: Descriptor
    text: bytes
    lockfile: Lockfile
    layers: Mapping[str, Descriptor]

    @property
    def has_image(self) -> bool:
        """Tell whether the lock refers to an image."""
        return self.root.digest != self.artifact.digest

    @property
    def image(self) -> Reference | None:
        """Name the image that the lock refers to, by digest, or None."""
        where = self.reference
        return (
            Reference(host=where.host, repository=where.repository, digest=self.root.digest) if self.has_image else None
        )

    @property
    def pinned(self) -> Reference:
        """Name exactly this lock, for ever."""
        return Reference(host=self.reference.host, repository=self.reference.repository, digest=self.artifact.digest)


def find_lock(connection: Connection, reference: Reference) -> FoundLock:
    """Find the lock that a reference means: the reference's own, or the one that refers to its image.

    Raises:
        RegistryError: There is none, there are several, or the registry answers wrongly.
        LockfileError: The lock can't be read.
    """
    try:
        found = fetch_manifest(connection, reference.repository, reference.target)
    except RegistryAnswerError as error:
        if error.is_not_found and reference.digest is None:
            raise _no_such_tag(connection, reference, error) from None
        raise
    resolved = reference.at(found.descriptor.digest)
    if _is_lock(found):
        return _read(connection, resolved, found)
    own = _own_lock(connection, reference, found)
    if own is not None:
        return _read(connection, resolved, own)
    locks = _locks_of(connection, reference, found)
    if not locks:
        raise RegistryError(
            f"{reference} is an image without a lock (expected something that refers to {found.descriptor.digest})",
            hint="publish the lock with `envcap publish`",
        )
    if len({_text_of(lock) for lock in locks}) > 1:
        names = ", ".join(f"@{lock.descriptor.digest}" for lock in locks)
        raise RegistryError(
            f"{reference} is an image of {len(locks)} different locks: {names}", hint="name the one that you mean"
        )
    # The same lock, published with its sources and without them: the one that has more of it.
    return _read(connection, resolved, max(locks, key=lambda lock: (len(_layers(lock)), lock.descriptor.digest)))


def find_attestations(connection: Connection, lock: FoundLock) -> tuple[tuple[Attestation, ...], tuple[str, ...]]:
    """Read what is attached to a lock or to its image; nothing of it is checked yet but hashes.

    Returns:
        The attestations, and why others were passed over.

    Raises:
        RegistryError: The registry doesn't answer, or answers wrongly.
    """
    repository = lock.reference.repository
    subjects = dict.fromkeys((lock.root.digest, lock.artifact.digest))
    rows = {
        row.descriptor.digest: row
        for subject in subjects
        for row in list_referrers(connection, repository, subject, artifact_type=BUNDLE_TYPE)
    }
    found: dict[Digest, Attestation] = {}
    passed: list[str] = []
    if len(rows) > MAX_ATTESTATIONS:
        passed.append(f"{len(rows) - MAX_ATTESTATIONS} attestations more than the {MAX_ATTESTATIONS} that are read")
    for digest in sorted(rows)[:MAX_ATTESTATIONS]:
        try:
            layer = _bundle_layer(fetch_manifest(connection, repository, str(digest)), set(subjects))
            found[layer.digest] = Attestation(
                name=f"sha256:{digest.hex[:12]}", data=read_blob(connection, repository, layer)
            )
        except RegistryAnswerError:
            raise
        except RegistryError as error:
            passed.append(f"{digest}: {error.message}")
    return tuple(found.values()), tuple(passed)


def _bundle_layer(found: FoundManifest, subjects: set[Digest]) -> Descriptor:
    document = found.document
    if not isinstance(document, ImageManifest) or document.subject is None or document.subject.digest not in subjects:
        raise RegistryError("the list of referrers names it, and it refers to something else")
    if len(document.layers) != 1 or document.layers[0].descriptor.media_type != BUNDLE_TYPE:
        raise RegistryError(f"an attestation needs one layer of type {BUNDLE_TYPE}")
    layer = document.layers[0].descriptor
    if layer.size > MAX_BYTES:
        raise RegistryError(f"an attestation of {layer.size} bytes (expected at most {MAX_BYTES})")
    return layer


def _no_such_tag(connection: Connection, reference: Reference, error: RegistryAnswerError) -> RegistryAnswerError:
    """Say which tags there are: most often the wrong one was asked for."""
    try:
        tags = [tag for tag in list_tags(connection, reference.repository) if not is_own_tag(tag)]
    except RegistryError:
        tags = []
    return RegistryAnswerError(
        f"{reference.host} has no {reference.tag or DEFAULT_TAG!r} in {reference.repository}: {error.message}",
        hint=f"its tags are: {few(tags, _SHOWN)}" if tags else error.hint,
        status=error.status,
        code=error.code,
    )


def _is_lock(found: FoundManifest) -> bool:
    return isinstance(found.document, ImageManifest) and found.document.artifact_type == LOCK_ARTIFACT


def _own_lock(connection: Connection, reference: Reference, image: FoundManifest) -> FoundManifest | None:
    """Give the lock that was published with a tag, if it is of the image that the tag names now."""
    if reference.digest is not None:
        return None
    try:
        found = fetch_manifest(connection, reference.repository, lock_tag(reference.tag or DEFAULT_TAG))
    except UsageError:
        return None  # a tag so long is none that was published with a lock
    except RegistryAnswerError as error:
        if error.is_not_found:
            return None
        raise
    return found if _is_lock(found) and _refers(found, image.descriptor.digest) else None


def _refers(found: FoundManifest, subject: Digest) -> bool:
    document = found.document
    return isinstance(document, ImageManifest) and document.subject is not None and document.subject.digest == subject


def _locks_of(connection: Connection, reference: Reference, image: FoundManifest) -> list[FoundManifest]:
    """Fetch the locks that refer to an image; a list's entries are claims."""
    subject = image.descriptor.digest
    rows = list_referrers(connection, reference.repository, subject, artifact_type=LOCK_ARTIFACT)
    if len(rows) > MAX_LOCKS:
        raise RegistryError(f"{len(rows)} locks refer to {reference} (expected at most {MAX_LOCKS})", hint=_HINT)
    found = [fetch_manifest(connection, reference.repository, str(row.descriptor.digest)) for row in rows]
    return [lock for lock in found if _is_lock(lock) and _refers(lock, subject)]


def _layers(found: FoundManifest) -> tuple[Descriptor, ...]:
    document = found.document
    return tuple(row.descriptor for row in document.layers) if isinstance(document, ImageManifest) else ()


def _text_of(found: FoundManifest) -> Digest | None:
    return next((row.digest for row in _layers(found)), None)


def _read(connection: Connection, resolved: Reference, found: FoundManifest) -> FoundLock:
    document, layers = found.document, _layers(found)
    where = f"{resolved.host}/{resolved.repository}@{found.descriptor.digest}"
    if not isinstance(document, ImageManifest) or document.config.descriptor.media_type != EMPTY_TYPE:
        raise RegistryError(f"{where}: a lock's artifact has an empty config", hint=_HINT)
    locks = [row for row in layers if row.media_type == LOCK_LAYER]
    if len(locks) != 1 or layers[0] != locks[0]:
        raise RegistryError(f"{where}: expected one lock, as the first layer, found {len(locks)}", hint=_HINT)
    if locks[0].size > MAX_TEXT:
        raise RegistryError(f"{where}: a lock of {locks[0].size} bytes (expected at most {MAX_TEXT})", hint=_HINT)
    text = read_blob(connection, resolved.repository, locks[0])
    try:
        lockfile = read_lockfile(text.decode())
    except UnicodeDecodeError:
        raise LockfileError(f"{where}: its lock is not UTF-8 text", hint=_HINT) from None
    except LockfileError as error:
        raise LockfileError(f"{where}: {error.message}", hint=error.hint) from None
    held = {row.digest.hex: row for row in layers[1:]}
    _check_kept(where, lockfile, held)
    return FoundLock(
        reference=resolved,
        root=document.subject or found.descriptor,
        artifact=found.descriptor,
        text=text,
        lockfile=lockfile,
        layers=held,
    )


def _check_kept(where: str, lockfile: Lockfile, held: Mapping[str, Descriptor]) -> None:
    """Refuse a lock that came without the bytes that only it has."""
    for sha256, size in kept_hashes(lockfile).items():
        if sha256 not in held or held[sha256].size != size:
            found = f"{held[sha256].size} bytes" if sha256 in held else "nothing"
            raise RegistryError(
                f"{where}: the lock keeps {size} bytes of sha256 {sha256[:12]}, the artifact has {found}", hint=_HINT
            )
