"""Where a conda package may be had: the package caches of this machine, its configured channels, a lock's hints.

A cache is believed by hash alone, like everything else. The file of an artifact is `CHANNEL/SUBDIR/FILE`.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

from envcap.conda.channel import source_name
from envcap.lockfile.conda_kept import archive_content, archive_name
from envcap.lockfile.model import CAPTURED, Artifact, CondaPackage
from envcap.secrets.urls import scrub_url
from envcap.sources.conda_settings import CondaSettings, builtin_alias
from envcap.sources.locate import FilePlace, Refusal

CONDA_CHANNEL: Final = "conda-channel"


def conda_artifact(package: CondaPackage) -> Artifact:
    """Name a conda package as a pinned file; one made of installed files lies beside the lock, and nowhere else."""
    file = f"{package.channel}/{package.subdir}/{archive_name(package)}"
    sha256, size = archive_content(package)
    source = CAPTURED if package.captured == "files" else CONDA_CHANNEL
    return Artifact(platform="", source=source, file=file, size=size, sha256=sha256)


class CondaLocator:
    """Finds conda packages by channel name, folder and file name."""

    def __init__(
        self, settings: CondaSettings, hints: Mapping[str, str], *, offline: bool, trusted: bool = False
    ) -> None:
        """Prepare; nothing is looked for yet.

        Args:
            settings: Of this machine.
            hints: URL by the name of a channel's source: a lock's, or those of the live records.
            offline: Name no server.
            trusted: The hints are this machine's own, so they may name folders and http.
        """
        self._settings = settings
        self._hints = hints
        self._offline = offline
        self._trusted = trusted

    def urls(self, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
        """Yield places, best first."""
        channel, subdir, file = artifact.file.rsplit("/", 2)
        for cache in self._settings.caches:
            if (cache / file).is_file():
                yield FilePlace(url=(cache / file).absolute().as_uri(), shown="the package cache")
        asked = False
        for base in self.addresses(channel):
            url = f"{base}/{subdir}/{quote(file, safe='!+')}"
            shown = f"the channel folder {channel!r}" if base.startswith("file:") else scrub_url(url)
            asked = True
            if self._offline and not base.startswith("file:"):
                yield Refusal(shown=shown, answer="not asked (offline)")
            else:
                yield FilePlace(url=url, shown=shown)
        if not asked:
            yield Refusal(
                shown=f"the channel {channel!r}",
                answer="no address is configured (`channel_alias` or `channels` in .condarc, CONDA_CHANNEL_ALIAS, "
                "or `pip install 'envcap[conda]'`)",
            )

    def address(self, channel: str) -> str:
        """Give the address of a channel that is asked first; it may hold a token. Empty where there is none."""
        return next(self.addresses(channel), "")

    def is_default(self, channel: str) -> bool:
        """Tell whether conda makes that address of the channel's mere name."""
        return self.address(channel) == f"{self._settings.alias or builtin_alias()}/{channel}"

    def addresses(self, channel: str) -> Iterator[str]:
        """Yield the addresses of a channel in the order in which they are asked; they may hold tokens."""
        seen: set[str] = set()
        alias = self._settings.alias
        hint = self._hints.get(source_name(channel), "")
        usable = hint if self._trusted or hint.startswith("https://") else ""
        configured = [*self._settings.channels.get(channel, ()), f"{alias}/{channel}" if alias else "", usable]
        for base in configured:
            if base and base not in seen:
                seen.add(base)
                yield base
        if not seen and (default := builtin_alias()):
            yield f"{default}/{channel}"
