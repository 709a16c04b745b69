"""Verdicts: every reason code, the cases measured in `notes/gpu.md` §7, and fixes that do help."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import UsageError
from envcap.gpu.judge import judge_machine
from envcap.gpu.model import GpuCode, GpuDevice, GpuDriver, GpuFramework, GpuGap, GpuLibrary, GpuMachine, GpuStack
from envcap.gpu.preflight import RUNS, Level, Preflight, Reason, rank
from envcap.gpu.verdict import imagine_machine, judge
from tests.gpu.stacks import (
    A100,
    A6000,
    BITS_126,
    BITS_130,
    BITS_ROCM,
    CUDART_12,
    CUDART_13,
    FAISS_STACK,
    H100,
    HIP_STACK,
    LIBTORCH,
    LIBTORCH_HIP,
    MI300X,
    RTX_4090,
    RTX_5090,
    T4,
    TABLE,
    THOR,
    TORCH_STACK,
    V100,
    XFORMERS_STACK,
    XGBOOST_STACK,
    amd_machine,
    device,
    machine,
    sets,
    stack,
)

INTEL_STACK = stack(frameworks=(GpuFramework(name="torch", version="2.15.0+xpu", built_for="xpu 2026.0"),))
PART = GpuCode(file="two/libtwo.so", provider="two", sets=sets((1, ["sm_80"]), (1, ["sm_80", "sm_90"])))
LTO = GpuCode(file="lto/liblto.so", provider="lto", sets=sets((1, ["sm_90"])), jit=("lto",))
CUBLAS = GpuCode(
    file="nvidia/lib/libcublas.so.13",
    provider="nvidia-cublas",
    sets=sets((9, ["sm_75", "sm_80"]), (2, ["sm_80", "compute_50@9.9"]), (3, ["sm_90"])),
)
LINALG = GpuCode(file="torch/lib/libtorch_cuda_linalg.so", provider="torch", sets=sets((3, ["sm_80", "sm_90"])))
PTX_87 = GpuCode(file="new/libnew.so", provider="new", sets=sets((1, ["sm_89"]), (2, ["compute_80@8.7"])))
PTX_94 = GpuCode(file="new/libnew.so", provider="new", sets=sets((2, ["compute_80@9.4"])))
PTX_99 = GpuCode(file="new/libnew.so", provider="new", sets=sets((2, ["compute_80@9.9"])))
CUDART_14 = GpuLibrary(name="cudart", version="14.0.1", provider="nvidia-cuda-runtime")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged, and what is to come of it."""

    stack: GpuStack
    machine: GpuMachine
    level: Level
    reasons: set[Reason]
    weakest: str = ""
    fix: str = ""
    after: Level | None = None
    cdi: bool | None = None


