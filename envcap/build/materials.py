"""What a layer is made from, as the build sees it: two protocols, implemented above.

`envcap.materials` gives the entries of the pinned artifacts and of the live environment. That `build_image` is the
same function over both is what makes an image *faithful*.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from envcap.entry import Entry
from envcap.lockfile.model import Artifact, CondaPackage, SystemPackage
from envcap.plan import LayerPlan


class Artifacts(Protocol):
    """Pinned bytes, by what the lock says of them; every path given back was checked against its hash."""

    def artifact(self, artifact: Artifact) -> Path:
        """Fetch a wheel or an interpreter."""

    def conda(self, package: CondaPackage) -> Path:
        """Fetch a conda package."""

    def deb(self, package: SystemPackage) -> Path:
        """Fetch an OS package."""

    def blob(self, sha256: str) -> Path:
        """Give a blob kept with the lock."""


class Materials(Protocol):
    """Entries of a layer, and the key that names them before they are read."""

    def key(self, layer: LayerPlan) -> Mapping[str, object]:
        """Say, as plain JSON, everything that decides the layer's bytes."""

    def entries(self, layer: LayerPlan, stack: ExitStack) -> list[Entry]:
        """Give the layer's entries; what they read from stays open as long as the stack."""
