"""Builds folders that look like systems with GPUs: what the kernels' and makers' files say there."""

import sys
from collections.abc import Mapping
from pathlib import Path

from envcap.driver import Asker, ProgramRunner, capture_gpu
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ADDRESS = "0000:65:00.0"
UUID = "GPU-8f6c6a3e-1111-2222-3333-444455556666"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@host-17)  Mon Dec 30\n"
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Wed Jun 14 01:39:39 PDT 2017\nGCC version:  12\n"


class FakeSystem:
    """A system's tree, and what is captured of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ: dict[str, str] = {"PATH": "/usr/bin:/bin"}
        path.mkdir()

    def write(self, name: str, text: str = "") -> Path:
        file = self.path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def link(self, name: str, target: str) -> None:
        file = self.path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def pci(self, vendor: int, device: int, *, driver: str = "", kind: int = 0x030000, address: str = ADDRESS) -> str:
        folder = f"/sys/bus/pci/devices/{address}"
        self.write(f"{folder}/class", f"0x{kind:06x}\n")
        self.write(f"{folder}/vendor", f"0x{vendor:04x}\n")
        self.write(f"{folder}/device", f"0x{device:04x}\n")
        if driver:
            self.link(f"{folder}/driver", f"../../../../bus/pci/drivers/{driver}")
        return folder

    def nvidia(self, version: str, *, title: str = OPEN, model: str = "", device: int = 0x2330) -> None:
        """Load NVIDIA's kernel module."""
        self.write("/sys/module/nvidia/version", f"{version}\n")
        self.write("/proc/driver/nvidia/version", title.format(version))
        self.write("/dev/nvidiactl")
        self.pci(0x10DE, device, driver="nvidia", kind=0x030200)
        if model:
            self.write(
                f"/proc/driver/nvidia/gpus/{ADDRESS}/information",
                f"Model: \t\t {model}\nIRQ:   \t\t 77\nGPU UUID: \t {UUID}\nBus Location: \t {ADDRESS}\n",
            )

    def library(self, made: Path, soname: str, version: str, *, folder: str = LIBRARIES) -> None:
        """Install a library as drivers do: the file by its version, the soname an absolute link to it."""
        name = f"{soname.removesuffix('.1')}.{version}"
        file = self.write(f"{folder}/{name}")
        file.unlink()
        file.hardlink_to(made)
        self.link(f"{folder}/{soname}", f"{folder}/{name}")

    def nvml(self, made: Path, facts: Mapping[str, object], *, version: str = "550.54.15") -> None:
        """Install a stand-in for NVML that answers with these facts."""
        self.library(made, "libnvidia-ml.so.1", version)
        lines = "".join(f"{key}={value}\n" for key, value in facts.items())
        self.environ["NVML_STUB"] = str(self.write("/nvml-stub", lines))

    def capture(self, *, timeout: float = 20.0, python: str = sys.executable) -> tuple[GpuMachine, tuple[Finding, ...]]:
        asker = Asker(run=ProgramRunner(environ=self.environ), timeout=timeout, python=python)
        return capture_gpu(self.path, self.environ, asker=asker)


def gpu(index: int, **facts: object) -> dict[str, object]:
    """Give the facts of one device as the stand-in for NVML reads them."""
    return {f"{index}.{key.replace('_', '-')}": value for key, value in facts.items()}
