"""How a container gets the GPUs that a lock wants, decided from facts of the machine. Pure.

NVIDIA: by CDI (Container Device Interface, SPEC.md) where the engine has a specification of `nvidia.com/gpu`, else by
docker's `--gpus` where the NVIDIA Container Toolkit is set up. AMD and Intel: by CDI too, else by their device files;
their user space is in the image. A device file belongs to the groups `video` and `render`, which an image may not know
by name, so groups go by number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from envcap.errors import DifferenceError
from envcap.gpu.model import AMD, INTEL, NVIDIA, VENDOR_NAMES

DOCKER, PODMAN = "docker", "podman"

_KINDS = {NVIDIA: "nvidia.com/gpu", AMD: "amd.com/gpu", INTEL: "intel.com/gpu"}
_ALL = "all"
_NO_GPU = "run without one with `--no-gpu`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerHost:
    """What a machine can give to a container.

    Attributes:
        engine: `docker` or `podman`.
        rootless: Whether the engine runs without root.
        cdi: Devices that the engine can give by CDI: `nvidia.com/gpu=all`.
        nvidia_runtime: Whether docker has the NVIDIA Container Toolkit's runtime or hook, and a driver beneath.
        vendors: Makers whose GPU and kernel driver the machine has.
        groups: Groups other than root's that own the device files of AMD's and Intel's GPUs.
    """

    engine: str
    rootless: bool = False
    cdi: frozenset[str] = frozenset()
    nvidia_runtime: bool = False
    vendors: frozenset[str] = frozenset()
    groups: tuple[int, ...] = ()

    def offers(self, wanted: Iterable[str]) -> bool:
        """Tell whether it has GPUs of one of these makers, or can give some to a container."""
        return any(vendor in self.vendors or _access(vendor, self) for vendor in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuAccess:
    """How a container gets GPUs.

    Attributes:
        options: For `docker run` or `podman run`.
        words: The same for people: `NVIDIA by CDI`; empty if there is nothing to say.
    """

    options: tuple[str, ...] = ()
    words: str = ""


def choose_gpu_access(wanted: Iterable[str], host: ContainerHost) -> GpuAccess:
    """Choose the options that give a container the GPUs that its lock wants.

    Args:
        wanted: Makers whose devices the lock wants (`wanted_vendors`); with several, those that are there will do.
        host: The machine.

    Raises:
        DifferenceError: The lock wants a GPU, and the machine has none or can't give it to a container.
    """
    wanted = tuple(wanted)
    found = [access for vendor in wanted if (access := _access(vendor, host))]
    if wanted and not found:
        raise _nothing(wanted, host)
    options = dict.fromkeys(option for access in found for option in access.options)
    if found and host.engine == PODMAN:
        # Device files have no label that a confined container may open ("Support for Container Device Interface" of
        # NVIDIA's toolkit runs podman like this). Without SELinux it says nothing.
        options["--security-opt=label=disable"] = None
    return GpuAccess(options=tuple(options), words=", ".join(access.words for access in found))


def withhold_gpus(wanted: Iterable[str]) -> GpuAccess:
    """Give the options of a container that shall have no GPU, whatever its image asks for.

    NVIDIA's runtime, where it is docker's default one, obeys the image's NVIDIA_VISIBLE_DEVICES; `void` makes it behave
    as runc does (NVIDIA Container Toolkit, "Specialized Configurations with Docker").
    """
    return GpuAccess(options=("--env=NVIDIA_VISIBLE_DEVICES=void",) if NVIDIA in wanted else ())


def _access(vendor: str, host: ContainerHost) -> GpuAccess | None:
    kind = _KINDS[vendor]
    devices = sorted(name for name in host.cdi if name.startswith(f"{kind}="))
    if devices:
        chosen = [f"{kind}={_ALL}"] if f"{kind}={_ALL}" in devices else devices
        return GpuAccess(options=tuple(f"--device={name}" for name in chosen), words=f"{VENDOR_NAMES[vendor]} by CDI")
    if vendor == NVIDIA:
        if host.engine == DOCKER and host.nvidia_runtime:
            return GpuAccess(options=("--gpus=all",), words="NVIDIA by `--gpus`")
        return None
    if vendor not in host.vendors:
        return None
    nodes = ("/dev/kfd", "/dev/dri") if vendor == AMD else ("/dev/dri",)
    options = [f"--device={node}" for node in nodes] + _group_options(host)
    return GpuAccess(options=tuple(options), words=f"{VENDOR_NAMES[vendor]} by {' and '.join(nodes)}")


def _group_options(host: ContainerHost) -> list[str]:
    """Keep the rights that device files give to groups."""
    if host.engine == PODMAN and host.rootless:
        # A user namespace has no number for the host's groups (podman-run(1), `--group-add`).
        return ["--group-add=keep-groups"] if host.groups else []
    return [f"--group-add={group}" for group in sorted(host.groups)]


def _nothing(wanted: tuple[str, ...], host: ContainerHost) -> DifferenceError:
    names = " or ".join(VENDOR_NAMES[vendor] for vendor in wanted)
    if NVIDIA in wanted and NVIDIA in host.vendors:
        setup = (
            "run `nvidia-ctk runtime configure --runtime=docker` and restart docker"
            if host.engine == DOCKER
            else "run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
        )
        return DifferenceError(
            f"The lock wants an NVIDIA GPU and this machine has one, but {host.engine} can't give it to a container "
            f"(expected a CDI specification of nvidia.com/gpu{' or the nvidia runtime' * (host.engine == DOCKER)})",
            hint=f"install the NVIDIA Container Toolkit, {setup}, or {_NO_GPU}",
        )
    return DifferenceError(
        f"The lock wants a GPU ({names}), and {host.engine} has none to give on this machine",
        hint=f"run it on a machine with such a GPU, or {_NO_GPU}",
    )
