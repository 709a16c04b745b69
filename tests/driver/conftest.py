"""Libraries that stand for NVIDIA's, compiled once a run; a system in a folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.driver.systems import FakeSystem

_HERE = Path(__file__).parent


class Stubs:
    """Compiles stand-ins for NVIDIA's libraries; each variant once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def nvml(self, *, old: bool = False) -> Path:
        return self._compile("nvml_stub.c", "libnvidia-ml.so.1", *(["-DOLD_DRIVER"] if old else []))

    def cuda(self, version: int, *, code: int = 0) -> Path:
        return self._compile("cuda_stub.c", "libcuda.so.1", f"-DVERSION={version}", f"-DCODE={code}")

    def _compile(self, source: str, soname: str, *flags: str) -> Path:
        made = self._folder / f"{soname}{''.join(flags)}"
        if not made.exists():
            argv = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", f"-Wl,-soname,{soname}", *flags]
            subprocess.run([*argv, "-o", str(made), str(_HERE / source)], check=True)
        return made


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Stubs:
    if shutil.which("gcc") is None:
        pytest.skip("this machine has no gcc to compile a stand-in for a driver's library with")
    return Stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path / "root")
