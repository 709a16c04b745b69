"""An image in a registry that a lock expects, and its layers, taken instead of built.

A registry is believed nothing: the manifest is asked for by the digest that the lock names, or its config must be the
one that the lock names; a layer's blob is hashed against the manifest, and unpacked and hashed against the diff ID of
the config, before the store remembers what it is. So a registry that lies costs a build, and never gives another image.
Source: OCI image-spec 1.1, manifest.md, config.md ("Layer DiffID").
"""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from envcap.archives.decompress import decompress
from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import ArchiveError, DigestError, RegistryError
from envcap.oci.image import MEDIA_TYPE_LAYER, Image, Layer
from envcap.plan import ImagePlan
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.connection import Connection
from envcap.registry.documents import ImageManifest
from envcap.registry.download import Count, fetch_blob, read_blob
from envcap.registry.manifests import FoundManifest, fetch_manifest
from envcap.registry.reference import Reference
from envcap.registry.strict_json import read_json
from envcap.registry.transfer import fetch_image
from envcap.store import Store
from envcap.store.actions import action_key
from envcap.store.blobs import BlobStore

_TYPES: Final = frozenset({MEDIA_TYPE_LAYER, "application/vnd.docker.image.rootfs.diff.tar.gzip"})
GROWS_TO: Final = 4 << 30
"""Bytes that a layer may always unpack to."""
_RATIO: Final = 64
"""How much larger than its blob a layer's tar may be beyond that: one that is more is built instead."""
_JOBS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An image that a registry has: manifest and config are checked, its layers are not read yet.

    Attributes:
        connection: To the registry.
        reference: Where it is; the repository counts.
        manifest: Its manifest.
        config: Its config's bytes.
        layers: What manifest and config together say, lowest first.
    """

    connection: Connection
    reference: Reference
    manifest: FoundManifest
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def image_id(self) -> Digest:
        """Digest of the config."""
        return Digest.of(self.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken of an offer.

    Attributes:
        layers: Those that are in the store now and are what the config says, by diff ID.
        problems: Why others are not, a sentence each.
    """

    layers: dict[Digest, Layer]
    problems: tuple[str, ...] = ()


def find_offer(
    connection: Connection, reference: Reference, *, platform: str, image_id: Digest, manifest: Digest | None
) -> Offer | None:
    """Look for the image that a lock expects; no layer is read.

    Args:
        connection: To the registry.
        reference: Its repository is asked for the manifest; its tag or digest only where the lock names no manifest.
        platform: `os/architecture`, to choose from an index.
        image_id: What the lock expects.
        manifest: What the lock expects, if it knows.

    Returns:
        The offer, or None if the repository doesn't have that image.

    Raises:
        RegistryError: The registry refuses, doesn't answer, or answers wrongly.
    """
    try:
        if manifest is None:
            remote = fetch_image(connection, reference, platform=platform)
            found, config = remote.manifest, remote.config
            document: object = remote.document
        else:
            found = fetch_manifest(connection, reference.repository, str(manifest))
            document = found.document
            if not isinstance(document, ImageManifest) or document.config.descriptor.digest != image_id:
                return None
            config = read_blob(connection, reference.repository, document.config.descriptor)
    except RegistryAnswerError as error:
        if error.is_not_found:
            return None
        raise
    if not isinstance(document, ImageManifest) or Digest.of(config) != image_id:
        return None
    if any(layer.descriptor.media_type not in _TYPES for layer in document.layers):
        return None  # compressed otherwise: as good as another image
    layers = _layers(document, config, f"{connection.host}/{reference.repository}@{found.descriptor.digest}")
    return Offer(connection=connection, reference=reference, manifest=found, config=config, layers=layers)


def offered_image(offer: Offer, plan: ImagePlan, store: Store) -> Image | None:
    """Give the offer as an image whose layers are fetched when they are read, or None if it isn't in our own form.

    Its layers are what the digest of the manifest says; their diff IDs are not checked.
    """
    if len(offer.layers) != len(plan.layers):
        return None
    layers = tuple(replace(layer, what=row.what) for layer, row in zip(offer.layers, plan.layers, strict=True))
    blobs = OfferedBlobs(offer, store.blobs)
    image = Image(platform=plan.platform, config=offer.config, layers=layers, blobs=blobs)
    return image if image.descriptor.digest == offer.manifest.descriptor.digest else None


