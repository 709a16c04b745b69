"""`look_for_container_gpus`: what this machine can give to a container, from its files and from what its engine says.

Read: specifications of the Container Device Interface (SPEC.md, "CDI JSON Specification"; YAML too), device files, and
which kernel drivers are loaded. Nothing is started.
"""

import json
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from envcap.conda.yaml_document import parse_yaml
from envcap.driver.pci import VENDOR_INTEL, list_pci_gpus
from envcap.driver.root import SystemRoot
from envcap.errors import LockfileError
from envcap.gpu.container import DOCKER, ContainerHost
from envcap.gpu.model import AMD, INTEL, NVIDIA
from envcap.oci.engine_facts import EngineFacts

CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""Where podman looks, and docker if nothing else is configured."""

_HOSTNAME = "/proc/sys/kernel/hostname"
_HOOKS = ("/usr/bin/nvidia-container-runtime-hook", "/usr/local/bin/nvidia-container-runtime-hook")
_NVIDIA = ("/proc/driver/nvidia/version", "/sys/module/nvidia", "/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
_INTEL = frozenset({"i915", "xe"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}=[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
_LARGEST = 4 << 20
_MOST_FILES = 64
_MOST_DEVICES = 256


def look_for_container_gpus(root: Path, engine: str, facts: EngineFacts) -> ContainerHost:
    """Look for what an engine on this machine can give to a container.

    Args:
        root: The system's root: `/`, or a tree that stands for one.
        engine: `docker` or `podman`.
        facts: What the engine says of itself.
    """
    system = SystemRoot(root)
    told = frozenset(name for name in facts.cdi_devices if _NAME.fullmatch(name))
    if facts.host not in {"", system.read(_HOSTNAME).strip()}:
        # An engine elsewhere: the files here are not the ones that its containers get.
        return ContainerHost(
            engine=engine, rootless=facts.rootless, cdi=told, nvidia_runtime="nvidia" in facts.runtimes
        )
    # Docker lists its folders only where its CDI is switched on; podman 4.1 and newer always has it.
    folders = facts.cdi_folders if engine == DOCKER else CDI_FOLDERS
    toolkit = "nvidia" in facts.runtimes or any(system.exists(place) for place in _HOOKS)
    vendors = _vendors(system)
    return ContainerHost(
        engine=engine,
        rootless=facts.rootless,
        cdi=told | frozenset(_cdi_devices(system, folders)),
        # A login node may have the toolkit and no GPU: containers with `--gpus` don't start there.
        nvidia_runtime=toolkit and NVIDIA in vendors,
        vendors=vendors,
        groups=_groups(system),
    )


def _cdi_devices(system: SystemRoot, folders: Iterable[str]) -> list[str]:
    found: list[str] = []
    for folder in folders:
        for name in system.names(folder)[:_MOST_FILES]:
            if name.endswith((".json", ".yaml")) and not name.startswith("."):
                found += _devices_of(system.read_bytes(f"{folder}/{name}", _LARGEST), name)
    return [name for name in found if _NAME.fullmatch(name)]


def _devices_of(data: bytes, name: str) -> list[str]:
    """List the devices of a specification; one that can't be read has none, as for the engines."""
    try:
        text = data.decode("utf-8")
        # Specifications in JSON may be indented by tabs, which YAML has no place for.
        document = json.loads(text) if name.endswith(".json") else parse_yaml(text, name="a CDI specification")
    except (LockfileError, ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    kind, devices = document.get("kind"), document.get("devices")
    if not isinstance(kind, str) or not isinstance(devices, list):
        return []
    names = (row.get("name") for row in devices[:_MOST_DEVICES] if isinstance(row, dict))
    return [f"{kind}={one}" for one in names if isinstance(one, str)]


def _vendors(system: SystemRoot) -> frozenset[str]:
    """Tell whose GPU and kernel driver are here; AMD's also needs the compute interface, `/dev/kfd`."""
    rendering = any(name.startswith("renderD") for name in system.names("/dev/dri"))
    intel = any(gpu.vendor == VENDOR_INTEL and gpu.driver in _INTEL for gpu in list_pci_gpus(system))
    found = {
        NVIDIA: any(system.exists(place) for place in _NVIDIA),
        AMD: system.exists("/dev/kfd") and rendering,
        INTEL: intel and rendering,
    }
    return frozenset(vendor for vendor, there in found.items() if there)


def _groups(system: SystemRoot) -> tuple[int, ...]:
    nodes = ["/dev/kfd", *(f"/dev/dri/{name}" for name in system.names("/dev/dri"))]
    groups: set[int] = set()
    for node in nodes:
        try:
            status = system.place(system.resolve(node)).lstat()
        except (OSError, ValueError):
            continue
        if not stat.S_ISDIR(status.st_mode):
            groups.add(status.st_gid)
    return tuple(sorted(groups - {0}))