R = Reason
CASES = {
    "torch on an H100 with a newer driver": Case(
        stack=TORCH_STACK, machine=machine("615.10.01", H100), level=Level.OK, reasons=set()
    ),
    "torch on an H100 with the lowest branch": Case(
        stack=TORCH_STACK,
        machine=machine("580.95.05", H100),
        level=Level.MINOR,
        reasons={R.NEW_API},
        weakest="CUDA 13.2",
    ),
    "torch on an A100 with an older branch": Case(
        stack=TORCH_STACK,
        machine=machine("570.195.03", A100),
        level=Level.COMPAT,
        reasons={R.COMPAT},
        weakest="CUDA 13.2",
        fix="add NVIDIA's package cuda-compat-13-2 to the image",
        after=Level.OK,
    ),
    "torch on an A100 with an older branch that no package bridges": Case(
        stack=TORCH_STACK,
        machine=machine("550.54.15", A100),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR},
        weakest="CUDA 13.2",
        fix="install an NVIDIA driver 580.65 or newer",
        after=Level.MINOR,
    ),
    "torch on a GeForce with an older branch": Case(
        stack=TORCH_STACK,
        machine=machine("570.195.03", RTX_4090),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR, R.COMPAT_GPU_CLASS},
        weakest="CUDA 13.2",
        fix="install an NVIDIA driver 580.65 or newer",
        after=Level.MINOR,
    ),
    "torch on a workstation card with an older branch": Case(
        stack=TORCH_STACK,
        machine=machine("570.195.03", A6000),
        level=Level.COMPAT,
        reasons={R.COMPAT, R.COMPAT_GPU},
        weakest="CUDA 13.2",
        fix="install an NVIDIA driver 580.65 or newer",
        after=Level.MINOR,
    ),
    "torch on a V100 with the right driver": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_13,)),
        machine=machine("580.95.05", V100),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_IMAGE, R.NEW_API},
        weakest="torch",
        fix="pin another build of torch, with code for compute capability 7.0",
        after=Level.MINOR,
    ),
    "torch on a V100 with a driver that dropped it": Case(
        stack=FAISS_STACK,
        machine=machine("595.71.05", V100),
        level=Level.WILL_NOT_RUN,
        reasons={R.ARCH_DROPPED},
        fix="install an NVIDIA driver of branch R580, the last for this GPU",
        after=Level.OK,
    ),
    "torch on a V100 with a driver too old": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_13,)),
        machine=machine("470.82.01", V100),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR, R.NO_IMAGE},
        weakest="CUDA 13.2",
        fix=(
            "install an NVIDIA driver 580.65 or newer, but not above R580, "
            "and pin another build of torch, with code for compute capability 7.0"
        ),
        after=Level.MINOR,
    ),
    "torch on Thor": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_13,)),
        machine=machine("580.95.05", THOR, context="jetson", api="13.0"),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_IMAGE, R.NEW_API},
        weakest="torch",
        fix="pin another build of torch, with code for compute capability 11.0",
        after=Level.MINOR,
    ),
    "torch on a T4, on which cuSPARSELt has no code": Case(
        stack=TORCH_STACK, machine=machine("595.71.05", T4), level=Level.OK, reasons={R.FEATURES}
    ),
    "xformers on a GPU that came later": Case(
        stack=XFORMERS_STACK,
        machine=machine("580.95.05", RTX_5090),
        level=Level.JIT,
        reasons={R.FIRST_RUN_SLOW},
        weakest="xformers",
    ),
    "xformers on an H100 whose driver can't compile its PTX": Case(
        stack=XFORMERS_STACK,
        machine=machine("550.54.15", H100),
        level=Level.WILL_NOT_RUN,
        reasons={R.PTX_TOO_NEW, R.NEW_API},
        weakest="xformers",
        fix="add NVIDIA's package cuda-compat-12-9 to the image",
        after=Level.JIT,
    ),
    "xformers on a later GeForce whose driver can't compile its PTX": Case(
        stack=stack(PTX_87, libraries=(CUDART_12,)),
        machine=machine("550.54.15", RTX_4090),
        level=Level.WILL_NOT_RUN,
        reasons={R.PTX_TOO_NEW, R.NEW_API},
        weakest="new",
        fix="install an NVIDIA driver 570.26 or newer",
        after=Level.JIT,
    ),
    "PTX newer than the toolkit that is pinned": Case(
        stack=stack(PTX_94, libraries=(CUDART_13,)),
        machine=machine("595.71.05", A100),
        level=Level.WILL_NOT_RUN,
        reasons={R.PTX_TOO_NEW},
        weakest="new",
        fix="install an NVIDIA driver 615 or newer",
        after=Level.JIT,
    ),
    "PTX newer than the table": Case(
        stack=stack(PTX_99, libraries=(CUDART_13,)),
        machine=machine("595.71.05", A100),
        level=Level.UNKNOWN,
        reasons={R.DRIVER},
        weakest="new",
    ),
    "faiss on an H100": Case(
        stack=FAISS_STACK,
        machine=machine("580.95.05", H100),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_IMAGE},
        weakest="faiss-gpu-cu12",
        fix="pin another build of faiss-gpu-cu12, with code for compute capability 9.0",
        after=Level.OK,
    ),
    "faiss on an RTX 5090": Case(
        stack=FAISS_STACK,
        machine=machine("580.95.05", RTX_5090),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_IMAGE},
        weakest="faiss-gpu-cu12",
        fix="pin another build of faiss-gpu-cu12, with code for compute capability 12.0",
        after=Level.OK,
    ),
    "xgboost, which has its runtime linked into it": Case(
        stack=XGBOOST_STACK,
        machine=machine("570.195.03", RTX_5090),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR, R.COMPAT_GPU_CLASS},
        weakest="CUDA 13.3",
        fix="install an NVIDIA driver 580.65 or newer",
        after=Level.MINOR,
    ),
    "an RTX 5090 with a driver from before it": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_12,)),
        machine=machine("550.54.15", RTX_5090),
        level=Level.WILL_NOT_RUN,
        reasons={R.ARCH_TOO_NEW, R.NEW_API},
        fix="install an NVIDIA driver 570.26 or newer",
        after=Level.MINOR,
    ),
    "torch on a T4, on which torch.linalg has no code": Case(
        stack=stack(LIBTORCH, LINALG, libraries=(CUDART_13,)),
        machine=machine("595.71.05", T4),
        level=Level.OK,
        reasons={R.FEATURES},
    ),
    "cuBLAS, which chooses by device and has PTX for others": Case(
        stack=stack(CUBLAS, libraries=(CUDART_13,)), machine=machine("595.71.05", T4), level=Level.OK, reasons=set()
    ),
    "triton, which gives the driver no PTX": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_13,), blind=("triton 3.9.0 compiles its kernels when they run",)),
        machine=machine("580.95.05", H100),
        level=Level.MINOR,
        reasons={R.NEW_API},
        weakest="CUDA 13.2",
    ),
    "numba, which gives the driver PTX": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_13,), blind=("numba 0.62 compiles its kernels when they run",)),
        machine=machine("580.95.05", H100),
        level=Level.MINOR,
        reasons={R.NEW_API, R.JIT_BLOCKED},
        weakest="CUDA 13.2",
    ),
    "a kernel of before an upgrade, and a library without code": Case(
        stack=FAISS_STACK,
        machine=machine("580.65.06", H100, user="580.95.05"),
        level=Level.WILL_NOT_RUN,
        reasons={R.MISMATCH, R.NO_IMAGE},
        weakest="faiss-gpu-cu12",
        fix=(
            "restart the machine, so that the kernel loads the driver that is installed, "
            "and pin another build of faiss-gpu-cu12, with code for compute capability 9.0"
        ),
        after=Level.OK,
    ),
    "a library that has code for the device in one of two parts": Case(
        stack=stack(PART, libraries=(CUDART_13,)),
        machine=machine("615.10", H100),
        level=Level.PARTIAL,
        reasons={R.PART},
        weakest="two",
    ),
    "a kernel that still runs the driver of before an upgrade": Case(
        stack=TORCH_STACK,
        machine=machine("580.65.06", H100, user="580.95.05"),
        level=Level.WILL_NOT_RUN,
        reasons={R.MISMATCH, R.NEW_API},
        weakest="CUDA 13.2",
        fix="restart the machine, so that the kernel loads the driver that is installed",
        after=Level.MINOR,
    ),
    "the same, with devices that can't be read for it": Case(
        stack=TORCH_STACK,
        machine=machine("580.65.06", user="580.95.05", gaps=(GpuGap(fact="devices", why="NVML 18"),)),
        level=Level.WILL_NOT_RUN,
        reasons={R.MISMATCH},
        fix="restart the machine, so that the kernel loads the driver that is installed",
        after=Level.UNKNOWN,
    ),
    "in a container, where the kernel's half does not tell its version": Case(
        stack=TORCH_STACK,
        machine=machine("", gaps=(GpuGap(fact="nvml", why="NVML 18: driver and library versions differ"),)),
        level=Level.WILL_NOT_RUN,
        reasons={R.MISMATCH},
        fix="restart the machine, or the container, so that both halves of the driver are of one version",
        after=Level.UNKNOWN,
    ),
    "cuda-compat on the loader's path of a GeForce machine": Case(
        stack=TORCH_STACK,
        machine=machine("595.71.05", RTX_4090, library="compat", api="13.2", user="595.45.04"),
        level=Level.WILL_NOT_RUN,
        reasons={R.COMPAT_GPU_CLASS},
        weakest="CUDA 13.2",
        fix="take the libcuda of cuda-compat off the loader's path (`LD_LIBRARY_PATH`, `/etc/ld.so.conf.d`)",
        after=Level.OK,
    ),
    "cuda-compat that is older than the driver": Case(
        stack=TORCH_STACK,
        machine=machine("610.43.02", H100, library="compat", api="13.0", user="580.65.06"),
        level=Level.WILL_NOT_RUN,
        reasons={R.MISMATCH},
        weakest="CUDA 13.2",
        fix="take the libcuda of cuda-compat off the loader's path (`LD_LIBRARY_PATH`, `/etc/ld.so.conf.d`)",
        after=Level.OK,
    ),
    "cuda-compat where it is allowed": Case(
        stack=TORCH_STACK,
        machine=machine("570.195.03", A100, library="compat", api="13.2", user="595.45.04"),
        level=Level.OK,
        reasons=set(),
    ),
    "cuda-compat on a branch that it does not run on": Case(
        stack=TORCH_STACK,
        machine=machine("560.35.03", A100, library="compat", api="13.2", user="595.45.04"),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR},
        weakest="CUDA 13.2",
        fix="install an NVIDIA driver 580.65 or newer",
        after=Level.MINOR,
    ),
    "a stub libcuda on the loader's path": Case(
        stack=TORCH_STACK,
        machine=machine("595.71.05", H100, library="stub", api="13.4"),
        level=Level.OK,
        reasons={R.STUB},
    ),
    "a driver newer than the table": Case(
        stack=TORCH_STACK, machine=machine("700.10", H100), level=Level.OK, reasons={R.NEW_BRANCH}
    ),
    "a driver of which nothing can be read": Case(
        stack=TORCH_STACK, machine=machine("", H100), level=Level.UNKNOWN, reasons={R.DRIVER}, weakest="CUDA 13.2"
    ),
    "a GPU without a driver": Case(
        stack=TORCH_STACK,
        machine=GpuMachine(context="bare", devices=(H100,)),
        level=Level.UNKNOWN,
        reasons={R.DRIVER},
        weakest="CUDA 13.2",
    ),
    "a device that does not tell its capability": Case(
        stack=TORCH_STACK, machine=machine("615.10", device("NVIDIA X", "")), level=Level.UNKNOWN, reasons={R.ARCH}
    ),
    "a driver whose devices nobody may read": Case(
        stack=TORCH_STACK,
        machine=machine("615.10", gaps=(GpuGap(fact="devices", why="NVML 4: no permission"),)),
        level=Level.UNKNOWN,
        reasons={R.DEVICES},
    ),
    "code that nobody tells the runtime of": Case(
        stack=stack(LIBTORCH),
        machine=machine("615.10", H100),
        level=Level.UNKNOWN,
        reasons={R.RUNTIME},
        weakest="CUDA",
    ),
    "a toolkit newer than the table": Case(
        stack=stack(LIBTORCH, libraries=(CUDART_14,)),
        machine=machine("615.10", H100),
        level=Level.UNKNOWN,
        reasons={R.NEW_TOOLKIT},
        weakest="CUDA 14.0",
    ),
    "a compiler at run time under minor-version compatibility": Case(
        stack=stack(LTO, libraries=(CUDART_13,)),
        machine=machine("580.95.05", H100),
        level=Level.MINOR,
        reasons={R.NEW_API, R.JIT_BLOCKED},
        weakest="CUDA 13.2",
    ),
    "a machine without a GPU": Case(
        stack=TORCH_STACK,
        machine=GpuMachine(),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_DEVICE},
        fix=(
            "take a machine with a GPU of compute capability 7.5 to 12.1 "
            "and an NVIDIA driver 580.65 or newer"
        ),
        after=Level.OK,
    ),
    "a machine with another maker's GPU": Case(
        stack=HIP_STACK,
        machine=machine("615.10", H100),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_DEVICE},
        fix=(
            "take a machine with the kernel's own amdgpu driver or AMD's 30.10, 30.20 or 30.30 "
            "and an AMD GPU gfx908, gfx90a, gfx942, gfx1030, gfx1100, gfx1200 or gfx1201"
        ),
        after=Level.OK,
    ),
    "containers that can't be given the GPUs": Case(
        stack=TORCH_STACK,
        machine=machine("615.10", H100),
        level=Level.WILL_NOT_RUN,
        reasons={R.NO_CDI},
        cdi=False,
        fix="install NVIDIA's container toolkit and run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
        after=Level.OK,
    ),
    "ROCm on its GPU": Case(
        stack=HIP_STACK, machine=amd_machine("30.30.3", MI300X), level=Level.OK, reasons=set()
    ),
    "ROCm by a generic target": Case(
        stack=HIP_STACK,
        machine=amd_machine("30.30.3", device("AMD Radeon RX 9070", "gfx1201")),
        level=Level.OK,
        reasons=set(),
    ),
    "ROCm on a GPU that it has no code for": Case(
        stack=HIP_STACK,
        machine=amd_machine("30.30.3", device("AMD Radeon 8060S", "gfx1151")),
        level=Level.WILL_NOT_RUN,
        reasons={R.GFX_MISSING},
        weakest="torch",
        fix="pin another build of torch, with code for gfx1151",
        after=Level.OK,
    ),
    "ROCm with a driver that AMD did not test it with": Case(
        stack=HIP_STACK, machine=amd_machine("6.3.0", MI300X), level=Level.OK, reasons={R.ROCM_PAIR}
    ),
    "ROCm with the kernel's own driver": Case(
        stack=HIP_STACK, machine=amd_machine("6.17.0", MI300X, flavour="in-tree"), level=Level.OK, reasons={R.IN_TREE}
    ),
    "ROCm with a driver that can't be read": Case(
        stack=HIP_STACK, machine=amd_machine("", MI300X), level=Level.UNKNOWN, reasons={R.DRIVER}
    ),
    "a GPU of AMD that does not tell its processor": Case(
        stack=HIP_STACK,
        machine=amd_machine("30.30.3", device("AMD Instinct", "")),
        level=Level.UNKNOWN,
        reasons={R.ARCH},
    ),
    "code for AMD of which nobody tells the ROCm": Case(
        stack=stack(LIBTORCH_HIP),
        machine=amd_machine("30.30.3", MI300X),
        level=Level.UNKNOWN,
        reasons={R.RUNTIME},
    ),
    "Intel, of which envcap knows no rules": Case(
        stack=INTEL_STACK,
        machine=GpuMachine(
            context="bare",
            drivers=(GpuDriver(vendor="intel", version="6.14.0"),),
            devices=(GpuDevice(vendor="intel", name="Intel Arc B580"),),
        ),
        level=Level.UNKNOWN,
        reasons={R.VENDOR},
    ),
    "WSL, whose driver has a number of Windows": Case(
        stack=TORCH_STACK,
        machine=machine("591.59", RTX_4090, context="wsl2", api="13.1", user="590.44.01", library="wsl"),
        level=Level.MINOR,
        reasons={R.NEW_API},
        weakest="CUDA 13.2",
    ),
    "WSL with a driver of an older major": Case(
        stack=TORCH_STACK,
        machine=machine("572.10", RTX_4090, context="wsl2", api="12.8", library="wsl"),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR},
        weakest="CUDA 13.2",
        fix="update NVIDIA's driver on Windows to one that speaks CUDA 13.0 or newer",
        after=Level.MINOR,
    ),
    "a Jetson whose driver can't be replaced": Case(
        stack=stack(BITS_126, libraries=(CUDART_13,)),
        machine=machine("572.10", V100, api="12.8", context="jetson"),
        level=Level.WILL_NOT_RUN,
        reasons={R.BELOW_FLOOR},
        weakest="CUDA 13.2",
        fix="pin packages that are built for CUDA 12",
        after=Level.OK,
    ),
}  # fmt: skip


