"""An OCI image as a value: config, manifest and layers, canonical and derived from each other. Pure.

Source: OCI image-spec, descriptor.md, manifest.md, config.md. JSON is RFC 8785 canonical: sorted keys, no spaces.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from envcap.canonical import canonical_json
from envcap.digest import Digest

MEDIA_TYPE_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_TYPE_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_TYPE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A reference to content: media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int

    def to_json(self) -> dict[str, object]:
        """Write it as the specification does."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: its uncompressed identity, and its blob.

    Attributes:
        diff_id: Digest of the tar.
        digest: Digest of the blob.
        size: Bytes of the blob.
        what: What it holds, for people.
    """

    diff_id: Digest
    digest: Digest
    size: int
    what: str = ""

    @property
    def descriptor(self) -> Descriptor:
        """How a manifest names the blob."""
        return Descriptor(media_type=MEDIA_TYPE_LAYER, digest=self.digest, size=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSettings:
    """What a config says beside its layers."""

    environment: Mapping[str, str]
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    labels: Mapping[str, str]


class BlobSource(Protocol):
    """Where the bytes of an image's layers are."""

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        """Copy a blob, checking its hash on the way."""

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob; whoever reads it checks its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: everything that names it is derived from config bytes and layers.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        config: Canonical JSON.
        layers: Lowest first.
        blobs: Where the layers' bytes are.
    """

    platform: str
    config: bytes
    layers: tuple[Layer, ...]
    blobs: BlobSource

    @property
    def image_id(self) -> Digest:
        """Digest of the config: the identity that survives recompression."""
        return Digest.of(self.config)

    @property
    def manifest(self) -> bytes:
        """The manifest, canonical JSON."""
        config = Descriptor(media_type=MEDIA_TYPE_CONFIG, digest=self.image_id, size=len(self.config))
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MEDIA_TYPE_MANIFEST,
                "config": config.to_json(),
                "layers": [layer.descriptor.to_json() for layer in self.layers],
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        """How an index names the image."""
        manifest = self.manifest
        return Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=Digest.of(manifest), size=len(manifest))


def image_config(platform: str, diff_ids: Sequence[Digest], settings: ConfigSettings, *, epoch: int) -> bytes:
    """Write the config of an image.

    Args:
        platform: `os/architecture`.
        diff_ids: Of the layers, lowest first.
        settings: What the process gets.
        epoch: `created`, seconds since the epoch.
    """
    system, _, architecture = platform.partition("/")
    process = {
        "Env": [f"{name}={value}" for name, value in settings.environment.items()],
        "User": settings.user,
        "WorkingDir": settings.workdir,
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.cmd),
        "Labels": dict(settings.labels),
    }
    created = dt.datetime.fromtimestamp(epoch, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return canonical_json(
        {
            "architecture": architecture,
            "os": system,
            "created": created,
            "config": {key: value for key, value in process.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]},
        }
    )
