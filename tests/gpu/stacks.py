"""Stacks and machines like real ones: targets and counts as measured in real wheels (`notes/gpu.md` §3)."""

from collections.abc import Iterable
from dataclasses import replace

from envcap.gpu.model import (
    AMD,
    NVIDIA,
    CodeSet,
    GpuCode,
    GpuDevice,
    GpuDriver,
    GpuFramework,
    GpuGap,
    GpuLibrary,
    GpuMachine,
    GpuStack,
)
from envcap.gpu.needs import derive_needs
from envcap.gpu.table import gpu_table

TABLE = gpu_table()
GENERAL = ("sm_100", "sm_120", "sm_75", "sm_80", "sm_86", "sm_90")

CUDART_13 = GpuLibrary(name="cudart", version="13.2.75", provider="nvidia-cuda-runtime")
CUDART_12 = GpuLibrary(name="cudart", version="12.9.79", provider="nvidia-cuda-runtime-cu12")
CUDNN = GpuLibrary(name="cudnn", version="9.26.0.51", provider="nvidia-cudnn-cu13")
TORCH = GpuFramework(name="torch", version="2.15.0", built_for="cuda 13.2")


def sets(*rows: tuple[int, Iterable[str]]) -> tuple[CodeSet, ...]:
    return tuple(CodeSet(count=count, targets=tuple(sorted(targets))) for count, targets in rows)


LIBTORCH = GpuCode(
    file="lib/python3.11/site-packages/torch/lib/libtorch_cuda.so",
    provider="torch",
    sets=sets((413, GENERAL), (4, [*GENERAL, "sm_90a"]), (59, [*GENERAL, "sm_100a", "sm_103f"])),
)
CUBLAS = GpuCode(
    file="lib/python3.11/site-packages/nvidia/cu13/lib/libcublasLt.so.13",
    provider="nvidia-cublas",
    sets=sets((347, [*GENERAL, "compute_120@9.2"]), (1115, ["sm_90a", "sm_90"]), (144, ["sm_120f"])),
)
CUSOLVER = GpuCode(
    file="lib/python3.11/site-packages/nvidia/cu13/lib/libcusolver.so.12",
    provider="nvidia-cusolver",
    sets=sets(
        (178, [*GENERAL, "compute_121@9.2"]), (1, ["compute_100@9.2", "sm_100"]), (1, ["compute_90@9.2", "sm_90"])
    ),
)
CUSPARSE = GpuCode(
    file="lib/python3.11/site-packages/nvidia/cu13/lib/libcusparse.so.12",
    provider="nvidia-cusparse",
    sets=sets((91, [*GENERAL, "compute_120@9.2"]), (4, ["sm_75"]), (8, ["sm_80"]), (8, ["sm_86"])),
)
CUSPARSELT = GpuCode(
    file="lib/python3.11/site-packages/nvidia/cusparselt/lib/libcusparseLt.so.0",
    provider="nvidia-cusparselt-cu13",
    sets=sets((20, ["sm_80", "sm_90", "sm_100", "sm_120"])),
)
FAISS = GpuCode(
    file="lib/python3.11/site-packages/faiss/_swigfaiss.so",
    provider="faiss-gpu-cu12",
    sets=sets((178, ["sm_70", "sm_80"])),
)
XGBOOST = GpuCode(
    file="lib/python3.11/site-packages/xgboost/lib/libxgboost.so",
    provider="xgboost",
    sets=sets((65, ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120", "compute_120@9.3"])),
)
XFORMERS = GpuCode(
    file="lib/python3.11/site-packages/xformers/_C.so",
    provider="xformers",
    sets=sets((12, ["sm_75", "sm_80", "compute_80@8.7"]), (3, ["sm_90a"])),
)
BITS_126 = GpuCode(
    file="lib/python3.11/site-packages/bitsandbytes/libbitsandbytes_cuda126.so",
    provider="bitsandbytes",
    sets=sets((3, ["sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"])),
)
BITS_130 = GpuCode(
    file="lib/python3.11/site-packages/bitsandbytes/libbitsandbytes_cuda130.so",
    provider="bitsandbytes",
    sets=sets((3, ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])),
)
BITS_ROCM = GpuCode(
    file="lib/python3.11/site-packages/bitsandbytes/libbitsandbytes_rocm70.so",
    provider="bitsandbytes",
    sets=sets((3, ["gfx90a", "gfx942", "gfx1100"])),
)
LIBTORCH_HIP = GpuCode(
    file="lib/python3.11/site-packages/torch/lib/libtorch_hip.so",
    provider="torch",
    sets=sets((200, ["gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx12-generic"])),
)
TORCH_HIP = GpuFramework(name="torch", version="2.15.0+rocm7.2", built_for="rocm 7.2")


def stack(
    *code: GpuCode,
    libraries: tuple[GpuLibrary, ...] = (),
    frameworks: tuple[GpuFramework, ...] = (),
    blind: tuple[str, ...] = (),
) -> GpuStack:
    """Make a stack with its needs derived."""
    return GpuStack(
        rules=TABLE.rules,
        libraries=libraries,
        frameworks=frameworks,
        code=code,
        needs=derive_needs(libraries, frameworks, code, TABLE),
        blind=blind,
    )


TORCH_STACK = stack(LIBTORCH, CUBLAS, CUSPARSELT, libraries=(CUDART_13, CUDNN), frameworks=(TORCH,))
FAISS_STACK = stack(FAISS, libraries=(CUDART_12,))
XGBOOST_STACK = stack(XGBOOST, libraries=(GpuLibrary(name="cudart (static)", version="", provider="xgboost"),))
XFORMERS_STACK = stack(XFORMERS, libraries=(CUDART_12,))
HIP_STACK = stack(LIBTORCH_HIP, frameworks=(TORCH_HIP,))


def device(name: str, arch: str, *, count: int = 1, **traits: str) -> GpuDevice:
    vendor = AMD if arch.startswith("gfx") or "AMD" in name else NVIDIA
    return GpuDevice(vendor=vendor, name=name, arch=arch, count=count, traits=traits)


H100 = device("NVIDIA H100 80GB HBM3", "9.0", count=8)
A100 = device("NVIDIA A100-SXM4-80GB", "8.0")
V100 = device("Tesla V100-SXM2-32GB", "7.0")
T4 = device("Tesla T4", "7.5")
A6000 = device("NVIDIA RTX A6000", "8.6")
RTX_4090 = device("NVIDIA GeForce RTX 4090", "8.9")
RTX_5090 = device("NVIDIA GeForce RTX 5090", "12.0")
THOR = device("NVIDIA Thor", "11.0")
MI300X = device("AMD Instinct MI300X", "gfx942")


def driver(version: str, **other: str) -> GpuDriver:
    return replace(GpuDriver(vendor=NVIDIA, version=version), **other)  # type: ignore[arg-type]


def machine(
    version: str, *devices: GpuDevice, context: str = "bare", gaps: tuple[GpuGap, ...] = (), **other: str
) -> GpuMachine:
    return GpuMachine(context=context, drivers=(driver(version, **other),), devices=devices, gaps=gaps)


def amd_machine(version: str, *devices: GpuDevice, flavour: str = "dkms") -> GpuMachine:
    return GpuMachine(
        context="bare", drivers=(GpuDriver(vendor=AMD, version=version, flavour=flavour),), devices=devices
    )
