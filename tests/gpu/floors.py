"""Derive the driver floors anew: real libraries of CUDA's runtime, and a libcuda that says which CUDA it speaks.

`scripts/gpu-floors [PACKAGE==VERSION | WHEEL]…` prints, for each, the lowest CUDA of a driver on which its `libcudart`
starts, and compares it with the table. No GPU is needed: the library asks libcuda for its version first of all, and
returns error 35 (cudaErrorInsufficientDriver) if that is too low. Any other answer means that the gate is passed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from envcap.gpu.lookup import api_of_driver, floor_of
from envcap.gpu.table import GpuTable, gpu_table
from envcap.gpu.versions import Version, dotted, parse_version

DEFAULT = (
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cuda-runtime-cu12==12.1.105",
    "nvidia-cuda-runtime-cu12==12.9.79",
    "nvidia-cuda-runtime",
)
_INSUFFICIENT_DRIVER = 35
_STUB = """
#include <stdlib.h>
int cuDriverGetVersion(int *version) { *version = atoi(getenv("STUB_API")); return 0; }
int cuInit(unsigned flags) { (void)flags; return 0; }
"""
_ASK = """
import ctypes, sys
count = ctypes.c_int()
print(ctypes.CDLL(sys.argv[1]).cudaGetDeviceCount(ctypes.byref(count)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a library was seen to do.

    Attributes:
        name: File of the wheel.
        major: Of the library's CUDA.
        refuses: Highest CUDA of a driver on which it does not start, or None.
        starts: Lowest on which it does, or None.
    """

    name: str
    major: int
    refuses: Version | None
    starts: Version | None


def derive_floor(wheel: Path, table: GpuTable, folder: Path) -> Derived:
    """Ask a wheel's libcudart with drivers of each CUDA that the table knows, and of 10.2."""
    library = _extract(wheel, folder)
    stub = _build_stub(folder)
    asked = sorted({(10, 2), *(branch.cuda for branch in table.branches)})
    starts = {api: _starts(library, stub, api) for api in asked}
    return Derived(
        name=wheel.name,
        major=int(library.name.rpartition(".so.")[2].split(".")[0]),
        refuses=max((api for api, fine in starts.items() if not fine), default=None),
        starts=min((api for api, fine in starts.items() if fine), default=None),
    )


def agrees(derived: Derived, table: GpuTable) -> bool:
    """Tell whether the table's floor is a driver of the lowest CUDA on which the library starts."""
    floor = floor_of(derived.major, table)
    if floor is None or derived.starts is None or derived.refuses is None or derived.refuses > derived.starts:
        return False
    return api_of_driver(parse_version(floor.driver) or (), table) == derived.starts


def fetch_wheels(wanted: tuple[str, ...], folder: Path) -> tuple[Path, ...]:
    """Download what is no file, by this machine's pip."""
    found = []
    for number, one in enumerate(wanted):
        if one.endswith(".whl"):
            found.append(Path(one))
            continue
        place = folder / str(number)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
             "--dest", str(place), one],
            check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found += place.glob("*.whl")
    return tuple(found)


def has_compiler() -> bool:
    """Tell whether the stub can be built here."""
    return shutil.which("gcc") is not None


def _extract(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if "/libcudart.so." in name)
        target = folder / Path(member).name
        target.write_bytes(archive.read(member))
    return target


def _build_stub(folder: Path) -> Path:
    stub = folder / "stub"
    if not (stub / "libcuda.so.1").exists():
        stub.mkdir(exist_ok=True)
        (folder / "stub.c").write_text(_STUB)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(stub / "libcuda.so.1"), "stub.c"],
            check=True,
            cwd=folder,
        )
    return stub


def _starts(library: Path, stub: Path, api: Version) -> bool:
    """Ask in a process of its own: the library asks libcuda once."""
    environ = {"PATH": os.defpath, "LD_LIBRARY_PATH": str(stub), "STUB_API": str(1000 * api[0] + 10 * api[1])}
    answer = subprocess.run(
        [sys.executable, "-I", "-c", _ASK, str(library)], check=True, capture_output=True, env=environ, timeout=60
    )
    return int(answer.stdout) != _INSUFFICIENT_DRIVER


def main() -> int:
    """Print what each library does, and whether the table says the same; 3 if it doesn't."""
    table = gpu_table()
    status = 0
    with tempfile.TemporaryDirectory() as name:
        for wheel in fetch_wheels(tuple(sys.argv[1:]) or DEFAULT, Path(name)):
            derived = derive_floor(wheel, table, Path(name))
            floor = floor_of(derived.major, table)
            same = agrees(derived, table)
            package, version = wheel.name.split("-")[:2]
            sys.stdout.write(
                f"{package} {version}: "
                f"refuses a driver of CUDA {dotted(derived.refuses or ())}, "
                f"starts on {dotted(derived.starts or ())}; the table's floor is {floor.driver if floor else 'none'}: "
                f"{'agrees' if same else 'DIFFERS'}\n"
            )
            status = status if same else 3
    return status


if __name__ == "__main__":
    raise SystemExit(main())