def reasons_of(preflight: Preflight) -> set[Reason]:
    findings = [*preflight.findings]
    for one in preflight.devices:
        findings += one.findings
        findings += [finding for part in one.libraries for finding in part.findings]
    return {finding.reason for finding in findings}


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_has_its_level_its_reasons_its_weakest_part_and_its_fix(name: str) -> None:
    case = CASES[name]
    found = judge(case.stack, case.machine, TABLE, cdi=case.cdi)
    assert (found.level, reasons_of(found)) == (case.level, case.reasons)
    assert (found.weakest.name if found.weakest else "") == case.weakest
    assert (found.fix and (found.fix.words, found.fix.level)) == ((case.fix, case.after) if case.fix else None)


def test_every_reason_is_in_some_case() -> None:
    assert {reason for case in CASES.values() for reason in case.reasons} == set(Reason)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fix])
def test_a_fix_leads_to_a_better_verdict(name: str) -> None:
    case = CASES[name]
    fix = judge(case.stack, case.machine, TABLE, cdi=case.cdi).fix
    assert fix is not None
    assert rank(fix.level) < rank(case.level)


def test_codes_keep_their_spelling() -> None:
    codes = (
        "E_ARCH_DROPPED_BY_DRIVER E_ARCH_NEWER_THAN_DRIVER E_BELOW_FLOOR E_COMPAT_GPU_CLASS E_GFX_MISSING "
        "E_KMD_UMD_MISMATCH E_NO_CDI E_NO_DEVICE E_NO_IMAGE E_PTX_TOO_NEW N_COMPAT U_ARCH U_COMPAT_GPU U_DEVICES "
        "U_DRIVER U_IN_TREE U_NEW_BRANCH U_NEW_TOOLKIT U_ROCM_PAIR U_RUNTIME U_VENDOR W_FEATURES_MISSING "
        "W_FIRST_RUN_SLOW W_JIT_BLOCKED W_NEW_API_36 W_PARTIAL W_STUB_LIBCUDA"
    )
    assert sorted(Reason) == codes.split()


