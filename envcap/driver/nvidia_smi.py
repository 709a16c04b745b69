"""Asks `nvidia-smi`, where NVML itself could not be asked.

Source: nvidia-smi(1), `--query-gpu`, `--help-query-gpu` and "Return Value". It uses the same library as NVML, so it is
no second opinion; it needs no Python package.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from envcap.driver.allowed import compute_capability, decimal, driver_version, hex_number, nvml_error, pci_id, product
from envcap.driver.facts import known_only
from envcap.driver.root import SystemRoot
from envcap.driver.run import Asker, Ended
from envcap.gpu.model import NVIDIA, GpuDevice, GpuGap

_ALWAYS = (
    "driver_version",
    "name",
    "memory.total",
    "pci.device_id",
    "ecc.mode.current",
    "persistence_mode",
    "compute_mode",
)
_NEWER = ("compute_cap", "mig.mode.current")  # unknown to old ones, which then answer nothing at all
_UNKNOWN_FIELD = {2, 6}
_FOLDERS = ("/usr/bin", "/usr/local/bin", "/usr/lib/wsl/lib", "/usr/local/nvidia/bin", "/run/current-system/sw/bin")
_MAX_FOLDERS = 256
_MAX_DEVICES = 64
_MAX_MIB = 1 << 24
_STATES = {"Enabled": "on", "Disabled": "off"}
_COMPUTE_MODES = {
    "Default": "default",
    "Exclusive_Thread": "exclusive-thread",
    "Prohibited": "prohibited",
    "Exclusive_Process": "exclusive-process",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmiAnswer:
    """What nvidia-smi told.

    Attributes:
        driver: Version of the driver.
        devices: One each, uncounted.
        gaps: Why it told nothing.
    """

    driver: str = ""
    devices: tuple[GpuDevice, ...] = ()
    gaps: tuple[GpuGap, ...] = ()


def find_smi(root: SystemRoot, environ: Mapping[str, str]) -> str:
    """Give the path of nvidia-smi in a system; empty if it has none."""
    folders = [folder for folder in environ.get("PATH", "").split(":")[:_MAX_FOLDERS] if folder.startswith("/")]
    places = (f"{folder}/nvidia-smi" for folder in (*folders, *_FOLDERS))
    return next((place for place in places if root.read_bytes(place, 1)), "")


def ask_smi(program: str, *, asker: Asker) -> SmiAnswer:
    """Ask nvidia-smi, a program of this machine, for driver and devices; an old one for less."""
    answer = SmiAnswer()
    for fields in ((*_ALWAYS, *_NEWER), _ALWAYS):
        argv = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        outcome = asker.run(argv, timeout=asker.timeout)
        if outcome.ended is not Ended.EXITED:
            return SmiAnswer(gaps=(GpuGap(fact="nvidia-smi", why=outcome.ended.value),))
        if outcome.status == 0:
            return _read(outcome.stdout, fields)
        answer = SmiAnswer(gaps=(GpuGap(fact="nvidia-smi", why=nvml_error(outcome.status, source="nvidia-smi")),))
        if outcome.status not in _UNKNOWN_FIELD:
            break
    return answer


def _read(stdout: bytes, fields: tuple[str, ...]) -> SmiAnswer:
    drivers: set[str] = set()
    devices: list[GpuDevice] = []
    lines = [line for line in stdout.decode("ascii", "replace").splitlines() if line.strip()]
    for line in lines[:_MAX_DEVICES]:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(fields):
            return SmiAnswer(gaps=(GpuGap(fact="nvidia-smi", why="nvidia-smi: unreadable answer"),))
        row = dict(zip(fields, cells, strict=True))
        drivers.add(driver_version(row["driver_version"]))
        devices.append(_read_device(row))
    return SmiAnswer(driver=max(drivers, default=""), devices=tuple(devices))


def _read_device(row: Mapping[str, str]) -> GpuDevice:
    number = max(hex_number(row["pci.device_id"]), 0)  # device and vendor, as NVML's `pciDeviceId`
    model = pci_id(number & 0xFFFF, number >> 16)
    memory = decimal(row["memory.total"])
    traits = {
        "mig": _STATES.get(row.get("mig.mode.current", ""), ""),
        "ecc": _STATES.get(row["ecc.mode.current"], ""),
        "persistence": _STATES.get(row["persistence_mode"], ""),
        "compute-mode": _COMPUTE_MODES.get(row["compute_mode"], ""),
    }
    return GpuDevice(
        vendor=NVIDIA,
        name=product(row["name"]) or model or "unknown",
        arch=compute_capability(row.get("compute_cap", "")),
        pci=model,
        memory_mib=memory if 0 < memory <= _MAX_MIB else 0,
        traits=known_only(traits),
    )
