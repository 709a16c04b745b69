"""What a machine can give to a container: CDI specifications, device files, loaded drivers."""

import json
import os
from dataclasses import replace

import pytest

from envcap.driver.container import CDI_FOLDERS, look_for_container_gpus
from envcap.gpu.container import DOCKER, PODMAN, ContainerHost
from envcap.gpu.model import AMD, INTEL, NVIDIA
from envcap.oci.engine_facts import EngineFacts
from tests.driver.systems import FakeSystem

NOTHING = EngineFacts()
WITH_CDI = EngineFacts(cdi_folders=CDI_FOLDERS)
YAML = """cdiVersion: "0.5.0"
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: all
"""


def specification(kind: object, *names: object) -> str:
    devices = [{"name": name, "containerEdits": {}} for name in names]
    return json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": devices}, indent="\t")


def test_a_bare_machine_offers_nothing(system: FakeSystem) -> None:
    for engine in (DOCKER, PODMAN):
        assert look_for_container_gpus(system.path, engine, NOTHING) == ContainerHost(engine=engine)


def test_specifications_are_found_in_yaml_and_json(system: FakeSystem) -> None:
    system.write("/etc/cdi/nvidia.yaml", YAML)
    system.write("/run/cdi/amd.json", specification("amd.com/gpu", "all"))
    system.link("/var/run", "/run")
    found = look_for_container_gpus(system.path, PODMAN, NOTHING)
    assert found.cdi == {"nvidia.com/gpu=0", "nvidia.com/gpu=all", "amd.com/gpu=all"}


def test_docker_s_specifications_count_where_it_says_that_it_reads_them(system: FakeSystem) -> None:
    system.write("/etc/cdi/nvidia.yaml", YAML)
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).cdi == frozenset()
    assert "nvidia.com/gpu=all" in look_for_container_gpus(system.path, DOCKER, WITH_CDI).cdi


def test_devices_that_docker_found_itself_count(system: FakeSystem) -> None:
    facts = EngineFacts(cdi_devices=frozenset({"nvidia.com/gpu=all", "--privileged"}))
    assert look_for_container_gpus(system.path, DOCKER, facts).cdi == {"nvidia.com/gpu=all"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{"),
        ("a.json", "[" * 100_000),
        ("a.json", "[]"),
        ("a.json", '{"kind": "nvidia.com/gpu", "devices": {"name": "all"}}'),
        ("a.json", '{"kind": ["nvidia.com/gpu"], "devices": []}'),
        ("a.json", specification("nvidia.com/gpu", 1, None, "all --privileged", "", "-x", "a" * 1000)),
        ("a.json", specification("../gpu", "all")),
        ("a.yaml", "kind: &a nvidia.com/gpu\ndevices: [*a]\n"),
        ("a.yaml", "{" * 1000),
        ("a.yaml", "\0"),
        ("a.txt", YAML),
        (".a.yaml", YAML),
    ],
)
def test_a_specification_that_is_none_offers_nothing(system: FakeSystem, name: str, text: str) -> None:
    system.write(f"/etc/cdi/{name}", text)
    assert look_for_container_gpus(system.path, PODMAN, NOTHING).cdi == frozenset()


@pytest.mark.parametrize("hook", [False, True])
def test_the_toolkit_is_seen_as_runtime_or_as_hook(system: FakeSystem, *, hook: bool) -> None:
    if hook:
        system.write("/usr/bin/nvidia-container-runtime-hook")
    facts = EngineFacts(runtimes=frozenset({"runc"} if hook else {"runc", "nvidia"}))
    assert not look_for_container_gpus(system.path, DOCKER, facts).nvidia_runtime  # a login node has no driver
    system.nvidia("580.95.05")
    assert look_for_container_gpus(system.path, DOCKER, facts).nvidia_runtime


def test_of_an_engine_elsewhere_only_its_own_words_count(system: FakeSystem) -> None:
    system.nvidia("580.95.05")
    system.write("/proc/sys/kernel/hostname", "here\n")
    system.write("/etc/cdi/nvidia.yaml", YAML)
    facts = EngineFacts(host="there", cdi_folders=CDI_FOLDERS, cdi_devices=frozenset({"amd.com/gpu=all"}))
    assert look_for_container_gpus(system.path, DOCKER, facts) == ContainerHost(
        engine=DOCKER, cdi=frozenset({"amd.com/gpu=all"})
    )
    found = look_for_container_gpus(system.path, DOCKER, replace(facts, runtimes=frozenset({"nvidia"})))
    assert found.nvidia_runtime
    found = look_for_container_gpus(system.path, DOCKER, replace(facts, host="here"))
    assert found.vendors == {NVIDIA}
    assert "nvidia.com/gpu=all" in found.cdi


def test_vendors_are_those_with_a_loaded_driver(system: FakeSystem) -> None:
    system.nvidia("580.95.05")
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == {NVIDIA}
    system.write("/dev/kfd")
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == {NVIDIA}
    system.write("/dev/dri/renderD128")
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == {NVIDIA, AMD}


@pytest.mark.parametrize(("driver", "vendors"), [("xe", {INTEL}), ("i915", {INTEL}), ("vfio-pci", set()), ("", set())])
def test_an_intel_gpu_counts_with_its_driver_and_a_render_node(
    system: FakeSystem, driver: str, vendors: set[str]
) -> None:
    system.pci(0x8086, 0x56A0, driver=driver)
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == frozenset()
    system.write("/dev/dri/renderD128")
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == vendors


def test_an_accelerator_of_wsl_is_nvidia_s(system: FakeSystem) -> None:
    system.write("/usr/lib/wsl/lib/libcuda.so.1")
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).vendors == {NVIDIA}


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to a group needs root")
def test_groups_are_those_of_device_files_without_root_s(system: FakeSystem) -> None:
    for number, (name, group) in enumerate([("kfd", 992), ("dri/renderD128", 992), ("dri/card0", 44), ("dri/x", 0)]):
        os.chown(system.write(f"/dev/{name}", str(number)), 0, group)
    (system.path / "dev/dri/by-path").mkdir()
    os.chown(system.path / "dev/dri/by-path", 0, 7)
    assert look_for_container_gpus(system.path, DOCKER, NOTHING).groups == (44, 992)
