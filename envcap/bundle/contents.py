"""What a bundle of a lock holds, by name, hash and size. Pure.

Source: OCI image-spec 1.1, manifest.md ("Guidelines for Artifact Usage") and image-layout.md; media types of conda
packages as channel-mirrors uses them (conda/ceps issue 69), of Debian packages as registered with IANA.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from envcap.blobs import LOCK_NAME, kept_hashes
from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.lockfile.model import CAPTURED, Artifact, Lockfile, SystemPackage
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, Image
from envcap.sources.conda_locator import conda_artifact

LOCK_ARTIFACT: Final = "application/vnd.envcap.lock.v1"
LOCK_LAYER: Final = "application/vnd.envcap.lock.v1+toml"
BLOB_LAYER: Final = "application/vnd.envcap.blob.v1"
WHEEL_LAYER: Final = "application/vnd.envcap.wheel.v1+zip"
ARCHIVE_LAYER: Final = "application/vnd.envcap.archive.v1"
DEBIAN_LAYER: Final = "application/vnd.debian.binary-package"
CONDA_LAYERS: Final = {".conda": "application/vnd.conda.package.v2", ".tar.bz2": "application/vnd.conda.package.v1"}
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"

TITLE: Final = "org.opencontainers.image.title"
REF_NAME: Final = "org.opencontainers.image.ref.name"
LOCK_REF: Final = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One pinned file.

    Attributes:
        media_type: What kind of file it is.
        title: Its path where somebody unpacks the bundle; unique.
        sha256: Its hash.
        size: Bytes.
        pinned: What the lock says of it; None for a blob kept with the lock.
    """

    media_type: str
    title: str
    sha256: str
    size: int
    pinned: Artifact | SystemPackage | None = None

    def to_json(self) -> dict[str, object]:
        """Write it as a descriptor."""
        descriptor = Descriptor(media_type=self.media_type, digest=Digest(self.sha256), size=self.size)
        return descriptor.to_json() | {"annotations": {TITLE: self.title}}


def bundle_pieces(lockfile: Lockfile) -> tuple[Piece, ...]:
    """Name every file that a lock pins, each once: kept blobs, artifacts, conda and OS packages, sorted by title."""
    pieces = {piece.sha256: piece for piece in _all(lockfile)}.values()
    known = Counter(piece.title for piece in pieces)
    distinct = [
        piece if known[piece.title] == 1 else replace(piece, title=f"{piece.sha256}/{piece.title}") for piece in pieces
    ]
    return tuple(sorted(distinct, key=lambda piece: piece.title))


def _all(lockfile: Lockfile) -> Iterator[Piece]:
    """Yield in an order in which a later piece of the same hash wins; all of that hash are the same bytes."""
    for debian in lockfile.system:
        title = f"debian/{_last(debian.file)}"
        yield _piece(DEBIAN_LAYER, title, debian.sha256, debian.size, debian)
    for row in lockfile.conda:
        if row.captured:
            continue
        artifact = conda_artifact(row)
        suffix = next((suffix for suffix in CONDA_LAYERS if row.file.endswith(suffix)), "")
        yield _piece(CONDA_LAYERS.get(suffix, ARCHIVE_LAYER), f"conda/{artifact.file}", row.sha256, row.size, artifact)
    for package in lockfile.packages:
        for wheel in _fetched(package.artifacts):
            yield _piece(WHEEL_LAYER, f"wheels/{_last(wheel.file)}", wheel.sha256, wheel.size, wheel)
    for archive in _fetched(lockfile.interpreter.artifacts):
        yield _piece(ARCHIVE_LAYER, f"interpreter/{_last(archive.file)}", archive.sha256, archive.size, archive)
    for sha256, size in kept_hashes(lockfile).items():
        yield _piece(BLOB_LAYER, f"blobs/sha256/{sha256}", sha256, size, None)


def _piece(media_type: str, title: str, sha256: str, size: int, pinned: Artifact | SystemPackage | None) -> Piece:
    return Piece(media_type=media_type, title=title, sha256=sha256, size=size, pinned=pinned)


def _fetched(artifacts: Iterable[Artifact]) -> Iterator[Artifact]:
    return (artifact for artifact in artifacts if artifact.source != CAPTURED)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def lock_manifest(
    lock: bytes,
    pieces: Sequence[Piece],
    *,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """Write the manifest of a lock with its pieces: an artifact of its own type.

    Args:
        lock: The text of the lockfile.
        pieces: From `bundle_pieces`.
        subject: The image that it describes, in a registry.
        annotations: What registries list of it.
    """
    config = Descriptor(media_type=EMPTY_TYPE, digest=Digest.of(EMPTY), size=len(EMPTY))
    first = Descriptor(media_type=LOCK_LAYER, digest=Digest.of(lock), size=len(lock))
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_MANIFEST,
            "artifactType": LOCK_ARTIFACT,
            "config": config.to_json(),
            "layers": [
                first.to_json() | {"annotations": {TITLE: LOCK_NAME}},
                *(piece.to_json() for piece in pieces),
            ],
        }
        | ({"subject": subject.to_json()} if subject else {})
        | ({"annotations": dict(annotations)} if annotations else {})
    )


def bundle_index(manifest: bytes, image: Image | None, *, tag: str) -> bytes:
    """Write the layout's index: the lock's manifest, and the image's if it comes along.

    Args:
        manifest: From `lock_manifest`.
        image: The rebuilt image, or None.
        tag: Name of the image, `ml:envcap`.
    """
    descriptor = Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=Digest.of(manifest), size=len(manifest))
    rows = [descriptor.to_json() | {"artifactType": LOCK_ARTIFACT, "annotations": {REF_NAME: LOCK_REF}}]
    if image is not None:
        system, _, architecture = image.platform.partition("/")
        names = {REF_NAME: tag.rpartition(":")[2], "io.containerd.image.name": tag}
        platform = {"os": system, "architecture": architecture}
        rows.append(image.descriptor.to_json() | {"platform": platform, "annotations": names})
    return canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": rows})
