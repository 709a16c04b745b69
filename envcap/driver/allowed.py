"""What may leave a machine: versions, names of products, models of devices; all else is refused by its shape. Pure.

Drivers' files and libraries stand beside UUIDs, serial numbers, bus addresses and host names, and what a driver calls a
name may hold any of them. So nothing passes that doesn't have the shape of what is asked for, and an error passes as
its number alone. Source: `notes/gpu.md` §1, "Privacy".
"""

import re

UNREADABLE = -1
"""Stands for the number of an error that has none."""

_ARCH = re.compile(r"[1-9]\d?\.\d")
_DRIVER = re.compile(r"[1-9]\d{2,3}(?:\.\d{1,3}){1,2}")
_KERNEL = re.compile(r"\d{1,3}(?:\.\d{1,4}){1,3}(?:-\d{1,5}(?:\.\d{1,5}){0,3})?(?!\.?\d)")
_PACKAGE = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,4}(?:-\d{1,4})?(?!\.?\d)")
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9 ()+-]{1,79}")
_PERSONAL = re.compile(r"[0-9A-Fa-f]{8}-|(?:[0-9A-Fa-f]{4}-){2}|\d{7}|[0-9A-Fa-f]{10}|(?:GPU|MIG)-", re.ASCII)

NVML_ERRORS = {
    1: "not initialized",
    2: "invalid argument",
    3: "not supported",
    4: "no permission",
    6: "not found",
    7: "insufficient size",
    8: "insufficient power",
    9: "driver not loaded",
    10: "timeout",
    11: "interrupt issue",
    12: "library not found",
    13: "function not found",
    14: "corrupted infoROM",
    15: "GPU is lost",
    16: "reset required",
    17: "operating system call failed",
    18: "driver and library versions differ",
    19: "in use",
    20: "insufficient memory",
    21: "no data",
    23: "insufficient resources",
    25: "argument version differs",
    27: "not ready",
    28: "GPU not found",
    29: "invalid state",
    999: "unknown",
}
"""Words for NVML's return codes, which nvidia-smi's exit statuses are too (nvml.h, `nvmlReturn_t`; nvidia-smi(1))."""


def nvml_error(code: int, *, source: str = "NVML") -> str:
    """Say a return code in our own words: `NVML 4: no permission`."""
    if code == UNREADABLE:
        return f"{source}: unreadable answer"
    return f"{source} {code}: {NVML_ERRORS[code]}" if code in NVML_ERRORS else f"{source} {code}"


def compute_capability(text: str) -> str:
    """Pass a compute capability (`9.0`), else nothing."""
    text = text.strip()
    return text if _ARCH.fullmatch(text) else ""


def driver_version(text: str) -> str:
    """Pass a version of NVIDIA's drivers (`580.95.05`); a library's own number (`1.1` on WSL and Jetson) is none."""
    text = text.strip()
    return text if _DRIVER.fullmatch(text) else ""


def kernel_release(text: str) -> str:
    """Pass the numbers that a kernel's release begins with; what follows them may be a name of somebody's own."""
    match = _KERNEL.match(text.strip())
    return match[0] if match else ""


def package_version(text: str) -> str:
    """Pass the numbers that a Debian version begins with; its builder's name may follow (`25.18.3-1~lab2`)."""
    match = _PACKAGE.match(text.strip())
    return match[0] if match else ""


def product(text: str) -> str:
    """Pass the name of a product, else nothing; NVIDIA's, AMD's and Intel's hold no dot, slash or long number."""
    text = " ".join(text.split())
    return text if _PRODUCT.fullmatch(text) and not _PERSONAL.search(text) else ""


def pci_id(vendor: int, device: int) -> str:
    """Write a model as `10de:2330`; nothing for numbers that are none."""
    if not 0 < vendor <= 0xFFFF or not 0 <= device <= 0xFFFF:  # noqa: PLR2004  # two bytes each, PCI 3.0 §6.1
        return ""
    return f"{vendor:04x}:{device:04x}"


def hex_number(text: str) -> int:
    """Read `0x10de`; -1 for what is no such number."""
    text = text.strip()
    return int(text, 16) if re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", text) else -1


def decimal(text: str) -> int:
    """Read a number of at most 20 digits; -1 for what is none."""
    text = text.strip()
    return int(text) if re.fullmatch(r"\d{1,20}", text, re.ASCII) else -1


def cuda_api(number: int) -> str:
    """Write CUDA's number of a version, 1000 * major + 10 * minor, as `13.0` (CUDA Driver API, cuDriverGetVersion)."""
    return f"{number // 1000}.{number % 1000 // 10}" if 1000 <= number < 100_000 else ""  # noqa: PLR2004  # 1.0 to 99
