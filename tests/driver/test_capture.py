"""Whole machines: NVIDIA's through the real nvidia-ml-py and a stand-in for NVML, AMD's and Intel's through files."""

import os
import shutil
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from envcap.driver import Asker, Outcome, ProgramRunner, capture_gpu
from envcap.finding import FindingLevel
from envcap.gpu.model import GpuDevice, GpuDriver, GpuMachine
from tests.driver.conftest import Stubs
from tests.driver.systems import LIBRARIES, OPEN, PROPRIETARY, FakeSystem, gpu

A100 = {
    "name": "NVIDIA A100-SXM4-80GB",
    "arch": "8.0",
    "mib": 81920,
    "pci": "0x20b210de",
    "ecc": 1,
    "mig": 0,
    "persistence": 1,
    "compute_mode": 0,
    "links": 12,
    "virtualization": 0,
}
NO_DEVICES = {"driver": "550.54.15", "cuda": 12040, "count": 0}
NOT_SUPPORTED = "NVML 3: not supported"


def codes(findings: tuple[object, ...]) -> list[str]:
    return [getattr(finding, "code", "") for finding in findings]


def whys(machine: GpuMachine) -> list[tuple[str, str]]:
    return [(gap.fact, gap.why) for gap in machine.gaps]


def test_eight_a100_are_one_row_with_every_source_that_told_of_the_driver(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15", device=0x20B2)
    devices = {key: value for index in range(8) for key, value in gpu(index, **A100).items()}
    system.nvml(stubs.nvml(), {"driver": "550.54.15", "cuda": 12040, "count": 8, **devices})
    system.library(stubs.cuda(12040), "libcuda.so.1", "550.54.15")

    machine, findings = system.capture()

    assert machine == GpuMachine(
        context="bare",
        drivers=(
            GpuDriver(
                vendor="nvidia",
                version="550.54.15",
                user="550.54.15",
                api="12.4",
                flavour="open",
                library="host",
                sources={
                    "/proc/driver/nvidia/version": "550.54.15",
                    "/sys/module/nvidia/version": "550.54.15",
                    "NVML": "550.54.15",
                    "cuDriverGetVersion": "12.4",
                    "libcuda.so.1": "550.54.15",
                    "libnvidia-ml.so.1": "550.54.15",
                    "nvmlSystemGetCudaDriverVersion": "12.4",
                },
            ),
        ),
        devices=(
            GpuDevice(
                vendor="nvidia",
                name="NVIDIA A100-SXM4-80GB",
                arch="8.0",
                pci="10de:20b2",
                count=8,
                memory_mib=81920,
                traits={
                    "compute-mode": "default",
                    "ecc": "on",
                    "link": "nvlink:12",
                    "mig": "off",
                    "persistence": "on",
                },
            ),
        ),
    )
    assert findings == ()


def test_an_h100_with_mig_tells_of_its_instances(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("580.95.05", device=0x2330)
    facts = A100 | {"name": "NVIDIA H100 80GB HBM3", "arch": "9.0", "mib": 81559, "pci": "0x233010de", "links": 18}
    facts |= {"mig": 1, "migs": 7, "mig0": "3:40448", "mig1": "1:9984", "mig2": "1:9984"}
    system.nvml(
        stubs.nvml(), {"driver": "580.95.05", "cuda": 13000, "count": 1, **gpu(0, **facts)}, version="580.95.05"
    )

    machine, _ = system.capture()

    (device,) = machine.devices
    assert (device.name, device.arch, device.memory_mib) == ("NVIDIA H100 80GB HBM3", "9.0", 81559)
    assert device.traits["mig"] == "on"
    assert device.traits["mig-devices"] == "2 of 1g 9984 MiB, 1 of 3g 40448 MiB"
    assert device.traits["link"] == "nvlink:18"
    assert machine.gaps == ()


def test_an_rtx_4090_has_a_gap_for_mig_and_no_links(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("570.86.10", title=PROPRIETARY, device=0x2684)
    facts = {"name": "NVIDIA GeForce RTX 4090", "arch": "8.9", "mib": 24564, "pci": "0x268410de", "ecc": 0}
    system.nvml(
        stubs.nvml(),
        {"driver": "570.86.10", "cuda": 12080, "count": 1, **gpu(0, **facts, persistence=0, compute_mode=0)},
        version="570.86.10",
    )

    machine, findings = system.capture()

    assert machine.drivers[0].flavour == "proprietary"
    assert machine.devices[0].traits == {"compute-mode": "default", "ecc": "off", "persistence": "off"}
    assert whys(machine) == [("mig", NOT_SUPPORTED)]
    assert findings == ()


def test_a_v100_is_of_compute_capability_7_0(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("580.95.05", title=PROPRIETARY, device=0x1DB1)
    facts = A100 | {"name": "Tesla V100-SXM2-16GB", "arch": "7.0", "mib": 16384, "pci": "0x1db110de", "mig": "!3"}
    system.nvml(
        stubs.nvml(), {"driver": "580.95.05", "cuda": 13000, "count": 1, **gpu(0, **facts)}, version="580.95.05"
    )

    machine, _ = system.capture()

    assert [(device.name, device.arch, device.pci) for device in machine.devices] == [
        ("Tesla V100-SXM2-16GB", "7.0", "10de:1db1")
    ]


def test_two_different_gpus_are_two_rows_sorted_by_name(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    other = A100 | {"name": "NVIDIA A2", "arch": "8.6", "mib": 15356, "pci": "0x25b610de", "links": "!3"}
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 2} | gpu(0, **other) | gpu(1, **A100))

    machine, _ = system.capture()

    assert [(device.name, device.count) for device in machine.devices] == [
        ("NVIDIA A100-SXM4-80GB", 1),
        ("NVIDIA A2", 1),
    ]


def test_like_gpus_with_unlike_modes_are_two_rows(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 2} | gpu(0, **A100) | gpu(1, **A100 | {"ecc": 0}))

    machine, _ = system.capture()

    assert [(device.count, device.traits["ecc"]) for device in machine.devices] == [(1, "off"), (1, "on")]


def test_a_library_of_another_version_than_the_module_is_a_finding_and_the_kernel_s_devices_stay(
    system: FakeSystem, stubs: Stubs
) -> None:
    system.nvidia("550.54.14", model="NVIDIA A100-SXM4-80GB", device=0x20B2)
    system.nvml(stubs.nvml(), {"init": "!18"}, version="550.144.03")

    machine, findings = system.capture()

    assert machine.drivers[0].version == "550.54.14"
    assert machine.drivers[0].user == "550.144.03"
    assert [(device.name, device.pci) for device in machine.devices] == [("NVIDIA A100-SXM4-80GB", "10de:20b2")]
    assert whys(machine) == [("nvml", "NVML 18: driver and library versions differ")]
    assert [finding.message for finding in findings] == [
        (
            "The two halves of the NVIDIA driver differ (NVML 18): kernel module 550.54.14, libraries 550.144.03; "
            "restart the machine, or load the kernel module anew"
        )
    ]


def test_in_a_container_the_mismatch_is_the_container_s(system: FakeSystem, stubs: Stubs) -> None:
    system.write("/.dockerenv")
    system.nvidia("550.54.14", model="NVIDIA A100-SXM4-80GB")
    system.nvml(stubs.nvml(), {"init": "!18"}, version="550.144.03")

    machine, findings = system.capture()

    assert machine.context == "container"
    assert findings[0].message.endswith(
        "start the container anew, so that it gets the libraries of the driver that runs"
    )


def test_what_needs_permission_is_a_gap_with_its_code(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 2} | gpu(0, **A100 | {"ecc": "!4"}) | gpu(1, handle="!4"))

    machine, _ = system.capture()

    assert machine.devices[0].count == 1
    assert "ecc" not in machine.devices[0].traits
    assert whys(machine) == [
        ("devices", "NVML 4: no permission"),
        ("devices", "NVML told of 1 of 2 devices"),
        ("ecc", "NVML 4: no permission"),
    ]


def test_a_driver_without_permission_leaves_the_kernel_s_files(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15", model="NVIDIA L4", device=0x27B8)
    system.nvml(stubs.nvml(), {"init": "!4"})

    machine, _ = system.capture()

    assert [device.name for device in machine.devices] == ["NVIDIA L4"]
    assert whys(machine) == [("nvml", "NVML 4: no permission")]


def test_an_old_driver_without_newer_functions_tells_what_it_can(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("418.226.00", title=PROPRIETARY)
    facts = {"name": "Tesla T4", "arch": "7.5", "mib": 15109, "ecc": 1, "persistence": 0, "compute_mode": 3}
    system.nvml(
        stubs.nvml(old=True),
        {"driver": "418.226.00", "cuda": 10010, "count": 1, **gpu(0, **facts)},
        version="418.226.00",
    )

    machine, _ = system.capture()

    (device,) = machine.devices
    assert (device.name, device.arch, device.pci) == ("Tesla T4", "7.5", "")
    assert device.traits["compute-mode"] == "exclusive-process"
    missing = "NVML 13: function not found"
    assert whys(machine) == [("cuda", missing), ("mig", missing), ("pci", missing), ("virtualization", missing)]


def test_a_driver_that_is_loaded_without_a_device_has_none(system: FakeSystem, stubs: Stubs) -> None:
    system.write("/sys/module/nvidia/version", "550.54.15\n")
    system.write("/proc/driver/nvidia/version", OPEN.format("550.54.15"))
    system.nvml(stubs.nvml(), NO_DEVICES)

    machine, findings = system.capture()

    assert (machine.context, machine.devices, machine.gaps, findings) == ("", (), (), ())
    assert machine.drivers[0].version == "550.54.15"


def test_without_nvml_the_kernel_s_files_tell_driver_name_and_model(system: FakeSystem) -> None:
    system.nvidia("550.54.15", model="NVIDIA H100 80GB HBM3")

    machine, findings = system.capture()

    assert whys(machine) == [("nvml", "NVML 12: library not found")]
    assert machine.devices == (GpuDevice(vendor="nvidia", name="NVIDIA H100 80GB HBM3", pci="10de:2330"),)
    assert machine.drivers[0].version == "550.54.15"
    assert findings == ()


def test_libraries_without_a_driver_are_a_gap_and_no_gpu(system: FakeSystem, stubs: Stubs) -> None:
    system.nvml(stubs.nvml(), {"init": "!9"}, version="550.54.15")

    machine, _ = system.capture()

    assert (machine.context, machine.devices) == ("", ())
    assert whys(machine) == [("nvml", "NVML 9: driver not loaded")]
    assert machine.drivers == (
        GpuDriver(vendor="nvidia", user="550.54.15", sources={"libnvidia-ml.so.1": "550.54.15"}),
    )


@pytest.mark.parametrize("place", ["init", "0.arch", "1.arch"])
def test_a_library_that_hangs_costs_the_time_that_it_is_given(system: FakeSystem, stubs: Stubs, place: str) -> None:
    system.nvidia("550.54.15", model="NVIDIA A100-SXM4-80GB", device=0x20B2)
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 2, "hang": place} | gpu(0, **A100) | gpu(1, **A100))

    begun = time.monotonic()
    machine, _ = system.capture(timeout=5.0 if place == "1.arch" else 1.0)  # the first device's answer takes its time

    assert time.monotonic() - begun < 20
    assert whys(machine) == [("nvml", "no answer in time")]
    assert [(device.name, device.arch) for device in machine.devices] == [
        ("NVIDIA A100-SXM4-80GB", "8.0" if place == "1.arch" else "")
    ]


@pytest.mark.parametrize("place", ["init", "1.arch"])
def test_a_library_that_crashes_is_a_gap_and_what_it_told_before_stays(
    system: FakeSystem, stubs: Stubs, place: str
) -> None:
    system.nvidia("550.54.15", model="NVIDIA A100-SXM4-80GB", device=0x20B2)
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 2, "crash": place} | gpu(0, **A100) | gpu(1, **A100))

    machine, _ = system.capture()

    assert whys(machine) == [("nvml", "crashed (signal 11)")]
    assert machine.devices[0].arch == ("" if place == "init" else "8.0")


