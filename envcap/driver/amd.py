"""What a machine has of AMD's: the kernel's compute topology, amdgpu's version, ROCm's.

Sources: Linux `drivers/gpu/drm/amd/amdkfd/kfd_topology.c` and `kfd_topology.h` (properties of nodes, heap types, bit
26 of the capabilities, link type 11), ROCm's rocprofiler-sdk `agent.cpp` (`gfx{}{}{:x}`: the stepping is
hexadecimal), ROCR-Runtime (HSA_OVERRIDE_GFX_VERSION, HSA_XNACK), rocm-core (`.info/version`). `unique_id`, serial
numbers and the like are never read.
"""

import re
from collections.abc import Mapping

from envcap.driver.allowed import decimal, kernel_release, pci_id, product
from envcap.driver.facts import VendorFacts, known_only
from envcap.driver.pci import VENDOR_AMD, PciGpu
from envcap.driver.root import SystemRoot
from envcap.finding import Finding
from envcap.gpu.model import AMD, GpuDevice, GpuDriver, GpuGap

_MODULE = "/sys/module/amdgpu"
_NODES = "/sys/class/kfd/kfd/topology/nodes"
_RELEASE = "/proc/sys/kernel/osrelease"
_ROCM = "/opt/rocm"
_MAX_NODES = 256
_MAX_BANKS = 64
_FRAME_BUFFERS = {"1", "2"}  # HSA_MEM_HEAP_TYPE_FB_PUBLIC and _PRIVATE
_XGMI = "11"
_SRAM_ECC = 1 << 26  # HSA_CAP_SRAM_EDCSUPPORTED
_MIB = 1 << 20
_MAX_MIB = 1 << 24
_MIN_GFX, _MAX_GFX = 10_000, 999_915
_SWITCHES = {"0": "off", "1": "on"}
_NORETRY = {"0": "on", "1": "off"}  # amdgpu's parameter says the opposite: 0 = retry faults
_PARTITION = re.compile(r"[A-Z]{2,4}\d{0,2}")
_ROCM_VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_OVERRIDE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})")


def capture_amd(root: SystemRoot, environ: Mapping[str, str], *, pci: tuple[PciGpu, ...]) -> VendorFacts:
    """Capture AMD's driver and devices.

    Args:
        root: The system.
        environ: The user's variables: ROCM_PATH, HSA_OVERRIDE_GFX_VERSION and HSA_XNACK are heeded.
        pci: GPUs on the bus, of any maker.
    """
    nodes = root.names(_NODES)[:_MAX_NODES]
    bus = tuple(gpu for gpu in pci if gpu.vendor == VENDOR_AMD and gpu.driver != "vfio-pci")
    if not root.exists(_MODULE) and not nodes:
        displays = [gpu for gpu in bus if gpu.display and gpu.model]
        gap = GpuGap(fact="driver", why="AMD's driver is not loaded")
        return VendorFacts(
            devices=tuple(GpuDevice(vendor=AMD, name=gpu.model, pci=gpu.model) for gpu in displays),
            gaps=(gap,) if displays else (),
        )
    gaps: list[GpuGap] = []
    devices: list[GpuDevice] = []
    for node in filter(str.isdecimal, nodes):
        facts = _properties(root, f"{_NODES}/{node}/properties")
        if not facts:
            gaps.append(GpuGap(fact="devices", why="the kernel's compute topology is not readable"))
        elif decimal(facts.get("simd_count", "")) > 0:
            devices.append(_read_device(root, environ, f"{_NODES}/{node}", facts))
    if not devices:
        devices = [GpuDevice(vendor=AMD, name=gpu.model, pci=gpu.model) for gpu in bus if gpu.display and gpu.model]
        if devices and not gaps:
            gaps.append(GpuGap(fact="arch", why="the kernel's compute topology has no GPU"))
    elif not root.exists("/dev/kfd"):
        gaps.append(GpuGap(fact="devices", why="/dev/kfd is not there: a container needs it to compute"))
    return VendorFacts(
        driver=_driver(root, environ),
        devices=tuple(devices),
        gaps=tuple(gaps),
        findings=_findings(environ, devices),
    )


def decode_gfx(number: int) -> str:
    """Write `gfx_target_version` as compilers do: 90010 is gfx90a, 110501 is gfx1151; nothing for a CPU's 0."""
    if not _MIN_GFX <= number <= _MAX_GFX:
        return ""
    major, minor, stepping = number // 10_000, number // 100 % 100, number % 100
    return f"gfx{major}{minor}{stepping:x}" if stepping < 16 else ""  # noqa: PLR2004  # one hexadecimal digit


