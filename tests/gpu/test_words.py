"""Words: what a researcher reads."""

import pytest

from envcap.gpu.model import GpuMachine, GpuNeed, GpuStack
from envcap.gpu.verdict import judge
from envcap.gpu.words import say_capabilities, say_need, say_needs, say_preflight
from tests.gpu.stacks import (
    A100,
    CUDART_13,
    FAISS,
    FAISS_STACK,
    H100,
    HIP_STACK,
    LIBTORCH,
    RTX_4090,
    TABLE,
    TORCH_STACK,
    V100,
    XFORMERS_STACK,
    machine,
    stack,
)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            TORCH_STACK,
            "needs an NVIDIA driver 580.65 or newer and a GPU of compute capability 7.5 to 12.1",
        ),
        (FAISS_STACK, "needs an NVIDIA driver 525.60 or newer and a GPU of compute capability 7.0 to 8.9"),
        (
            stack(LIBTORCH, FAISS, libraries=(CUDART_13,)),
            (
                "needs an NVIDIA driver 580.65 or newer and a GPU of compute capability 7.5 to 8.9; "
                "faiss-gpu-cu12 excludes H100, B200, B300, VR200, GeForce RTX 5090"
            ),
        ),
        (
            XFORMERS_STACK,
            (
                "needs an NVIDIA driver 525.60 or newer and a GPU of compute capability 7.5 or newer; "
                "on 9.0 to 12.1 a driver 570.26 or newer, which compiles PTX"
            ),
        ),
        (
            HIP_STACK,
            (
                "needs the kernel's own amdgpu driver or AMD's 30.10, 30.20 or 30.30 "
                "and an AMD GPU gfx908, gfx90a, gfx942, gfx1030, gfx1100, gfx1200 or gfx1201"
            ),
        ),
        (GpuStack(), ""),
    ],
)  # fmt: skip
def test_needs_are_one_sentence(asked: GpuStack, sentence: str) -> None:
    assert say_needs(asked, TABLE) == sentence


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (GpuNeed(subject="nvidia-driver", at_most="580"), "an NVIDIA driver, not newer than R580"),
        (
            GpuNeed(subject="nvidia-driver", at_least="525.60.13", at_most="580"),
            "an NVIDIA driver 525.60 or newer, not newer than R580",
        ),
        (GpuNeed(subject="compute-capability", at_least="9.0", at_most="9.0"), "a GPU of compute capability 9.0"),
        (GpuNeed(subject="compute-capability"), "a GPU on which all of its code runs, which none is"),
        (GpuNeed(subject="gfx", one_of=("gfx942",)), "an AMD GPU gfx942"),
        (GpuNeed(subject="gfx"), "a GPU that no AMD model known to envcap is"),
        (GpuNeed(subject="level-zero", at_least="1.2", one_of=("a", "b")), "level-zero at least 1.2 a or b"),
    ],
)
def test_each_need_has_words(need: GpuNeed, words: str) -> None:
    assert say_need(need, TABLE) == words


@pytest.mark.parametrize(
    ("capabilities", "words"),
    [
        ((), ""),
        (("8.0",), "8.0"),
        (("8.0", "8.6"), "8.0 and 8.6"),
        (("8.0", "8.6", "8.7"), "8.0 to 8.7"),
        (("7.5", "9.0", "8.0", "8.6", "8.7", "12.0"), "7.5 to 8.7, 9.0 and 12.0"),
        (("8.0", "99.0", "junk"), "8.0 and 99.0"),
    ],
)
def test_capabilities_are_ranges_over_those_that_exist(capabilities: tuple[str, ...], words: str) -> None:
    assert say_capabilities(capabilities, TABLE) == words


def test_a_preflight_is_said_by_device_with_its_one_fix() -> None:
    assert say_preflight(judge(FAISS_STACK, machine("595.71.05", H100, V100), TABLE)) == (
        "8 x NVIDIA H100 80GB HBM3: will not run (faiss-gpu-cu12)",
        "  E_NO_IMAGE: faiss-gpu-cu12: has no code for compute capability 9.0, only for sm_70, sm_80",
        "Tesla V100-SXM2-32GB: will not run",
        (
            "  E_ARCH_DROPPED_BY_DRIVER: R580 is the last driver branch for compute capability 7.0 "
            "(Tesla V100-SXM2-32GB), this is R595"
        ),
        "fix: install an NVIDIA driver of branch R580, the last for this GPU",
    )


def test_a_preflight_that_is_fine_is_one_line() -> None:
    assert say_preflight(judge(TORCH_STACK, machine("615.10", A100), TABLE)) == ("NVIDIA A100-SXM4-80GB: runs",)


def test_a_machine_without_a_gpu_is_told_that_the_rest_runs_on_its_cpu() -> None:
    assert say_preflight(judge(TORCH_STACK, GpuMachine(), TABLE))[0] == (
        "E_NO_DEVICE: this machine has no NVIDIA GPU: programs run on the CPU only, where they can"
    )


def test_no_line_has_a_line_break() -> None:
    lines = say_preflight(judge(TORCH_STACK, machine("570.1", RTX_4090), TABLE))
    assert [line for line in lines if "\n" in line] == []
