"""Files of a machine's driver: told by their names, and from those that look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.gpu.host_libraries import driver_file_kind, is_host_library


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/x86_64-linux-gnu/libcuda.so.1",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05",
        "usr/lib/libcuda.so",
        "lib/libnvidia-ml.so.1",
        "usr/lib64/libnvidia-ptxjitcompiler.so.570.195.03",
        "usr/lib64/libnvidia-pkcs11-openssl3.so.580.65.06",
        "usr/lib64/libcudadebugger.so.1",
        "usr/lib64/libnvidia-nvvm.so.4",
        "usr/lib64/libnvidia-encode.so.1",
        "usr/lib64/libGLX_nvidia.so.0",
        "app/lib/python3.11/site-packages/some.libs/libcuda-1a2b3c4d.so.1",
        "usr/bin/nvidia-smi",
        "lib/firmware/nvidia/580.95.05/gsp_ga10x.bin",
    ],
)
def test_a_driver_s_file_is_the_host_s(path: str) -> None:
    assert is_host_library(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "lib/libcudart.so.13",
        "lib/libcudnn.so.9",
        "lib/libnvidia-mlx.so.1",
        "lib/libnvvm.so.4",
        "lib/libcuda.so.1.txt",
        "lib/libcuda.py",
        "lib/libcuda.so.1.2.3.4.5",
        "lib/libcuda.so.x",
        "lib/libcudacxx.so",
        "site-packages/pynvml/nvidia_smi.py",
        "opt/venv/bin/nvidia-smi",
        "lib/libcuda.so.1/readme",
        "lib/" + "libnvidia-ml.so." + "1" * 200,
    ],
)
def test_other_files_are_not(path: str) -> None:
    assert driver_file_kind(path) == ""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("usr/local/cuda/lib64/stubs/libcuda.so", "stub"),
        ("opt/conda/targets/x86_64-linux/lib/stubs/libnvidia-ml.so", "stub"),
        ("usr/local/cuda-13.2/compat/libcuda.so.595.45.04", "compat"),
        ("opt/conda/cuda-compat/libnvidia-ptxjitcompiler.so.1", "compat"),
        ("usr/local/cuda/compat_orin/libcuda.so.1", "compat"),
    ],
)
def test_stubs_and_forward_compatibility_are_not_the_host_s(path: str, kind: str) -> None:
    assert driver_file_kind(path) == kind
    assert not is_host_library(path)


@given(st.text(max_size=300))
def test_any_path_has_an_answer(path: str) -> None:
    assert driver_file_kind(path) in {"", "host", "stub", "compat"}
