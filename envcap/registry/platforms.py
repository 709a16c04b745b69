"""Which platforms a manifest or an index is of. Source: OCI image-spec 1.1, config.md (`os`, `architecture`)."""

import re
from typing import Final

from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_CONFIG
from envcap.registry.connection import Connection
from envcap.registry.documents import ImageIndex
from envcap.registry.download import read_blob
from envcap.registry.manifests import fetch_manifest
from envcap.registry.strict_json import read_json

_CONFIGS: Final = frozenset({MEDIA_TYPE_CONFIG, "application/vnd.docker.container.image.v1+json"})
_PLATFORM: Final = re.compile(r"[a-z][a-z0-9]{0,19}/[a-z][a-z0-9_]{0,19}\Z")


def named_platforms(connection: Connection, repository: str, digest: Digest) -> set[str]:
    """Name the platforms of an image or an index; none where it can't be told, which is no reason to fail.

    Args:
        connection: To the registry.
        repository: Name below it.
        digest: Of the manifest or the index.
    """
    try:
        document = fetch_manifest(connection, repository, str(digest)).document
        if isinstance(document, ImageIndex):
            found = [row.platform for row in document.manifests]
        elif document.config.descriptor.media_type in _CONFIGS:
            config = read_json(read_blob(connection, repository, document.config.descriptor), "The image's config")
            found = [f"{config.get('os')}/{config.get('architecture')}"]
        else:
            found = []
    except RegistryError:
        found = []
    return {platform for platform in found if _PLATFORM.match(platform)}
