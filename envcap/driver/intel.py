"""What a machine has of Intel's: GPUs on the bus, the kernel driver that has them, the compute runtime's package.

Intel publishes no table of kernels and runtimes that go together, so the pair that worked is recorded
(`notes/gpu.md` §2h). Source: Linux `Documentation/gpu/xe`, `i915`; packages of intel/compute-runtime, which were
`intel-level-zero-gpu` and are `libze-intel-gpu1` now.
"""

from envcap.dpkg import read_status
from envcap.driver.allowed import kernel_release, package_version
from envcap.driver.facts import VendorFacts
from envcap.driver.pci import VENDOR_INTEL, PciGpu
from envcap.driver.root import SystemRoot
from envcap.gpu.model import INTEL, GpuDevice, GpuDriver, GpuGap

_RELEASE = "/proc/sys/kernel/osrelease"
_STATUS = "/var/lib/dpkg/status"
_RUNTIMES = ("libze-intel-gpu1", "intel-level-zero-gpu", "intel-opencl-icd")
_DRIVERS = ("xe", "i915")


def capture_intel(root: SystemRoot, *, pci: tuple[PciGpu, ...]) -> VendorFacts:
    """Capture Intel's driver and devices.

    Args:
        root: The system.
        pci: GPUs on the bus, of any maker.
    """
    found = [gpu for gpu in pci if gpu.vendor == VENDOR_INTEL and gpu.display and gpu.driver != "vfio-pci"]
    devices = tuple(
        GpuDevice(
            vendor=INTEL,
            name=gpu.model or "unknown",
            pci=gpu.model,
            traits={"driver": gpu.driver} if gpu.driver in _DRIVERS else {},
        )
        for gpu in found
    )
    if not devices:
        return VendorFacts()
    names = [name for name in _DRIVERS if any(gpu.driver == name for gpu in found)]
    if not names:
        return VendorFacts(devices=devices, gaps=(GpuGap(fact="driver", why="Intel's driver is not loaded"),))
    kernel = kernel_release(root.read(_RELEASE))
    outside = {
        f"/sys/module/{name}/version": kernel_release(root.read(f"/sys/module/{name}/version")) for name in names
    }
    packages = _read_packages(root)
    sources = {_RELEASE: kernel, **outside, **packages}
    gaps = [] if packages else [GpuGap(fact="compute-runtime", why="no package of it is installed")]
    if not root.exists("/dev/dri"):
        gaps.append(GpuGap(fact="devices", why="/dev/dri is not there: a container needs it to compute"))
    return VendorFacts(
        driver=GpuDriver(
            vendor=INTEL,
            version=kernel,
            user=next((packages[name] for name in _RUNTIMES if name in packages), ""),
            # A module of the kernel's own has no version; one from Intel's packages has.
            flavour="dkms" if any(outside.values()) else "in-tree",
            sources={name: value for name, value in sorted(sources.items()) if value},
        ),
        devices=devices,
        gaps=tuple(gaps),
    )


def _read_packages(root: SystemRoot) -> dict[str, str]:
    found: dict[str, str] = {}
    for fields in read_status(root.place(root.resolve(_STATUS))):
        if fields.get("Package") in _RUNTIMES and fields.get("Status", "").endswith(" installed"):
            version = package_version(fields.get("Version", ""))
            if version:
                found[fields["Package"]] = version
    return found