def take_layers(
    offer: Offer,
    wanted: Iterable[Digest],
    store: Store,
    *,
    progress: Callable[[str, int, int], None],
    grows_to: int = GROWS_TO,
) -> Taken:
    """Have layers in the store, each hashed as it comes, and its tar hashed before it counts as that layer.

    Args:
        offer: From `find_offer`.
        wanted: Diff IDs.
        store: Receives the blobs, and remembers which tar each holds.
        progress: Told of bytes.
        grows_to: Bytes that a layer may unpack to, however small its blob is.

    Raises:
        StoreError: The disk is full or fails.
    """
    known = {layer.diff_id: layer for layer in offer.layers}
    rows = [known[diff_id] for diff_id in dict.fromkeys(wanted) if diff_id in known]
    total, moved = sum(row.size for row in rows), [0]

    def take(row: Layer) -> str:
        def count(size: int) -> None:
            moved[0] += size  # for the bar alone: one that two threads miss is no harm
            progress(row.what or row.digest.hex[:12], min(moved[0], total), total)

        return _take(offer, row, store, count, grows_to)

    with ThreadPoolExecutor(max_workers=_JOBS) as pool:
        problems = list(pool.map(take, rows))
    return Taken(
        layers={row.diff_id: row for row, problem in zip(rows, problems, strict=True) if not problem},
        problems=tuple(problem for problem in problems if problem),
    )


class OfferError(RegistryError):
    """The registry of an offer does not give what it offered."""


class OfferedBlobs:
    """The blobs of an offer: in the store, or fetched into it when somebody reads them; `OfferError` if they can't."""

    def __init__(self, offer: Offer, blobs: BlobStore) -> None:
        self._offer = offer
        self._blobs = blobs
        self._rows = {layer.digest: layer for layer in offer.layers}

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its hash."""
        self._fetch(digest)
        return self._blobs.open(digest)

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        """Copy a blob, checking its hash on the way."""
        self._fetch(digest)
        self._blobs.copy_to(digest, destination)

    def _fetch(self, digest: Digest) -> None:
        offer = self._offer
        descriptor = self._rows[digest].descriptor
        repository = offer.reference.repository
        try:
            fetch_blob(offer.connection, repository, descriptor, self._blobs, count=lambda _size: None)
        except RegistryError as error:
            raise OfferError(error.message, hint=error.hint) from None


def _take(offer: Offer, row: Layer, store: Store, count: Count, grows_to: int) -> str:
    """Take one layer; gives why not, or nothing."""
    where = f"{offer.connection.host}/{offer.reference.repository}"
    try:
        fetch_blob(offer.connection, offer.reference.repository, row.descriptor, store.blobs, count=count)
    except RegistryError as error:
        return error.message
    key = action_key("layer-of-blob", {"blob": str(row.digest)})
    known = store.recall(key)
    found = str(known["diff_id"]) if known else ""
    if not found:
        try:
            with store.blobs.open(row.digest) as file:
                found = str(_diff_id(file, max(grows_to, row.size * _RATIO)))
        except ArchiveError as error:
            return f"{where}: the layer {row.digest} can't be unpacked: {error.message}"
        store.actions.put(key, {"diff_id": found}, blobs=[row.digest])
    if found != str(row.diff_id):
        return f"{where}: the layer {row.digest} is not what the config names (expected {row.diff_id}, found {found})"
    return ""


def _diff_id(file: BinaryIO, limit: int) -> Digest:
    """Hash what a layer's blob unpacks to, within bounds."""
    sha256, done = hashlib.sha256(), 0
    with decompress(file, ".gz", name="layer") as stream:
        while piece := stream.read(CHUNK_SIZE):
            done += len(piece)
            if done > limit:
                raise ArchiveError(f"more than {limit} bytes come out of it")
            sha256.update(piece)
    return Digest(sha256.hexdigest())


def _layers(document: ImageManifest, config: bytes, what: str) -> tuple[Layer, ...]:
    """Pair the manifest's blobs with the config's diff IDs (config.md: in the same order)."""
    rootfs = read_json(config, f"{what}: config").get("rootfs")
    rows = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(rows, list) or len(rows) != len(document.layers):
        found = len(rows) if isinstance(rows, list) else "none"
        raise RegistryError(f"{what}: the config names {found} layers, the manifest {len(document.layers)}")
    try:
        diff_ids = [Digest.parse(str(row)) for row in rows]
    except DigestError as error:
        raise RegistryError(f"{what}: {error.message}") from None
    return tuple(
        Layer(diff_id=diff_id, digest=row.descriptor.digest, size=row.descriptor.size)
        for diff_id, row in zip(diff_ids, document.layers, strict=True)
    )