def _driver(root: SystemRoot, environ: Mapping[str, str]) -> GpuDriver:
    # Only AMD's own package of the module (DKMS) has a version; the kernel's has none but the kernel's.
    dkms = kernel_release(root.read(f"{_MODULE}/version"))
    kernel = kernel_release(root.read(_RELEASE))
    folder = environ.get("ROCM_PATH", "")
    rocm = _ROCM_VERSION.match(root.read(f"{folder if folder.startswith('/') else _ROCM}/.info/version").strip())
    user = rocm[0] if rocm else ""
    sources = {f"{_MODULE}/version": dkms, _RELEASE: kernel, "rocm/.info/version": user}
    return GpuDriver(
        vendor=AMD,
        version=dkms or kernel,
        user=user,
        flavour="dkms" if dkms else "in-tree",
        sources={name: value for name, value in sorted(sources.items()) if value},
    )


def _read_device(root: SystemRoot, environ: Mapping[str, str], node: str, facts: Mapping[str, str]) -> GpuDevice:
    model = pci_id(decimal(facts.get("vendor_id", "")), decimal(facts.get("device_id", "")))
    folder = _bus_folder(facts)
    partitions = [
        text for name in ("compute", "memory") if (text := root.read(f"{folder}/current_{name}_partition").strip())
    ]
    xnack = _SWITCHES.get(environ.get("HSA_XNACK", "")) or _NORETRY.get(
        root.read(f"{_MODULE}/parameters/noretry").strip(), ""
    )
    links = sum(1 for link in _subfolders(root, f"{node}/io_links") if link.get("type") == _XGMI)
    capability = decimal(facts.get("capability", ""))
    traits = {
        "ecc": ("on" if capability & _SRAM_ECC else "off") if capability >= 0 else "",
        "link": f"xgmi:{links}" if links else "",
        "partition": "/".join(partitions) if all(map(_PARTITION.fullmatch, partitions)) else "",
        "xnack": xnack,
    }
    return GpuDevice(
        vendor=AMD,
        name=product(root.read(f"{folder}/product_name")) or model or "unknown",
        arch=decode_gfx(decimal(facts.get("gfx_target_version", ""))),
        pci=model,
        memory_mib=_memory(root, node),
        traits=known_only(traits),
    )


def _memory(root: SystemRoot, node: str) -> int:
    """Add up a device's own memory in MiB."""
    banks = _subfolders(root, f"{node}/mem_banks")
    sizes = [decimal(bank.get("size_in_bytes", "")) for bank in banks if bank.get("heap_type") in _FRAME_BUFFERS]
    total = sum(size for size in sizes if size > 0) // _MIB
    return total if total <= _MAX_MIB else 0


def _bus_folder(facts: Mapping[str, str]) -> str:
    """Tell where a node's device lies in /sys: `location_id` is bus << 8 | device << 3 | function."""
    place, domain = decimal(facts.get("location_id", "")), max(decimal(facts.get("domain", "")), 0)
    if not 0 <= place <= 0xFFFF or domain > 0xFFFFFFFF:  # noqa: PLR2004
        return "/sys/bus/pci/devices/none"
    return f"/sys/bus/pci/devices/{domain:04x}:{place >> 8:02x}:{place >> 3 & 0x1F:02x}.{place & 7:x}"


def _subfolders(root: SystemRoot, folder: str) -> list[dict[str, str]]:
    return [_properties(root, f"{folder}/{name}/properties") for name in root.names(folder)[:_MAX_BANKS]]


def _properties(root: SystemRoot, name: str) -> dict[str, str]:
    """Read lines of `key value`."""
    rows = (line.split(" ", 1) for line in root.read(name).splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}  # noqa: PLR2004  # a pair


def _findings(environ: Mapping[str, str], devices: list[GpuDevice]) -> tuple[Finding, ...]:
    match = _OVERRIDE.fullmatch(environ.get("HSA_OVERRIDE_GFX_VERSION", ""))
    if match is None or not devices:
        return ()
    claimed = decode_gfx(int(match[1]) * 10_000 + int(match[2]) * 100 + int(match[3]))
    true = " and ".join(sorted({device.arch for device in devices if device.arch}))
    return (
        Finding(
            code="gpu-arch-override",
            message=f"HSA_OVERRIDE_GFX_VERSION makes ROCm take {true or 'the GPU'} for {claimed or 'another'}: code "
            "that runs here may not run on a server without it",
        ),
    )
