"""Finding the versions of GPU libraries by wheels, conda packages, file names and the operating system."""

from pathlib import Path

import pytest

from envcap.environment import CondaRecord, Environment, InstalledFile
from envcap.gpu.model import GpuLibrary
from envcap.scan.gpu_libraries import find_gpu_libraries, find_system_libraries
from tests.scan.env_builder import SITE, add_dist, make_env, scan


def told(environment: Environment) -> list[tuple[str, str, str]]:
    return [(row.name, row.version, row.provider) for row in find_gpu_libraries(environment)]


@pytest.mark.parametrize(
    ("name", "version", "file", "expected"),
    [
        ("nvidia-cublas-cu12", "12.9.3.13", "nvidia/cublas/lib/libcublas.so.12", "cublas"),
        ("nvidia-cuda-runtime-cu11", "11.8.89", "nvidia/cuda_runtime/lib/libcudart.so.11.0", "cudart"),
        ("nvidia-cuda-runtime", "13.2.75", "nvidia/cu13/lib/libcudart.so.13", "cudart"),
        ("nvidia-cudnn-cu13", "9.26.0.51", "nvidia/cudnn/lib/libcudnn.so.9", "cudnn"),
        ("nvidia-cusparselt-cu13", "0.8.1", "nvidia/cusparselt/lib/libcusparseLt.so.0", "cusparselt"),
        ("nvidia-cuda-nvrtc-cu12", "12.8.93", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12", "nvrtc"),
        ("cutensor-cu12", "2.2.0", "cutensor/lib/libcutensor.so.2", "cutensor"),
        ("tensorrt-cu12-libs", "10.9.0", "tensorrt_libs/libnvinfer.so.10", "tensorrt"),
        ("nvidia-dali-cuda120", "1.50.0", "nvidia/dali/libdali.so", "dali"),
        ("rocm-sdk-core", "7.9.0", "_rocm_sdk_core/lib/libamdhip64.so.7", "rocm"),
    ],
)
def test_wheels_of_each_naming_scheme_are_known(
    tmp_path: Path, name: str, version: str, file: str, expected: str
) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, name, {file: b"x"}, version=version)

    assert (expected, version, name) in told(scan(prefix))


def test_package_of_the_toolkit_s_version_needs_no_library(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "cuda-toolkit", version="13.2.2")

    assert told(scan(prefix)) == [("cuda", "13.2.2", "cuda-toolkit")]


def test_retired_name_of_a_wheel_without_content_is_passed_over(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "nvidia-cublas-cu13", {"nvidia_cublas_cu13/__init__.py": ""}, version="0.0.1")
    add_dist(prefix, "nvidia-ml-py", {"pynvml.py": ""}, version="13.615.71")

    assert told(scan(prefix)) == []


def test_libraries_inside_other_packages_are_told_by_their_file_names(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    files = {
        "x.libs/libcudart-c3a75b33.so.12.8.90": b"x",
        "x.libs/libcublasLt-0123abcd.so.12.8.4.1": b"x",
        "x/lib/libnccl.so.2": b"x",
        "x/lib/stubs/libcudnn.so": b"x",
        "x/lib/libcudartist.so.9": b"x",
    }
    add_dist(prefix, "x", files)

    assert told(scan(prefix)) == [("cudart", "12.8.90", "x"), ("nccl", "2", "x")]


def test_version_that_is_none_is_left_out(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "nvidia-nccl-cu12", {"nvidia/nccl/lib/libnccl.so.2": b"x"}, version="2.x y")

    assert told(scan(prefix)) == [("nccl", "", "nvidia-nccl-cu12")]


def test_conda_packages_are_told_with_their_names(tmp_path: Path) -> None:
    environment = scan(make_env(tmp_path))
    rows = [("cuda-version", "12.6"), ("cudatoolkit", "11.8.0"), ("libcublas", "12.6.4.1"), ("numpy", "2.1.3")]
    conda = Environment(
        prefix=environment.prefix,
        kind="conda",
        interpreter=environment.interpreter,
        site_packages=SITE,
        conda=tuple(
            CondaRecord(
                name=name, version=version, build="0", channel="conda-forge", subdir="linux-64", file="x",
                directory=f"conda-meta/{name}.json",
                files=(InstalledFile(path="lib/libcublas.so.12.6.4.1", mode=0o644, size=1, sha256="0" * 64),),
            )
            for name, version in rows
        ),
    )  # fmt: skip

    assert told(conda) == [
        ("cublas", "12.6.4.1", "conda:libcublas"),
        ("cuda", "12.6", "conda:cuda-version"),
        ("cuda", "11.8.0", "conda:cudatoolkit"),
    ]


def test_library_of_the_system_has_the_version_of_its_real_name_and_its_owner(tmp_path: Path) -> None:
    folder, dpkg = tmp_path / "lib", tmp_path / "dpkg"
    folder.mkdir()
    (dpkg / "info").mkdir(parents=True)
    for name, real in (("libnccl.so.2", "libnccl.so.2.27.3"), ("libcudart.so.13", "libcudart.so.13.0.96")):
        (folder / real).write_bytes(b"x")
        (folder / name).symlink_to(real)
    (dpkg / "status").write_text(
        "Package: libnccl2\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.27.3-1\n"
    )
    (dpkg / "info/libnccl2.list").write_text(f"/.\n{folder}/libnccl.so.2\n{folder}/libnccl.so.2.27.3\n")

    found = find_system_libraries(
        ["libnccl.so.2", "libcudart.so.13", "libm.so.6", "libcudnn.so.9"], dpkg=dpkg, folders=[str(folder)]
    )

    assert found == (
        GpuLibrary(name="cudart", version="13.0.96", provider="system"),
        GpuLibrary(name="nccl", version="2.27.3", provider="debian:libnccl2"),
    )


def test_no_library_of_the_system_asks_no_database(tmp_path: Path) -> None:
    assert find_system_libraries(["libm.so.6"], dpkg=tmp_path / "none", folders=[str(tmp_path)]) == ()
