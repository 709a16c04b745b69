"""Asks NVML and libcuda in a short-lived process, and reads the answer as what it is: text of a stranger.

Source: NVML API Reference, `nvmlReturn_t` and the queries named in `ask_script.py`; CUDA Driver API, error 34.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from envcap.driver.allowed import UNREADABLE, cuda_api, driver_version, nvml_error, pci_id, product
from envcap.driver.facts import known_only
from envcap.driver.run import Asker, Ended, Outcome
from envcap.gpu.model import NVIDIA, GpuDevice, GpuGap

MISMATCH = 18
"""NVML: the libraries are of another version than the kernel module."""
LIBRARY_NOT_FOUND = 12

_SCRIPT = Path(__file__).with_name("ask_script.py")
_NOT_INSTALLED = -2
_CUDA_STUB = 34  # CUDA_ERROR_STUB_LIBRARY
_NOT_SUPPORTED = 3
_MAX_LINES = 256
_MAX_ARCH = 99
_MAX_DEVICES = 4096
_MIB = 1 << 20
_MAX_MIB = 1 << 24
_VGPU = 2  # NVML_GPU_VIRTUALIZATION_MODE_VGPU: a vGPU inside a virtual machine
_STATES = {0: "off", 1: "on"}
_COMPUTE_MODES = {0: "default", 1: "exclusive-thread", 2: "prohibited", 3: "exclusive-process"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlAnswer:
    """What NVML told.

    Attributes:
        code: Return code of its initialization; -1 if it never came to that.
        driver: Version of the driver.
        api: Highest CUDA, by the libcuda that it found.
        devices: One each, uncounted.
        gaps: What it refused, or why it told nothing.
        virtual: Whether a device is a vGPU.
    """

    code: int = UNREADABLE
    driver: str = ""
    api: str = ""
    devices: tuple[GpuDevice, ...] = ()
    gaps: tuple[GpuGap, ...] = ()
    virtual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaAnswer:
    """What libcuda told.

    Attributes:
        api: Highest CUDA, else empty.
        stub: Whether it says itself that it is a stub for linking.
        gaps: Why it told nothing.
    """

    api: str = ""
    stub: bool = False
    gaps: tuple[GpuGap, ...] = field(default=())


def ask_nvml(library: Path, *, asker: Asker) -> NvmlAnswer:
    """Ask NVML, the library at a place of this machine, for the driver and the devices."""
    outcome = _run("nvml", library, asker)
    driver = api = ""
    code = UNREADABLE
    devices: list[GpuDevice] = []
    gaps = _gaps_of("nvml", outcome)
    virtual = False
    expected = 0
    for fact, value, error in _lines(outcome.stdout):
        if fact == "init":
            code = error
            if error:
                gaps.append(GpuGap(fact="nvml", why=_why(error)))
        elif fact == "device" and isinstance(value, dict):
            answers = _Answers(value)
            virtual = virtual or answers.number("virtualization") == _VGPU
            devices.append(_read_device(answers))
            gaps += answers.gaps()
        elif error:
            gaps.append(GpuGap(fact=_FACTS.get(fact, "devices"), why=_why(error)))
        elif fact == "driver":
            driver = driver_version(value) if isinstance(value, str) else ""
        elif fact == "cuda":
            api = cuda_api(value) if isinstance(value, int) else ""
        elif fact == "count":
            expected = value if isinstance(value, int) and value <= _MAX_DEVICES else 0
    if outcome.ended is Ended.EXITED and len(devices) < expected:
        gaps.append(GpuGap(fact="devices", why=f"NVML told of {len(devices)} of {expected} devices"))
    return NvmlAnswer(code=code, driver=driver, api=api, devices=tuple(devices), gaps=tuple(gaps), virtual=virtual)


def ask_cuda(library: Path, *, asker: Asker) -> CudaAnswer:
    """Ask libcuda, the library at a place of this machine, for the highest CUDA that it speaks."""
    outcome = _run("cuda", library, asker)
    gaps = _gaps_of("libcuda", outcome)
    for fact, value, error in _lines(outcome.stdout):
        if fact == "api" and error == _CUDA_STUB:
            return CudaAnswer(stub=True)
        if fact == "api" and error:
            gaps.append(GpuGap(fact="libcuda", why="libcuda: not loadable" if error < 0 else f"CUDA {error}"))
        elif fact == "api" and isinstance(value, int):
            return CudaAnswer(api=cuda_api(value))
    return CudaAnswer(gaps=tuple(gaps))


class _Answers:
    """The answers of one device: a value or a return code each."""

    def __init__(self, answers: dict[str, object]) -> None:
        self._answers = answers
        self._gaps: list[GpuGap] = []

    def value(self, fact: str) -> object:
        """Give what was answered; where it was refused, remember why."""
        pair = self._answers.get(fact)
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], int):  # noqa: PLR2004  # a pair
            return None
        if pair[1]:
            self._gaps.append(GpuGap(fact=fact, why=_why(pair[1])))
            return None
        return pair[0]

    def number(self, fact: str) -> int:
        """Give a number that is none below zero, else -1."""
        value = self.value(fact)
        return value if isinstance(value, int) and value >= 0 else -1

    def quiet(self, fact: str) -> int:
        """Give a number of what most devices lack: that one lacks it is no gap."""
        value = self.number(fact)
        self._gaps = [gap for gap in self._gaps if gap.fact != fact or gap.why != _why(_NOT_SUPPORTED)]
        return value

    def gaps(self) -> list[GpuGap]:
        """List what was refused."""
        return self._gaps


def _read_device(answers: _Answers) -> GpuDevice:
    name = answers.value("name")
    arch = answers.value("arch")
    number = max(answers.number("pci"), 0)
    model = pci_id(number & 0xFFFF, number >> 16)
    memory = max(answers.number("memory"), 0) // _MIB
    links = answers.quiet("links")
    answers.quiet("virtualization")
    traits = {
        "mig": _STATES.get(answers.number("mig"), ""),
        "mig-devices": _read_mig(answers.value("mig-devices")),
        "ecc": _STATES.get(answers.number("ecc"), ""),
        "persistence": _STATES.get(answers.number("persistence"), ""),
        "compute-mode": _COMPUTE_MODES.get(answers.number("compute-mode"), ""),
        "link": f"nvlink:{links}" if 0 < links <= 36 else "",  # noqa: PLR2004  # NVML_NVLINK_MAX_LINKS
    }
    return GpuDevice(
        vendor=NVIDIA,
        name=(product(name) if isinstance(name, str) else "") or model or "unknown",
        arch=_read_arch(arch),
        pci=model,
        memory_mib=memory if memory <= _MAX_MIB else 0,
        traits=known_only(traits),
    )


def _read_arch(value: object) -> str:
    numbers = value if isinstance(value, list) else []
    fine = len(numbers) == 2 and all(type(part) is int and 0 <= part <= _MAX_ARCH for part in numbers)  # noqa: PLR2004
    return ".".join(map(str, numbers)) if fine and numbers[0] else ""


def _read_mig(value: object) -> str:
    """Write the instances of a GPU as `2 of 1g 9856 MiB, 1 of 3g 40192 MiB`."""
    counts: dict[tuple[int, int], int] = {}
    for pair in value if isinstance(value, list) else []:
        match pair:
            case [int(slices), int(memory)] if 0 < slices <= _MAX_ARCH and 0 < memory <= _MAX_MIB:
                counts[slices, memory] = counts.get((slices, memory), 0) + 1
            case _:
                pass
    return ", ".join(f"{count} of {slices}g {memory} MiB" for (slices, memory), count in sorted(counts.items()))


_FACTS = {"driver": "driver", "cuda": "cuda", "count": "devices", "device": "devices"}


def _run(mode: str, library: Path, asker: Asker) -> Outcome:
    # -I: no user's folder and no PYTHON* variable; -B: nothing is written.
    return asker.run([asker.python, "-I", "-B", str(_SCRIPT), mode, str(library)], timeout=asker.timeout)


def _why(code: int) -> str:
    return "nvidia-ml-py is not installed" if code == _NOT_INSTALLED else nvml_error(code)


def _gaps_of(fact: str, outcome: Outcome) -> list[GpuGap]:
    """Say how a process that didn't end well ended."""
    why = {
        Ended.CRASHED: f"crashed (signal {outcome.status})",
        Ended.TIMED_OUT: "no answer in time",
        Ended.TOO_LONG: "too long an answer",
        Ended.NOT_STARTED: "not started",
        Ended.EXITED: f"exit status {outcome.status}" if outcome.status else "",
    }[outcome.ended]
    return [GpuGap(fact=fact, why=why)] if why else []


def _lines(stdout: bytes) -> Iterator[tuple[str, object, int]]:
    """Yield the well-formed lines of an answer."""
    for line in stdout.split(b"\n", _MAX_LINES)[:_MAX_LINES]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        match row:
            case [str(fact), value, int(code)]:
                yield fact, value, code
            case _:
                pass
