"""What kind of system this is: a container, WSL2, a Jetson."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from envcap.driver.root import SystemRoot

_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv", "/.singularity.d")
_CONTAINER_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "KUBERNETES_SERVICE_HOST", "container")
_L4T = re.compile(r"# R(\d{1,3}) \(release\), REVISION: (\d{1,3}\.\d{1,3})(?![\d.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a process runs.

    Attributes:
        container: Whether in a container. Its /proc and /sys then speak of the host.
        wsl: Whether in WSL2, where the GPU is Windows' and there is no kernel module.
        l4t: Release of Jetson Linux (`35.4.1`), empty elsewhere.
    """

    container: bool = False
    wsl: bool = False
    l4t: str = ""


def look_around(root: SystemRoot, environ: Mapping[str, str]) -> Surroundings:
    """Tell where this process runs, by files and variables that only such places have."""
    release = _L4T.match(root.read("/etc/nv_tegra_release"))
    return Surroundings(
        container=any(map(root.exists, _CONTAINER_FILES)) or any(map(environ.get, _CONTAINER_VARIABLES)),
        wsl=root.exists("/dev/dxg"),
        l4t=f"{release[1]}.{release[2]}" if release else "",
    )
