"""Intel's driver and devices, by the bus, the kernel and dpkg."""

from envcap.gpu.model import GpuDevice, GpuDriver, GpuGap, GpuMachine
from tests.driver.systems import FakeSystem

STATUS = """Package: libze-intel-gpu1
Status: install ok installed
Version: 25.18.33578.15-1~24.04~ppa3

Package: intel-opencl-icd
Status: deinstall ok config-files
Version: 23.43.27642.40-1
"""


def test_an_arc_under_xe_with_its_compute_runtime(system: FakeSystem) -> None:
    system.pci(0x8086, 0xE20B, driver="xe")
    system.write("/dev/dri/renderD128")
    system.write("/proc/sys/kernel/osrelease", "6.14.0-24-generic\n")
    system.write("/var/lib/dpkg/status", STATUS)

    machine, findings = system.capture()

    assert machine == GpuMachine(
        context="bare",
        drivers=(
            GpuDriver(
                vendor="intel",
                version="6.14.0-24",
                user="25.18.33578.15-1",
                flavour="in-tree",
                sources={
                    "/proc/sys/kernel/osrelease": "6.14.0-24",
                    "libze-intel-gpu1": "25.18.33578.15-1",
                },
            ),
        ),
        devices=(GpuDevice(vendor="intel", name="8086:e20b", pci="8086:e20b", traits={"driver": "xe"}),),
    )
    assert findings == ()


def test_an_old_gpu_under_i915_without_a_runtime_has_a_gap(system: FakeSystem) -> None:
    system.pci(0x8086, 0x9A60, driver="i915")
    system.write("/proc/sys/kernel/osrelease", "5.10.0-32-amd64\n")
    system.write("/sys/module/i915/version", "1.24.4\n")

    machine, _ = system.capture()

    assert (machine.drivers[0].version, machine.drivers[0].flavour) == ("5.10.0-32", "dkms")
    assert machine.devices[0].traits == {"driver": "i915"}
    assert machine.gaps == (
        GpuGap(fact="compute-runtime", why="no package of it is installed"),
        GpuGap(fact="devices", why="/dev/dri is not there: a container needs it to compute"),
    )


def test_a_gpu_without_a_driver_is_seen_by_its_model(system: FakeSystem) -> None:
    system.pci(0x8086, 0xE20B)

    machine, _ = system.capture()

    assert machine.drivers == ()
    assert [device.pci for device in machine.devices] == ["8086:e20b"]
    assert machine.gaps == (GpuGap(fact="driver", why="Intel's driver is not loaded"),)