def test_an_environment_without_gpu_code_runs_everywhere() -> None:
    assert judge(GpuStack(), GpuMachine(), TABLE) == Preflight(rules=TABLE.rules)
    assert judge(GpuStack(), machine("470.1", V100), TABLE).level == Level.OK


def test_a_machine_without_a_gpu_is_told_apart_from_one_that_fails() -> None:
    assert judge(TORCH_STACK, GpuMachine(), TABLE).cpu_only
    assert not judge(TORCH_STACK, machine("470.1", V100), TABLE).cpu_only
    unread = machine("615.10", gaps=(GpuGap(fact="devices", why="NVML 4: no permission"),))
    assert not judge(TORCH_STACK, unread, TABLE).cpu_only


def test_each_kind_of_device_has_its_verdict_and_the_worst_is_the_machine_s() -> None:
    found = judge(TORCH_STACK, machine("580.95.05", H100, V100), TABLE)
    assert [(one.device.name, one.level) for one in found.devices] == [
        ("NVIDIA H100 80GB HBM3", Level.MINOR),
        ("Tesla V100-SXM2-32GB", Level.WILL_NOT_RUN),
    ]
    assert (found.level, found.best) == (Level.WILL_NOT_RUN, Level.MINOR)
    assert found.fix is not None
    assert found.fix.words == "pin other builds of nvidia-cublas and torch, with code for compute capability 7.0"


