"""The image: its settings, `[image]`, and what a rebuild must give, `[expected]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What the image's config says beside its layers (OCI image-spec, config.md).

    Attributes:
        epoch: Modification time of every file and `created` of the image, seconds since the epoch.
        env: Variables added to those of the recipe.
        user: User of the container's process, or empty.
        workdir: Working directory, or empty.
        entrypoint: Command prefix.
        cmd: Default command.
        labels: Image labels.
    """

    epoch: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a rebuild must give on one platform.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        image_id: Digest of the config, as `sha256:…`.
        manifest: Digest of the manifest, or empty where only live files were seen.
        compressor: Name of the recipe's compression, or empty with `manifest`.
        diff_ids: Digests of the uncompressed layers, lowest first.
    """

    platform: str
    image_id: str
    manifest: str = ""
    compressor: str = ""
    diff_ids: tuple[str, ...] = ()
