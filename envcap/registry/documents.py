"""Manifests and indexes as values, checked once on entry. Pure.

Source: OCI image-spec 1.1, descriptor.md, manifest.md, image-index.md; docker's Image Manifest V2, Schema 2, which
differs in its media types only.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from envcap.digest import Digest
from envcap.errors import DigestError, RegistryError
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor
from envcap.registry.strict_json import read_json, refuse_twins

MEDIA_TYPE_DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
MEDIA_TYPE_DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGE_TYPES: Final = frozenset({MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST})
INDEX_TYPES: Final = frozenset({MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST})
ACCEPT: Final = f"{MEDIA_TYPE_MANIFEST}, {MEDIA_TYPE_INDEX}, {MEDIA_TYPE_DOCKER_MANIFEST}, {MEDIA_TYPE_DOCKER_LIST}"
"""docker-registry answers 404 to whoever does not name OCI's types, `*/*` included."""

MAX_SIZE: Final = 1 << 42
MAX_ROWS: Final = 4096

_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z")
_DOCUMENT: Final = frozenset(
    {
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "fsLayers",
    }
)
_ROW: Final = frozenset({"mediaType", "digest", "size", "urls", "data", "platform", "artifactType", "annotations"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One descriptor of a document.

    Attributes:
        descriptor: What it names.
        artifact_type: Of the manifest that it names, or empty.
        annotations: What it says of it.
        platform: `os/architecture`, or empty.
    """

    descriptor: Descriptor
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: str = ""

    def to_json(self) -> dict[str, object]:
        """Write it as the specification does."""
        system, _, architecture = self.platform.partition("/")
        return (
            self.descriptor.to_json()
            | ({"artifactType": self.artifact_type} if self.artifact_type else {})
            | ({"annotations": dict(self.annotations)} if self.annotations else {})
            | ({"platform": {"os": system, "architecture": architecture}} if self.platform else {})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    """A manifest of an image or of an artifact.

    Attributes:
        config: Its config.
        layers: Lowest first.
        artifact_type: What it is: the field, or else the config's media type (manifest.md, "artifactType").
        subject: What it refers to, or None.
        annotations: What it says of itself.
    """

    config: Row
    layers: tuple[Row, ...]
    artifact_type: str
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """A list of manifests."""

    manifests: tuple[Row, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_document(data: bytes, media_type: str, what: str) -> ImageManifest | ImageIndex:
    """Read a manifest or an index.

    Args:
        data: Its bytes.
        media_type: What it came as.
        what: For messages: what it is and who sent it.

    Raises:
        RegistryError: It is neither, or it can be read as both (CVE-2021-41190).
    """
    table = read_json(data, what)
    refuse_twins(table, _DOCUMENT, what)
    if table.get("schemaVersion") != 2:  # noqa: PLR2004
        raise RegistryError(
            f"{what}: expected schemaVersion 2, found {str(table.get('schemaVersion'))[:20]}",
            hint="push the image again with a newer tool",
        )
    said = table.get("mediaType", media_type)
    if said != media_type:
        raise RegistryError(f"{what} came as {media_type!r} and says that it is {str(said)[:100]!r}")
    annotations = _annotations(table.get("annotations", {}), what)
    if media_type in INDEX_TYPES:
        _refuse(table, ("config", "layers", "fsLayers"), what)
        return ImageIndex(manifests=_rows(table.get("manifests"), "manifests", what), annotations=annotations)
    if media_type not in IMAGE_TYPES:
        raise RegistryError(f"{what}: unexpected media type {media_type[:100]!r} (expected a manifest or an index)")
    _refuse(table, ("manifests", "fsLayers"), what)
    config = _row(table.get("config"), f"{what}: config")
    subject = table.get("subject")
    return ImageManifest(
        config=config,
        layers=_rows(table.get("layers"), "layers", what),
        artifact_type=_media_type(table.get("artifactType", config.descriptor.media_type), what),
        subject=_row(subject, f"{what}: subject").descriptor if subject is not None else None,
        annotations=annotations,
    )


def is_media_type(text: object) -> bool:
    """Tell whether a value is a media type without parameters (RFC 6838, 4.2)."""
    return isinstance(text, str) and _MEDIA_TYPE.match(text) is not None


def _refuse(table: Mapping[str, object], names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name in table:
            raise RegistryError(f"{what} is of two kinds at once: it has {name!r} too")


def _rows(value: object, name: str, what: str) -> tuple[Row, ...]:
    if not isinstance(value, list):
        raise RegistryError(f"{what}: expected a list in {name!r}, found {type(value).__name__}")
    if len(value) > MAX_ROWS:
        raise RegistryError(f"{what}: {len(value)} entries in {name!r} (expected at most {MAX_ROWS})")
    return tuple(_row(row, f"{what}: {name}[{number}]") for number, row in enumerate(value))


def _row(value: object, what: str) -> Row:
    if not isinstance(value, dict):
        raise RegistryError(f"{what}: expected a descriptor, found {type(value).__name__}")
    refuse_twins(value, _ROW, what)
    try:
        digest = Digest.parse(str(value.get("digest")))
    except DigestError as error:
        raise RegistryError(f"{what}: {error.message}") from None
    size = value.get("size")
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise RegistryError(f"{what}: unexpected size {str(size)[:40]!r} (expected 0 to {MAX_SIZE} bytes)")
    _check_data(value.get("data"), digest, size, what)
    kind = value.get("artifactType", "")
    return Row(
        descriptor=Descriptor(media_type=_media_type(value.get("mediaType"), what), digest=digest, size=size),
        artifact_type=_media_type(kind, what) if kind else "",
        annotations=_annotations(value.get("annotations", {}), what),
        platform=_platform(value.get("platform")),
    )


def _check_data(data: object, digest: Digest, size: int, what: str) -> None:
    """Refuse embedded content that is not what the digest says (descriptor.md, "Embedded Content"); it is not used."""
    if data is None:
        return
    try:
        found = base64.b64decode(str(data), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != size or Digest.of(found) != digest:
        raise RegistryError(f"{what}: the content in `data` is not that of {digest}")


def _media_type(value: object, what: str) -> str:
    if not isinstance(value, str) or not is_media_type(value):
        raise RegistryError(f"{what}: unexpected media type {str(value)[:100]!r}")
    return value


def _annotations(value: object, what: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RegistryError(f"{what}: expected annotations to be texts")
    return value


def _platform(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    system, architecture = value.get("os"), value.get("architecture")
    return f"{system}/{architecture}" if isinstance(system, str) and isinstance(architecture, str) else ""
