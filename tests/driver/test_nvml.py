"""Reading what a process says that asked NVML or libcuda: it may say anything."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.driver.nvml import CudaAnswer, NvmlAnswer, ask_cuda, ask_nvml
from envcap.driver.run import Asker, Ended, Outcome
from envcap.gpu.model import GpuGap

LIBRARY = Path("/lib/libnvidia-ml.so.1")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def saying(*lines: object, ended: Ended = Ended.EXITED, status: int = 0) -> Asker:
    stdout = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return Asker(run=lambda argv, *, timeout: Outcome(ended=ended, status=status, stdout=stdout))


def test_the_library_is_named_to_an_isolated_interpreter() -> None:
    seen: list[Sequence[str]] = []

    def run(argv: Sequence[str], *, timeout: float) -> Outcome:
        seen.append((*argv, str(timeout)))
        return Outcome(ended=Ended.EXITED)

    ask_nvml(LIBRARY, asker=Asker(run=run, python="/usr/bin/python3", timeout=7.0))

    assert seen[0][:3] == ("/usr/bin/python3", "-I", "-B")
    assert seen[0][3].endswith("/ask_script.py")
    assert seen[0][4:] == ("nvml", "/lib/libnvidia-ml.so.1", "7.0")


@given(st.lists(anything, max_size=6), st.binary(max_size=40))
def test_an_answer_of_any_shape_stops_nothing(lines: list[object], tail: bytes) -> None:
    stdout = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + tail
    asker = Asker(run=lambda argv, *, timeout: Outcome(ended=Ended.EXITED, stdout=stdout))

    assert ask_nvml(LIBRARY, asker=asker).devices == ()
    assert ask_cuda(LIBRARY, asker=asker).api == ""


@given(
    st.dictionaries(st.sampled_from(["name", "arch", "memory", "pci", "mig", "mig-devices", "links", "ecc"]), anything)
)
def test_a_device_of_any_shape_has_a_name_and_small_numbers(facts: dict[str, object]) -> None:
    facts = {key: [value, 0] for key, value in facts.items()}

    (device,) = ask_nvml(LIBRARY, asker=saying(["init", None, 0], ["device", facts, 0])).devices

    assert device.name
    assert 0 <= device.memory_mib <= 1 << 24


def test_nesting_without_end_is_no_answer() -> None:
    stdout = b"[" * 100_000 + b"\n" + b'["init", null, 0]\n["driver", "550.54.15", 0]\n'
    asker = Asker(run=lambda argv, *, timeout: Outcome(ended=Ended.EXITED, stdout=stdout))

    assert ask_nvml(LIBRARY, asker=asker) == NvmlAnswer(code=0, driver="550.54.15")


def test_a_code_without_words_is_told_as_a_number() -> None:
    answer = ask_nvml(LIBRARY, asker=saying(["init", None, 777]))

    assert answer == NvmlAnswer(code=777, gaps=(GpuGap(fact="nvml", why="NVML 777"),))


@pytest.mark.parametrize(
    ("ended", "status", "why"),
    [
        (Ended.NOT_STARTED, 0, "not started"),
        (Ended.TIMED_OUT, 0, "no answer in time"),
        (Ended.TOO_LONG, 0, "too long an answer"),
        (Ended.CRASHED, 6, "crashed (signal 6)"),
        (Ended.EXITED, 1, "exit status 1"),
    ],
)
def test_a_process_that_ends_badly_is_a_gap(ended: Ended, status: int, why: str) -> None:
    assert ask_nvml(LIBRARY, asker=saying(ended=ended, status=status)).gaps == (GpuGap(fact="nvml", why=why),)
    assert ask_cuda(LIBRARY, asker=saying(ended=ended, status=status)) == CudaAnswer(
        gaps=(GpuGap(fact="libcuda", why=why),)
    )


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (["api", 13000, 0], CudaAnswer(api="13.0")),
        (["api", 12080, 0], CudaAnswer(api="12.8")),
        (["api", 12, 0], CudaAnswer()),
        (["api", None, 34], CudaAnswer(stub=True)),
        (["api", None, 100], CudaAnswer(gaps=(GpuGap(fact="libcuda", why="CUDA 100"),))),
        (["api", None, -1], CudaAnswer(gaps=(GpuGap(fact="libcuda", why="libcuda: not loadable"),))),
    ],
)
def test_libcuda_s_number_is_a_version_of_cuda(line: list[object], answer: CudaAnswer) -> None:
    assert ask_cuda(LIBRARY, asker=saying(line)) == answer