def test_the_machine_s_own_trouble_is_every_device_s() -> None:
    assert judge(TORCH_STACK, machine("580.65.06", H100, user="580.95.05"), TABLE).best == Level.WILL_NOT_RUN


def test_of_a_package_s_variants_the_best_counts() -> None:
    several = stack(BITS_126, BITS_130, BITS_ROCM, libraries=(CUDART_13,))
    assert judge(several, machine("615.10", RTX_5090), TABLE).level == Level.OK
    alone = stack(BITS_126, libraries=(CUDART_13,))
    assert judge(alone, machine("615.10", RTX_5090), TABLE).level == Level.WILL_NOT_RUN


def test_code_for_another_maker_counts_for_nothing_beside_a_runtime() -> None:
    found = judge(stack(BITS_130, BITS_ROCM, libraries=(CUDART_13,)), amd_machine("30.30.3", MI300X), TABLE)
    assert reasons_of(found) == {Reason.NO_DEVICE}


def test_a_feature_that_a_device_has_otherwise_excludes_code() -> None:
    code = GpuCode(file="a.so", provider="a", sets=sets((1, ["gfx90a:xnack+"])))
    rocm = GpuLibrary(name="rocm", version="7.2.1", provider="rocm-sdk")
    without = device("AMD Instinct MI210", "gfx90a", xnack="-")
    found = [
        judge_machine(stack(code, libraries=(rocm,)), amd_machine("30.30", one), TABLE).level
        for one in (without, device("AMD Instinct MI210", "gfx90a"))
    ]
    assert found == [Level.WILL_NOT_RUN, Level.OK]


