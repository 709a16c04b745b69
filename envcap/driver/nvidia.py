"""What a machine has of NVIDIA's: the kernel's files, NVML, libcuda and nvidia-smi, each asked if it is there."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from envcap.driver.allowed import driver_version, nvml_error
from envcap.driver.context import Surroundings
from envcap.driver.facts import VendorFacts
from envcap.driver.loader import find_library
from envcap.driver.nvidia_findings import Libraries, judge_nvidia
from envcap.driver.nvidia_kernel import KernelFacts, read_kernel, read_tegra
from envcap.driver.nvidia_smi import SmiAnswer, ask_smi, find_smi
from envcap.driver.nvml import LIBRARY_NOT_FOUND, CudaAnswer, NvmlAnswer, ask_cuda, ask_nvml
from envcap.driver.pci import VENDOR_NVIDIA, PciGpu
from envcap.driver.root import SystemRoot
from envcap.driver.run import Asker
from envcap.gpu.model import NVIDIA, GpuDevice, GpuDriver, GpuGap

_LIBCUDA, _NVML = "libcuda.so.1", "libnvidia-ml.so.1"


def capture_nvidia(
    root: SystemRoot,
    environ: Mapping[str, str],
    *,
    asker: Asker,
    around: Surroundings,
    pci: tuple[PciGpu, ...],
) -> VendorFacts:
    """Capture NVIDIA's driver and devices; no process is started where nothing of NVIDIA's is there.

    Args:
        root: The system.
        environ: The user's variables: LD_LIBRARY_PATH and PATH are heeded.
        asker: Opens a library in a process of its own, and runs nvidia-smi.
        around: What kind of system it is.
        pci: GPUs on the bus, of any maker.
    """
    kernel = read_kernel(root)
    bus = tuple(gpu for gpu in pci if gpu.vendor == VENDOR_NVIDIA and gpu.display and gpu.driver != "vfio-pci")
    libcuda, nvml_path = (find_library(root, name, environ) for name in (_LIBCUDA, _NVML))
    trace = kernel.trace or bool(bus) or bool(around.l4t)
    if not trace and not libcuda and not nvml_path:
        return VendorFacts()
    nvml = NvmlAnswer()
    if nvml_path:
        nvml = ask_nvml(root.place(nvml_path), asker=asker)
    elif kernel.trace:
        nvml = NvmlAnswer(gaps=(GpuGap(fact="nvml", why=nvml_error(LIBRARY_NOT_FOUND)),))
    smi = SmiAnswer()
    if not nvml.devices and (program := find_smi(root, environ)):
        smi = ask_smi(str(root.place(root.resolve(program))), asker=asker)
    cuda = ask_cuda(root.place(libcuda), asker=asker) if libcuda else CudaAnswer()
    libraries = Libraries(
        kind=_classify(libcuda, stub=cuda.stub),
        libcuda=_suffix(libcuda, "libcuda.so."),
        nvml=_suffix(nvml_path, "libnvidia-ml.so."),
    )
    driver = _driver(kernel, nvml, smi, cuda, libraries)
    devices, gaps = _devices(root, kernel, nvml.devices or smi.devices, around, bus)
    return VendorFacts(
        driver=driver if driver.sources or driver.library or devices else None,
        devices=devices,
        gaps=(*nvml.gaps, *cuda.gaps, *smi.gaps, *gaps),
        findings=judge_nvidia(kernel, nvml, smi, cuda, libraries, around),
        virtual=nvml.virtual,
    )


def _driver(kernel: KernelFacts, nvml: NvmlAnswer, smi: SmiAnswer, cuda: CudaAnswer, libraries: Libraries) -> GpuDriver:
    sources = {
        **kernel.versions,
        "NVML": nvml.driver,
        "nvidia-smi": smi.driver,
        _LIBCUDA: libraries.libcuda,
        _NVML: libraries.nvml,
        "nvmlSystemGetCudaDriverVersion": nvml.api,
        "cuDriverGetVersion": cuda.api,
    }
    return GpuDriver(
        vendor=NVIDIA,
        version=next(filter(None, (*kernel.versions.values(), nvml.driver, smi.driver)), ""),
        user=libraries.libcuda or libraries.nvml,
        api=cuda.api or nvml.api,
        flavour=kernel.flavour,
        library=libraries.kind,
        sources={name: value for name, value in sorted(sources.items()) if value},
    )


def _devices(
    root: SystemRoot,
    kernel: KernelFacts,
    told: tuple[GpuDevice, ...],
    around: Surroundings,
    bus: tuple[PciGpu, ...],
) -> tuple[tuple[GpuDevice, ...], list[GpuGap]]:
    """Take the devices that a driver told of, else those that the kernel's files show."""
    if told:
        return told, []
    if around.l4t:
        return (read_tegra(root),), []
    if around.container and not kernel.usable and (kernel.trace or bus):
        # /proc and /sys show the host's devices to every container; only those with device nodes may use them.
        return (), [GpuGap(fact="devices", why="this container was started without NVIDIA devices")]
    if kernel.devices:
        return kernel.devices, []
    models = tuple(GpuDevice(vendor=NVIDIA, name=gpu.model, pci=gpu.model) for gpu in bus if gpu.model)
    if models and not kernel.versions:
        other = next((gpu.driver for gpu in bus if gpu.driver), "none")
        return models, [GpuGap(fact="driver", why=f"NVIDIA's driver is not loaded (kernel driver: {other})")]
    return models, []


def _classify(libcuda: str, *, stub: bool) -> str:
    """Tell what a libcuda is by where it lies, all links followed.

    `stubs` is where toolkits put what only linkers need; `compat`, `compat-orin` and `cuda-compat` where the packages
    of forward compatibility put theirs (CUDA Compatibility, "Forward Compatibility").
    """
    if not libcuda:
        return ""
    folders = PurePosixPath(libcuda).parts[:-1]
    if stub or "stubs" in folders:
        return "stub"
    if any(folder in {"compat", "cuda-compat"} or folder.startswith(("compat-", "compat_")) for folder in folders):
        return "compat"
    return "wsl" if "wsl" in folders else "host"


def _suffix(path: str, prefix: str) -> str:
    name = PurePosixPath(path).name
    return driver_version(name.removeprefix(prefix)) if name.startswith(prefix) else ""
