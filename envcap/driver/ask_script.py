"""Asks NVIDIA's libraries what they know, in a process of its own: `python -I -B ask_script.py nvml|cuda LIBRARY`.

Prints one JSON array a line, `[fact, value, code]`, each as soon as it is known: what a library told before it hangs
or crashes stays told. A value is None where the call failed, and the code is the library's return code (0 for none,
-1 for what has no code). Imports nothing of envcap. Only facts that envcap keeps are asked for: no UUID, no serial.
"""

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

_MAX_DEVICES = 64
_MAX_MIG = 16
_MAX_LINKS = 36
_UNREADABLE = -1
_NOT_INSTALLED = -2
_MIG_ENABLED = 1


def main(mode: str, library: str) -> None:
    """Ask one library."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no image of the driver's memory behind
    # Libraries print; standard output is ours alone.
    out = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)

    def tell(fact: str, value: object, code: int = 0) -> None:
        os.write(out, json.dumps([fact, value, code]).encode() + b"\n")

    if mode == "cuda":
        _ask_cuda(library, tell)
    else:
        _ask_nvml(library, tell)


def _ask_cuda(library: str, tell: Callable[..., None]) -> None:
    """Ask libcuda for the version of its API, which needs no initialization (CUDA Driver API, cuDriverGetVersion)."""
    number = ctypes.c_int(0)
    try:
        code = int(ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(number)))
    except (OSError, AttributeError):
        tell("api", None, _UNREADABLE)
        return
    tell("api", None if code else number.value, code)


def _ask_nvml(library: str, tell: Callable[..., None]) -> None:
    try:
        import pynvml as nvml  # noqa: PLC0415  # `envcap[gpu]` may be absent
    except ImportError:
        tell("init", None, _NOT_INSTALLED)
        return

    def ask(call: Callable[..., Any], *arguments: object) -> tuple[Any, int]:
        try:
            return call(*arguments), 0
        except nvml.NVMLError as error:
            return None, int(error.value)
        except Exception:  # noqa: BLE001  # bytes that are no text, a function that a version lacks
            return None, _UNREADABLE

    if library:
        # nvidia-ml-py opens NVML by its soname, and gets the one that is loaded already.
        ask(lambda: ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL))
    _, code = ask(nvml.nvmlInit)
    tell("init", None, code)
    if code:
        return
    tell("driver", *ask(nvml.nvmlSystemGetDriverVersion))
    tell("cuda", *ask(nvml.nvmlSystemGetCudaDriverVersion_v2))
    count, code = ask(nvml.nvmlDeviceGetCount)
    tell("count", count, code)
    for index in range(min(count or 0, _MAX_DEVICES)):
        device, code = ask(nvml.nvmlDeviceGetHandleByIndex, index)
        tell("device", None if code else _describe(nvml, ask, device), code)
    ask(nvml.nvmlShutdown)


def _describe(nvml: Any, ask: Callable[..., tuple[Any, int]], device: object) -> dict[str, tuple[Any, int]]:  # noqa: ANN401  # no types
    """Ask for the facts of one device."""
    mig, code = ask(nvml.nvmlDeviceGetMigMode, device)
    facts = {
        "name": ask(nvml.nvmlDeviceGetName, device),
        "arch": ask(nvml.nvmlDeviceGetCudaComputeCapability, device),
        "memory": ask(lambda: nvml.nvmlDeviceGetMemoryInfo(device).total),
        "pci": ask(lambda: nvml.nvmlDeviceGetPciInfo_v3(device).pciDeviceId),
        "mig": (mig[0] if mig else None, code),
        "ecc": ask(lambda: nvml.nvmlDeviceGetEccMode(device)[0]),
        "persistence": ask(nvml.nvmlDeviceGetPersistenceMode, device),
        "compute-mode": ask(nvml.nvmlDeviceGetComputeMode, device),
        "virtualization": ask(nvml.nvmlDeviceGetVirtualizationMode, device),
    }
    links = [ask(nvml.nvmlDeviceGetNvLinkState, device, link) for link in range(_MAX_LINKS)]
    facts["links"] = (
        sum(1 for state, _ in links if state == 1),
        0 if any(not code for _, code in links) else links[0][1],
    )
    if mig and mig[0] == _MIG_ENABLED:
        facts["mig-devices"] = (_describe_mig(nvml, ask, device), 0)
    return facts


def _describe_mig(nvml: Any, ask: Callable[..., tuple[Any, int]], device: object) -> list[tuple[int, int]]:  # noqa: ANN401  # no types
    """List the instances that a GPU is split into: compute slices and MiB of each."""
    found = []
    for index in range(min(ask(nvml.nvmlDeviceGetMaxMigDeviceCount, device)[0] or 0, _MAX_MIG)):
        instance, code = ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, device, index)
        attributes = None if code else ask(nvml.nvmlDeviceGetAttributes_v2, instance)[0]
        if attributes is not None:
            found.append((attributes.gpuInstanceSliceCount, attributes.memorySizeMB))
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