def test_a_virtual_gpu_is_of_context_vgpu(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    facts = A100 | {"name": "GRID A100D-10C", "virtualization": 2, "mig": "!3", "ecc": "!3"}
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 1} | gpu(0, **facts))

    assert system.capture()[0].context == "vgpu"


def test_a_libcuda_of_forward_compatibility_is_a_finding(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("535.216.01")
    system.nvml(
        stubs.nvml(), {"driver": "535.216.01", "cuda": 12020, "count": 1, **gpu(0, **A100)}, version="535.216.01"
    )
    system.library(stubs.cuda(12020), "libcuda.so.1", "535.216.01")
    system.library(stubs.cuda(13000), "libcuda.so.1", "580.65.06", folder="/usr/local/cuda-13.0/compat")
    system.environ["LD_LIBRARY_PATH"] = "/usr/local/cuda-13.0/compat"

    machine, findings = system.capture()

    (driver,) = machine.drivers
    assert (driver.version, driver.user, driver.api, driver.library) == ("535.216.01", "580.65.06", "13.0", "compat")
    assert [finding.message for finding in findings] == [
        (
            "The loader finds a libcuda 580.65.06 of forward compatibility over the kernel module 535.216.01: it "
            "serves data-center GPUs only, and hides the CUDA version of the driver itself"
        ),
        "NVML tells of CUDA 12.2, and the libcuda that programs load of CUDA 13.0",
    ]


@pytest.mark.parametrize(
    ("folder", "code"), [("/usr/local/cuda/lib64/stubs", 34), ("/usr/local/cuda/lib64/stubs", 0), (LIBRARIES, 34)]
)
def test_a_libcuda_for_linking_is_a_stub_by_its_place_or_its_word(
    system: FakeSystem, stubs: Stubs, folder: str, code: int
) -> None:
    system.library(stubs.cuda(13000, code=code), "libcuda.so.1", "1.0", folder=folder)
    system.environ["LD_LIBRARY_PATH"] = folder

    machine, findings = system.capture()

    assert machine.drivers[0].library == "stub"
    assert codes(findings) == ["gpu-stub-libcuda"]
    assert (machine.context, machine.devices) == ("", ())


def test_a_libcuda_that_can_t_be_loaded_is_a_gap_without_the_loader_s_words(system: FakeSystem) -> None:
    system.nvidia("550.54.15", model="NVIDIA L4")
    system.write(f"{LIBRARIES}/libcuda.so.1", "\x7fELF\x02 and nothing more")

    assert ("libcuda", "libcuda: not loadable") in whys(system.capture()[0])


def test_wsl2_is_told_by_its_device_and_has_windows_driver(system: FakeSystem, stubs: Stubs) -> None:
    system.write("/dev/dxg")
    system.library(stubs.cuda(12070), "libcuda.so.1", "1.1", folder="/usr/lib/wsl/lib")
    system.library(stubs.nvml(), "libnvidia-ml.so.1", "1.0", folder="/usr/lib/wsl/lib")
    facts = {"driver": "566.36", "cuda": 12070, "count": 1}
    facts |= gpu(0, name="NVIDIA GeForce RTX 4070 Laptop GPU", arch="8.9", mib=8188, pci="0x286010de")
    system.environ["NVML_STUB"] = str(
        system.write("/nvml-stub", "".join(f"{key}={value}\n" for key, value in facts.items()))
    )

    machine, findings = system.capture()

    (driver,) = machine.drivers
    assert (machine.context, driver.version, driver.user, driver.library) == ("wsl2", "566.36", "", "wsl")
    assert machine.devices[0].name == "NVIDIA GeForce RTX 4070 Laptop GPU"
    assert [(finding.code, finding.level) for finding in findings] == [("gpu-wsl2", FindingLevel.NOTE)]


def test_a_jetson_is_told_by_its_release_and_its_device_tree(system: FakeSystem) -> None:
    system.write(
        "/etc/nv_tegra_release",
        "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 2023\n",
    )
    system.write("/proc/device-tree/model", "NVIDIA Orin NX Developer Kit\0")
    system.write("/proc/device-tree/compatible", "nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0")
    system.write("/dev/nvhost-ctrl-gpu")

    machine, findings = system.capture()

    assert machine.context == "jetson"
    assert machine.devices == (GpuDevice(vendor="nvidia", name="NVIDIA Orin NX Developer Kit", arch="8.7"),)
    assert [finding.message for finding in findings] == [
        "The GPU is a Jetson's (Jetson Linux 35.4.1): code for discrete GPUs is another"
    ]


def test_a_container_without_device_nodes_has_no_devices_though_the_host_has(system: FakeSystem) -> None:
    system.write("/.dockerenv")
    system.nvidia("550.54.15", model="NVIDIA A100-SXM4-80GB")
    (system.path / "dev/nvidiactl").unlink()

    machine, _ = system.capture()

    assert (machine.context, machine.devices) == ("", ())
    assert ("devices", "this container was started without NVIDIA devices") in whys(machine)
    assert machine.drivers[0].version == "550.54.15"


def test_a_gpu_under_another_kernel_driver_is_seen_by_its_model(system: FakeSystem) -> None:
    system.pci(0x10DE, 0x2684, driver="nouveau")

    machine, _ = system.capture()

    assert machine.devices == (GpuDevice(vendor="nvidia", name="10de:2684", pci="10de:2684"),)
    assert whys(machine) == [("driver", "NVIDIA's driver is not loaded (kernel driver: nouveau)")]


def test_a_gpu_that_is_passed_to_a_virtual_machine_is_not_this_system_s(system: FakeSystem) -> None:
    system.pci(0x10DE, 0x2684, driver="vfio-pci")

    assert system.capture() == (GpuMachine(), ())


def test_where_nvml_can_t_be_asked_nvidia_smi_is(system: FakeSystem) -> None:
    system.nvidia("550.54.15")
    row = "550.54.15, NVIDIA A100-SXM4-80GB, 81920, 0x20B210DE, Enabled, Enabled, Default, 8.0, Disabled"
    system.write("/usr/bin/nvidia-smi", f"#!/bin/sh\necho '{row}'\necho '{row}'\n").chmod(0o755)

    machine, _ = system.capture()

    assert machine.devices == (
        GpuDevice(
            vendor="nvidia",
            name="NVIDIA A100-SXM4-80GB",
            arch="8.0",
            pci="10de:20b2",
            count=2,
            memory_mib=81920,
            traits={"compute-mode": "default", "ecc": "on", "mig": "off", "persistence": "on"},
        ),
    )
    assert machine.drivers[0].sources["nvidia-smi"] == "550.54.15"


def test_sources_that_name_several_versions_are_a_finding(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    system.nvml(stubs.nvml(), NO_DEVICES | {"driver": "550.54.14"})

    assert [finding.message for finding in system.capture()[1]] == [
        (
            "The NVIDIA driver has several versions: /proc/driver/nvidia/version 550.54.15, /sys/module/nvidia/version "
            "550.54.15, NVML 550.54.14"
        )
    ]


def test_makers_stand_beside_each_other_in_order(system: FakeSystem, stubs: Stubs) -> None:
    system.nvidia("550.54.15")
    system.nvml(stubs.nvml(), NO_DEVICES | {"count": 1} | gpu(0, **A100))
    system.pci(0x8086, 0x9A60, driver="i915", address="0000:00:02.0")
    system.write("/sys/module/amdgpu/parameters/noretry", "-1\n")
    system.write("/sys/class/kfd/kfd/topology/nodes/1/properties", "simd_count 48\ngfx_target_version 110000\n")
    system.write("/proc/sys/kernel/osrelease", "6.8.0-45-generic\n")

    machine, _ = system.capture()

    assert [driver.vendor for driver in machine.drivers] == ["amd", "intel", "nvidia"]
    assert [device.vendor for device in machine.devices] == ["amd", "intel", "nvidia"]


def test_a_system_without_a_gpu_has_nothing_and_starts_nothing(system: FakeSystem) -> None:
    def refuse(argv: Sequence[str], *, timeout: float) -> Outcome:
        raise AssertionError(f"{argv[0]} was started")

    system.write("/proc/sys/kernel/osrelease", "6.8.0-45-generic\n")
    system.pci(0x1AF4, 0x1050)
    system.pci(0x10DE, 0x10F0, kind=0x040300, address="0000:01:00.1")  # the sound of a GPU's HDMI is no GPU

    assert capture_gpu(system.path, {}, asker=Asker(run=refuse)) == (GpuMachine(), ())


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists() or Path("/dev/kfd").exists(), reason="this machine has a GPU")
def test_without_a_gpu_capturing_this_machine_costs_less_than_30_ms() -> None:
    asker = Asker(run=ProgramRunner(environ=os.environ))
    took = []
    for _ in range(5):
        begun = time.process_time()
        capture_gpu(Path("/"), os.environ, asker=asker)
        took.append(time.process_time() - begun)
    assert min(took) < 0.03


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="this machine has no NVIDIA GPU")
def test_a_real_gpu_is_captured_with_its_architecture_and_its_driver() -> None:
    machine, _ = capture_gpu(Path("/"), os.environ, asker=Asker(run=ProgramRunner(environ=os.environ)))

    (driver,) = [driver for driver in machine.drivers if driver.vendor == "nvidia"]
    assert driver.version
    assert driver.api
    assert all(device.arch and device.memory_mib for device in machine.devices if device.vendor == "nvidia")


def test_nvidia_ml_py_that_is_not_installed_is_a_gap(system: FakeSystem, stubs: Stubs, tmp_path: Path) -> None:
    system.nvidia("550.54.15", model="NVIDIA L4")
    system.nvml(stubs.nvml(), NO_DEVICES)
    venv.create(tmp_path / "bare")

    machine, _ = system.capture(python=str(tmp_path / "bare/bin/python"))

    assert ("nvml", "nvidia-ml-py is not installed") in whys(machine)
    assert [device.name for device in machine.devices] == ["NVIDIA L4"]