def test_a_target_that_nobody_knows_runs_nowhere() -> None:
    odd = GpuCode(file="odd.so", provider="odd", sets=sets((1, ["sm_8x", "sm_80 ", "sm_"])))
    assert judge(stack(odd, libraries=(CUDART_13,)), machine("615.10", A100), TABLE).level == Level.WILL_NOT_RUN


@pytest.mark.parametrize(
    ("gpu", "driver", "level"),
    [
        ("H100", "580", Level.MINOR),
        ("H100", "R595", Level.OK),
        ("NVIDIA H100 80GB HBM3", "570.195.03", Level.COMPAT),
        ("RTX 4090", "570", Level.WILL_NOT_RUN),
        ("V100", "", Level.WILL_NOT_RUN),
        ("T4", "", Level.OK),
        ("Jetson T5000", "580", Level.WILL_NOT_RUN),
        ("Jetson AGX Orin", "", Level.WILL_NOT_RUN),
        ("MI300X", "", Level.WILL_NOT_RUN),
        ("H100", "newest", Level.UNKNOWN),
    ],
)
def test_one_can_ask_about_a_machine_that_one_does_not_sit_at(gpu: str, driver: str, level: Level) -> None:
    assert judge(TORCH_STACK, imagine_machine(gpu, driver, TABLE), TABLE).level == level


