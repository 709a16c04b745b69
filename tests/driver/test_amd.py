"""AMD's driver and devices, by files of the kernel and of ROCm."""

import pytest

from envcap.driver.amd import decode_gfx
from envcap.gpu.model import GpuDevice, GpuDriver, GpuGap
from tests.driver.systems import FakeSystem

NODE = "/sys/class/kfd/kfd/topology/nodes/1"
MI300X = """cpu_cores_count 0
simd_count 1216
mem_banks_count 1
capability 746602112
gfx_target_version 90402
vendor_id 4098
device_id 29857
location_id 25856
domain 0
unique_id 11660285186523546627
"""


def install_mi300x(system: FakeSystem) -> None:
    system.write("/dev/kfd")
    system.write("/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 96\nsimd_count 0\nvendor_id 0\n")
    system.write(f"{NODE}/properties", MI300X)
    system.write(f"{NODE}/mem_banks/0/properties", "heap_type 1\nsize_in_bytes 206141652992\nflags 0\n")
    system.write(f"{NODE}/mem_banks/1/properties", "heap_type 0\nsize_in_bytes 999999999999\n")
    for link in range(7):
        system.write(f"{NODE}/io_links/{link}/properties", "type 11\nnode_to 2\n")
    system.write(f"{NODE}/io_links/7/properties", "type 2\nnode_to 0\n")
    folder = system.pci(0x1002, 0x74A1, driver="amdgpu", kind=0x120000)
    system.write(f"{folder}/product_name", "AMD Instinct MI300X OAM\n")
    system.write(f"{folder}/current_compute_partition", "SPX\n")
    system.write(f"{folder}/current_memory_partition", "NPS1\n")
    system.write("/proc/sys/kernel/osrelease", "5.15.0-117-generic\n")
    system.write("/sys/module/amdgpu/parameters/noretry", "0\n")


def test_an_mi300x_with_amd_s_own_module(system: FakeSystem) -> None:
    install_mi300x(system)
    system.write("/sys/module/amdgpu/version", "6.8.5\n")
    system.write("/opt/rocm/.info/version", "6.2.4-139\n")

    machine, findings = system.capture()

    assert machine.drivers == (
        GpuDriver(
            vendor="amd",
            version="6.8.5",
            user="6.2.4",
            flavour="dkms",
            sources={
                "/proc/sys/kernel/osrelease": "5.15.0-117",
                "/sys/module/amdgpu/version": "6.8.5",
                "rocm/.info/version": "6.2.4",
            },
        ),
    )
    assert machine.devices == (
        GpuDevice(
            vendor="amd",
            name="AMD Instinct MI300X OAM",
            arch="gfx942",
            pci="1002:74a1",
            memory_mib=196592,
            traits={"ecc": "on", "link": "xgmi:7", "partition": "SPX/NPS1", "xnack": "on"},
        ),
    )
    assert (machine.context, machine.gaps, findings) == ("bare", (), ())


def test_the_kernel_s_own_module_has_the_kernel_s_release(system: FakeSystem) -> None:
    install_mi300x(system)

    (driver,) = system.capture()[0].drivers

    assert (driver.version, driver.flavour, driver.user) == ("5.15.0-117", "in-tree", "")


def test_rocm_is_looked_for_where_the_user_says(system: FakeSystem) -> None:
    install_mi300x(system)
    system.write("/opt/rocm/.info/version", "6.2.4-139\n")
    system.write("/opt/rocm-7.0.1/.info/version", "7.0.1\n")
    system.environ["ROCM_PATH"] = "/opt/rocm-7.0.1"

    assert system.capture()[0].drivers[0].user == "7.0.1"


def test_an_override_of_the_architecture_is_a_finding_and_the_true_one_stays(system: FakeSystem) -> None:
    install_mi300x(system)
    system.environ |= {"HSA_OVERRIDE_GFX_VERSION": "10.3.0", "HSA_XNACK": "0"}

    machine, findings = system.capture()

    assert machine.devices[0].arch == "gfx942"
    assert machine.devices[0].traits["xnack"] == "off"
    assert [finding.message for finding in findings] == [
        (
            "HSA_OVERRIDE_GFX_VERSION makes ROCm take gfx942 for gfx1030: code that runs here may not run on a server "
            "without it"
        )
    ]


def test_without_its_device_node_a_gpu_can_t_compute(system: FakeSystem) -> None:
    install_mi300x(system)
    (system.path / "dev/kfd").unlink()

    assert system.capture()[0].gaps == (
        GpuGap(fact="devices", why="/dev/kfd is not there: a container needs it to compute"),
    )


def test_a_topology_that_can_t_be_read_is_a_gap(system: FakeSystem) -> None:
    system.write("/sys/module/amdgpu/refcnt", "1\n")
    system.write(f"{NODE}/properties")
    system.pci(0x1002, 0x73BF, driver="amdgpu")

    machine, _ = system.capture()

    assert machine.devices == (GpuDevice(vendor="amd", name="1002:73bf", pci="1002:73bf"),)
    assert machine.gaps == (GpuGap(fact="devices", why="the kernel's compute topology is not readable"),)


def test_a_gpu_without_amd_s_driver_is_seen_by_its_model(system: FakeSystem) -> None:
    system.pci(0x1002, 0x73BF)

    machine, _ = system.capture()

    assert machine.devices == (GpuDevice(vendor="amd", name="1002:73bf", pci="1002:73bf"),)
    assert machine.gaps == (GpuGap(fact="driver", why="AMD's driver is not loaded"),)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (90010, "gfx90a"),
        (90012, "gfx90c"),
        (90402, "gfx942"),
        (90500, "gfx950"),
        (100306, "gfx1036"),
        (110501, "gfx1151"),
        (120001, "gfx1201"),
        (80003, "gfx803"),
        (0, ""),
        (-1, ""),
        (90099, ""),
        (10**20, ""),
    ],
)
def test_the_stepping_of_an_architecture_is_hexadecimal(number: int, name: str) -> None:
    assert decode_gfx(number) == name


def test_a_gpu_too_old_for_compute_is_seen_by_its_model(system: FakeSystem) -> None:
    system.write("/sys/module/amdgpu/refcnt", "1\n")
    system.write("/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 8\nsimd_count 0\n")
    system.pci(0x1002, 0x6613, driver="amdgpu")

    machine, _ = system.capture()

    assert machine.devices == (GpuDevice(vendor="amd", name="1002:6613", pci="1002:6613"),)
    assert machine.gaps == (GpuGap(fact="arch", why="the kernel's compute topology has no GPU"),)
