"""How a container gets its GPUs, as a table of what machines have."""

from dataclasses import replace

import pytest

from envcap.errors import DifferenceError
from envcap.gpu.container import DOCKER, PODMAN, ContainerHost, GpuAccess, choose_gpu_access, withhold_gpus
from envcap.gpu.model import AMD, INTEL, NVIDIA

NVIDIA_CDI = frozenset({"nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all"})
BARE = ContainerHost(engine=DOCKER)
AMD_HOST = ContainerHost(engine=DOCKER, vendors=frozenset({AMD}), groups=(992, 44))
INTEL_HOST = ContainerHost(engine=DOCKER, vendors=frozenset({INTEL}), groups=(44,))

CHOSEN = {
    "nothing wanted, nothing there": ([], BARE, [], ""),
    "nothing wanted, a GPU there": ([], replace(BARE, cdi=NVIDIA_CDI, nvidia_runtime=True), [], ""),
    "docker with CDI": ([NVIDIA], replace(BARE, cdi=NVIDIA_CDI), ["--device=nvidia.com/gpu=all"], "NVIDIA by CDI"),
    "podman with CDI": (
        [NVIDIA],
        replace(BARE, engine=PODMAN, cdi=NVIDIA_CDI, rootless=True),
        ["--device=nvidia.com/gpu=all", "--security-opt=label=disable"],
        "NVIDIA by CDI",
    ),
    "CDI before the runtime": (
        [NVIDIA],
        replace(BARE, cdi=NVIDIA_CDI, nvidia_runtime=True),
        ["--device=nvidia.com/gpu=all"],
        "NVIDIA by CDI",
    ),
    "docker with the runtime": ([NVIDIA], replace(BARE, nvidia_runtime=True), ["--gpus=all"], "NVIDIA by `--gpus`"),
    "CDI without a name for all": (
        [INTEL],
        replace(BARE, cdi=frozenset({"intel.com/gpu=card1", "intel.com/gpu=card0"})),
        ["--device=intel.com/gpu=card0", "--device=intel.com/gpu=card1"],
        "Intel by CDI",
    ),
    "CDI of another class is none": (
        [AMD],
        replace(AMD_HOST, cdi=frozenset({"amd.com/gpu-mem=all"}), groups=()),
        ["--device=/dev/kfd", "--device=/dev/dri"],
        "AMD by /dev/kfd and /dev/dri",
    ),
    "AMD by files": (
        [AMD],
        AMD_HOST,
        ["--device=/dev/kfd", "--device=/dev/dri", "--group-add=44", "--group-add=992"],
        "AMD by /dev/kfd and /dev/dri",
    ),
    "AMD by files, rootless podman": (
        [AMD],
        replace(AMD_HOST, engine=PODMAN, rootless=True),
        ["--device=/dev/kfd", "--device=/dev/dri", "--group-add=keep-groups", "--security-opt=label=disable"],
        "AMD by /dev/kfd and /dev/dri",
    ),
    "AMD by files, rootless docker": (
        [AMD],
        replace(AMD_HOST, rootless=True),
        ["--device=/dev/kfd", "--device=/dev/dri", "--group-add=44", "--group-add=992"],
        "AMD by /dev/kfd and /dev/dri",
    ),
    "AMD by CDI": (
        [AMD], replace(AMD_HOST, cdi=frozenset({"amd.com/gpu=all"})), ["--device=amd.com/gpu=all"], "AMD by CDI",
    ),
    "Intel by files": ([INTEL], INTEL_HOST, ["--device=/dev/dri", "--group-add=44"], "Intel by /dev/dri"),
    "two wanted, one there": (
        [INTEL, NVIDIA], replace(BARE, nvidia_runtime=True), ["--gpus=all"], "NVIDIA by `--gpus`",
    ),
    "two wanted, both there, each option once": (
        [AMD, INTEL],
        replace(AMD_HOST, vendors=frozenset({AMD, INTEL}), groups=(44,)),
        ["--device=/dev/kfd", "--device=/dev/dri", "--group-add=44"],
        "AMD by /dev/kfd and /dev/dri, Intel by /dev/dri",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "host", "options", "words"), CHOSEN.values(), ids=CHOSEN)
def test_the_way_follows_from_the_machine(
    wanted: list[str], host: ContainerHost, options: list[str], words: str
) -> None:
    assert choose_gpu_access(wanted, host) == GpuAccess(options=tuple(options), words=words)


CANT = "The lock wants an NVIDIA GPU and this machine has one, but {} can't give it to a container (expected a "

NONE = {
    "no GPU": ([NVIDIA], BARE, "The lock wants a GPU (NVIDIA), and docker has none to give on this machine"),
    "another's GPU": (
        [AMD, INTEL],
        replace(BARE, cdi=NVIDIA_CDI, nvidia_runtime=True, vendors=frozenset({NVIDIA})),
        "The lock wants a GPU (AMD or Intel), and docker has none to give on this machine",
    ),
    "podman takes no runtime of docker's": (
        [NVIDIA],
        replace(BARE, engine=PODMAN, nvidia_runtime=True),
        "The lock wants a GPU (NVIDIA), and podman has none to give on this machine",
    ),
    "docker without the toolkit": (
        [NVIDIA],
        replace(BARE, vendors=frozenset({NVIDIA})),
        CANT.format("docker") + "CDI specification of nvidia.com/gpu or the nvidia runtime)",
    ),
    "podman without a specification": (
        [NVIDIA],
        replace(BARE, engine=PODMAN, vendors=frozenset({NVIDIA})),
        CANT.format("podman") + "CDI specification of nvidia.com/gpu)",
    ),
}


@pytest.mark.parametrize(("wanted", "host", "message"), NONE.values(), ids=NONE)
def test_a_machine_without_the_gpu_is_one_line_with_a_way_out(
    wanted: list[str], host: ContainerHost, message: str
) -> None:
    with pytest.raises(DifferenceError) as caught:
        choose_gpu_access(wanted, host)
    assert caught.value.message == message
    assert caught.value.hint.endswith("run without one with `--no-gpu`")


def test_a_container_without_gpu_gets_none_from_a_default_runtime() -> None:
    assert withhold_gpus([NVIDIA]).options == ("--env=NVIDIA_VISIBLE_DEVICES=void",)
    assert withhold_gpus([AMD]) == withhold_gpus([]) == GpuAccess()


@pytest.mark.parametrize(
    ("wanted", "host", "offers"),
    [
        ([NVIDIA], BARE, False),
        ([NVIDIA], replace(BARE, vendors=frozenset({NVIDIA})), True),
        ([NVIDIA], replace(BARE, cdi=NVIDIA_CDI), True),
        ([AMD], replace(BARE, cdi=NVIDIA_CDI), False),
        ([], replace(BARE, cdi=NVIDIA_CDI), False),
    ],
)
def test_a_gpu_that_can_t_be_given_is_there_all_the_same(
    wanted: list[str], host: ContainerHost, *, offers: bool
) -> None:
    assert host.offers(wanted) is offers