def test_a_machine_of_an_unknown_gpu_can_t_be_imagined() -> None:
    with pytest.raises(UsageError, match="'Voodoo 2' is no GPU that envcap knows"):
        imagine_machine("Voodoo 2", "580", TABLE)


@given(
    st.sampled_from([TORCH_STACK, FAISS_STACK, XFORMERS_STACK, XGBOOST_STACK]),
    st.sampled_from([H100, A100, T4, A6000, RTX_4090, RTX_5090]),
    st.integers(450, 640),
    st.integers(450, 640),
)
def test_on_a_gpu_without_a_ceiling_a_newer_driver_is_never_worse(
    asked: GpuStack, gpu: GpuDevice, one: int, other: int
) -> None:
    older, newer = (judge_machine(asked, machine(f"{branch}.999", gpu), TABLE) for branch in sorted((one, other)))
    assert rank(newer.level) <= rank(older.level) or older.level == Level.COMPAT


@given(
    st.sampled_from([TORCH_STACK, FAISS_STACK, XFORMERS_STACK, HIP_STACK]),
    st.lists(st.sampled_from([H100, A100, V100, T4, A6000, RTX_4090, RTX_5090, THOR]), max_size=3),
    st.builds(
        GpuDriver,
        vendor=st.just("nvidia"),
        version=st.sampled_from(["", "470.82.01", "580.95.05", "590.44", "615", "x", "9999999", "1." * 9]),
        user=st.sampled_from(["", "580.65.06", "y"]),
        api=st.sampled_from(["", "11.4", "13.0", "13.4", "99", "z"]),
        library=st.sampled_from(["", "host", "compat", "stub", "wsl"]),
    ),
    st.sampled_from(["", "bare", "container", "wsl2", "jetson", "vgpu"]),
)
def test_any_machine_gets_a_verdict_and_a_fix_only_if_it_helps(
    asked: GpuStack, gpus: list[GpuDevice], driver: GpuDriver, context: str
) -> None:
    seen = GpuMachine(context=context, drivers=(driver,), devices=tuple(gpus))
    found = judge(asked, seen, TABLE)
    assert found.level != Level.OK or not {one for one in reasons_of(found) if one.startswith("E_")}
    if found.level in RUNS:
        assert found.fix is None
    elif found.fix and len(gpus) < 2:
        assert rank(found.fix.level) < rank(found.level)


def test_facts_that_cannot_be_read_are_never_ok() -> None:
    blank = replace(H100, arch="")
    for seen in (machine("", H100), machine("615.10", blank), machine("x.y", H100, api="z")):
        assert judge(TORCH_STACK, seen, TABLE).level == Level.UNKNOWN
