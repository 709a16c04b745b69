"""Where NVIDIA's sources contradict each other, or a library is not the driver's own: said, not averaged. Pure."""

from dataclasses import dataclass

from envcap.driver.context import Surroundings
from envcap.driver.nvidia_kernel import KernelFacts
from envcap.driver.nvidia_smi import SmiAnswer
from envcap.driver.nvml import MISMATCH, CudaAnswer, NvmlAnswer
from envcap.finding import Finding, FindingLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """The user's half of a driver, as the loader finds it.

    Attributes:
        kind: What libcuda is: `host`, `compat`, `wsl`, `stub`, or empty.
        libcuda: Version in its file name, or empty.
        nvml: Version in NVML's file name, or empty.
    """

    kind: str = ""
    libcuda: str = ""
    nvml: str = ""


def judge_nvidia(  # one argument a source
    kernel: KernelFacts,
    nvml: NvmlAnswer,
    smi: SmiAnswer,
    cuda: CudaAnswer,
    libraries: Libraries,
    around: Surroundings,
) -> tuple[Finding, ...]:
    """List what a user should know of an NVIDIA driver."""
    module = next(iter(kernel.versions.values()), "")
    found = [
        _halves(module, nvml, libraries, around),
        _sources({**kernel.versions, "NVML": nvml.driver, "nvidia-smi": smi.driver}),
        _library(module, libraries),
        _api(nvml.api, cuda.api),
        _place(around, libraries),
    ]
    return tuple(finding for finding in found if finding)


def _halves(module: str, nvml: NvmlAnswer, libraries: Libraries, around: Surroundings) -> Finding | None:
    """Compare the kernel's half with the user's."""
    user = (libraries.libcuda if libraries.kind == "host" else "") or libraries.nvml
    differ = bool(module and user and module != user)
    if nvml.code != MISMATCH and not differ:
        return None
    step = (
        "start the container anew, so that it gets the libraries of the driver that runs"
        if around.container
        else "restart the machine, or load the kernel module anew"
    )
    told = " (NVML 18)" if nvml.code == MISMATCH else ""
    versions = f"kernel module {module or 'unknown'}, libraries {user or 'unknown'}"
    return Finding(
        code="gpu-driver-mismatch",
        message=f"The two halves of the NVIDIA driver differ{told}: {versions}; {step}",
    )


def _sources(versions: dict[str, str]) -> Finding | None:
    """Compare what several sources say of one driver."""
    told = {name: value for name, value in versions.items() if value}
    if len(set(told.values())) < 2:  # noqa: PLR2004  # it takes two to disagree
        return None
    listed = ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
    return Finding(code="gpu-sources-disagree", message=f"The NVIDIA driver has several versions: {listed}")


def _library(module: str, libraries: Libraries) -> Finding | None:
    """Tell of a libcuda that is not the driver's own."""
    if libraries.kind == "stub":
        return Finding(
            code="gpu-stub-libcuda",
            message="The loader finds a libcuda that is a stub for linking: CUDA programs fail; take its folder "
            "(`stubs`) off LD_LIBRARY_PATH",
        )
    if libraries.kind == "compat":
        version = f" {libraries.libcuda}" if libraries.libcuda else ""
        above = f" over the kernel module {module}" if module else ""
        return Finding(
            code="gpu-compat-libcuda",
            message=f"The loader finds a libcuda{version} of forward compatibility{above}: it serves data-center GPUs "
            "only, and hides the CUDA version of the driver itself",
        )
    return None


def _api(by_nvml: str, by_cuda: str) -> Finding | None:
    if not by_nvml or not by_cuda or by_nvml == by_cuda:
        return None
    return Finding(
        code="gpu-cuda-disagrees",
        message=f"NVML tells of CUDA {by_nvml}, and the libcuda that programs load of CUDA {by_cuda}",
    )


def _place(around: Surroundings, libraries: Libraries) -> Finding | None:
    if around.wsl and libraries.kind == "wsl":
        return Finding(
            code="gpu-wsl2",
            message="The GPU is Windows' (WSL2): its driver is Windows', with a version of its own count",
            level=FindingLevel.NOTE,
        )
    if around.l4t:
        return Finding(
            code="gpu-jetson",
            message=f"The GPU is a Jetson's (Jetson Linux {around.l4t}): code for discrete GPUs is another",
            level=FindingLevel.NOTE,
        )
    return None
