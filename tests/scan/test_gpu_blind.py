"""Naming what no reading of libraries can tell."""

from pathlib import Path

from envcap.gpu.model import GpuLibrary
from envcap.scan.gpu_blind import find_blind_spots
from tests.scan.env_builder import add_dist, make_env, scan, write


def test_compilers_are_named_with_the_assemblers_they_bring(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    files: dict[str, bytes | str] = {
        "triton/backends/nvidia/bin/ptxas": b"x" * (4 << 20) + b"Cuda compilation tools, release 12.9, V12.9.86\0",
        "triton/backends/nvidia/bin/ptxas-blackwell": b"release 13.4, V13.4.59\0",
    }
    add_dist(prefix, "triton", files, version="3.9.0")
    add_dist(prefix, "cupy-cuda12x", version="14.2.0")

    assert find_blind_spots(scan(prefix), (), has_code=False) == (
        "cupy-cuda12x 14.2.0 compiles most of its kernels with NVRTC when they run",
        "triton 3.9.0 compiles its kernels when they run (ptxas 12.9.86, ptxas-blackwell 13.4.59)",
    )


def test_numba_is_blind_only_beside_something_of_a_gpu(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "numba", version="0.63")

    assert find_blind_spots(scan(prefix), (), has_code=False) == ()
    assert find_blind_spots(scan(prefix), (), has_code=True) == ("numba 0.63 compiles its kernels when they run",)


def test_libraries_that_compile_are_named(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "c", {"nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9": b"x"})
    nvrtc = GpuLibrary(name="nvrtc", version="12.8.93", provider="nvidia-cuda-nvrtc-cu12")

    assert find_blind_spots(scan(prefix), (nvrtc,), has_code=True) == (
        "cudnn compiles some of its kernels when they run",
        "nvrtc 12.8.93 of nvidia-cuda-nvrtc-cu12 compiles kernels when a program asks for it",
    )


def test_code_in_data_files_is_counted(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "flashinfer-cubin", {"f/a.cubin": b"x", "f/b.cubin": b"x", "f/c.ptx": b"x"})
    write(prefix, {"mine.hsaco": b"x"})

    assert find_blind_spots(scan(prefix), (), has_code=False) == (
        "flashinfer-cubin brings 1 file of GPU code (.ptx) that only its own program can tell",
        "flashinfer-cubin brings 2 files of GPU code (.cubin) that only its own program can tell",
        "the environment brings 1 file of GPU code (.hsaco) that only its own program can tell",
    )


def test_what_a_package_brings_for_its_own_tests_is_no_code_of_an_environment(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "numba", {"numba/cuda/tests/data/jitlink.ptx": b"x"}, version="0.68.1")
    add_dist(prefix, "tests-of-mine", {"tests.d/a.ptx": b"x"})

    assert find_blind_spots(scan(prefix), (), has_code=False) == (
        "tests-of-mine brings 1 file of GPU code (.ptx) that only its own program can tell",
    )
