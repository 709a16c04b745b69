"""Joining what is in an environment of the GPU stack."""

from pathlib import Path

from envcap.gpu.model import CodeSet, GpuCode, GpuFramework, GpuLibrary, GpuStack
from envcap.scan.gpu_stack import scan_gpu_stack
from tests.gpu.assemble import CUBIN, container, entry, library
from tests.scan.env_builder import SITE, add_dist, make_env, scan


def test_environment_for_the_cpu_has_no_stack(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "torch", {"torch/version.py": "cuda = None\n"}, version="2.14.1+cpu")
    add_dist(prefix, "numba")

    assert scan_gpu_stack(scan(prefix), dpkg=tmp_path / "dpkg") == (GpuStack(), ())


def test_stack_holds_code_libraries_frameworks_and_blind_spots(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    code = library({".nv_fatbin": container(entry(CUBIN, 90))})
    files: dict[str, bytes | str] = {"torch/version.py": "cuda = '13.0'\n", "torch/lib/libtorch_cuda.so": code}
    add_dist(prefix, "torch", files, version="2.14.1")
    add_dist(prefix, "nvidia-nccl-cu13", {"nvidia/nccl/lib/libnccl.so.2": b"x"}, version="2.30.7")
    add_dist(prefix, "triton", version="3.9.0")

    stack, findings = scan_gpu_stack(scan(prefix), dpkg=tmp_path / "dpkg")

    assert findings == ()
    assert stack == GpuStack(
        libraries=(GpuLibrary(name="nccl", version="2.30.7", provider="nvidia-nccl-cu13"),),
        frameworks=(GpuFramework(name="torch", version="2.14.1", built_for="cuda 13.0"),),
        code=(
            GpuCode(
                file=f"{SITE}/torch/lib/libtorch_cuda.so",
                provider="torch",
                sets=(CodeSet(count=1, targets=("sm_90",)),),
            ),
        ),
        blind=("triton 3.9.0 compiles its kernels when they run",),
    )
