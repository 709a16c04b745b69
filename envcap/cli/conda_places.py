"""Where this machine has the conda packages of a lock: what the exports of conda's formats ask."""

import hashlib

from envcap.blobs import LockFolder
from envcap.digest import CHUNK_SIZE
from envcap.errors import MissingArtifactError
from envcap.lockfile.model import CondaPackage
from envcap.pinned import PinnedArtifacts
from envcap.sources.conda_locator import CONDA_CHANNEL, CondaLocator
from envcap.world import World


class ConfiguredChannels:
    """Gives addresses by conda's configuration; see `CondaPlaces`."""

    def __init__(self, world: World, folder: LockFolder) -> None:
        self._world = world
        self._folder = folder
        hints = {source.name: source.url for source in folder.lockfile.sources if source.kind == CONDA_CHANNEL}
        self._locator = CondaLocator(world.conda, hints, offline=world.machine.offline)

    def channel(self, name: str) -> str:
        """Give the address of a channel; it may hold a token."""
        address = self._locator.address(name)
        if not address:
            raise MissingArtifactError(
                f"No address is configured for the channel {name!r}",
                hint="name it in `channel_alias` or `channels` of .condarc, or in CONDA_CHANNELS",
            )
        return address

    def is_default(self, name: str) -> bool:
        """Tell whether that address is what the machine's tools make of the channel's mere name."""
        return self._locator.is_default(name)

    def md5(self, package: CondaPackage) -> str:
        """Fetch a package and give its MD5."""
        pinned = PinnedArtifacts(self._world, sources=self._folder.lockfile.sources, blobs=self._folder.blobs)
        found = hashlib.md5(usedforsecurity=False)
        with pinned.conda(package).open("rb") as file:
            while chunk := file.read(CHUNK_SIZE):
                found.update(chunk)
        return found.hexdigest()
