"""Reading what frameworks were built for, never importing them."""

from dataclasses import replace
from pathlib import Path

import pytest

from envcap.environment import CondaRecord
from envcap.scan.gpu_frameworks import find_gpu_frameworks
from tests.scan.env_builder import add_dist, make_env, scan

TORCH = """from typing import Optional
__all__ = ['__version__', 'cuda']
__version__ = '2.14.1'
debug = False
cuda: Optional[str] = {cuda}
hip: Optional[str] = {hip}
rocm: Optional[str] = {rocm}
xpu: Optional[str] = {xpu}
"""
TENSORFLOW = """import collections
is_rocm_build = False
build_info = collections.OrderedDict([("is_cuda_build", True), ("cuda_version", "12.5.1"), ("cudnn_version", "9")])
"""


def told(prefix: Path) -> list[tuple[str, str, str]]:
    return [(row.name, row.version, row.built_for) for row in find_gpu_frameworks(scan(prefix))]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"cuda": "'13.2'"}, "cuda 13.2"),
        ({"hip": "'7.0.51831-a3e329ad8'"}, "rocm 7.0"),
        ({"hip": "'7.0.51831-a3e329ad8'", "rocm": "'7.0.2'"}, "rocm 7.0"),
        ({"xpu": "'20250101'"}, "xpu 20250101"),
        ({}, "cpu"),
        ({"cuda": "__import__('os').getcwd()"}, "cpu"),
        ({"cuda": "'no version'"}, "cpu"),
    ],
)
def test_torch_says_its_toolkit_in_a_file(tmp_path: Path, said: dict[str, str], expected: str) -> None:
    prefix = make_env(tmp_path)
    source = TORCH.format(**{"cuda": "None", "hip": "None", "rocm": "None", "xpu": "None", **said})
    add_dist(prefix, "torch", {"torch/version.py": source}, version="2.14.1")

    assert told(prefix) == [("torch", "2.14.1", expected)]


@pytest.mark.parametrize("source", ["cuda = (", "(" * 60_000, "-" * 60_000 + "1", "x" * 70_000, "\0", "cuda = 12.1"])
def test_damaged_file_says_nothing(tmp_path: Path, source: str) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "torch", {"torch/version.py": source})

    assert told(prefix) == [("torch", "1.0", "cpu")]


@pytest.mark.parametrize(
    "source",
    [TENSORFLOW, 'build_info = {"cuda_version": "12.5.1"}\n', 'build_info = dict({"cuda_version": "12.5.1"})\n'],
)
def test_tensorflow_says_its_toolkit_in_a_table(tmp_path: Path, source: str) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "tensorflow", {"tensorflow/python/platform/build_info.py": source}, version="2.20.0")

    assert told(prefix) == [("tensorflow", "2.20.0", "cuda 12.5")]


def test_jax_s_plugin_demands_the_compiler_of_its_build(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    metadata = (
        "Metadata-Version: 2.1\nName: jax-cuda12-plugin\nVersion: 0.9\n"
        "Requires-Dist: nvidia-cuda-nvcc-cu12>=12.6.85; extra == 'with-cuda'\n"
    )
    add_dist(prefix, "jax-cuda12-plugin", version="0.9", metadata={"METADATA": metadata})

    assert told(prefix) == [("jax", "0.9", "cuda 12.6")]


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("cupy-cuda12x", "14.2.0", [("cupy", "14.2.0", "cuda 12")]),
        ("cupy-cuda115", "12.0", [("cupy", "12.0", "cuda 11.5")]),
        ("cupy-rocm-7-0", "14.2.0", [("cupy", "14.2.0", "rocm 7.0")]),
        ("faiss-gpu-cu12", "1.14.1.post1", [("faiss", "1.14.1.post1", "cuda 12")]),
        ("jax-rocm60-plugin", "0.9", [("jax", "0.9", "rocm 6.0")]),
        ("vllm", "0.9.1+cu128", [("vllm", "0.9.1+cu128", "cuda 12.8")]),
        ("torchvision", "0.29+rocm6.2", [("torchvision", "0.29+rocm6.2", "rocm 6.2")]),
        ("torchvision", "0.29+cpu", [("torchvision", "0.29+cpu", "cpu")]),
        ("x", "1.0+git.cu118", [("x", "1.0+git.cu118", "cuda 11.8")]),
        ("nvidia-cublas-cu12", "12.9.3", []),
        ("numpy", "2.1.3", []),
        ("x", "1.0+local", []),
    ],
)
def test_names_and_labels_say_a_toolkit(
    tmp_path: Path, name: str, version: str, expected: list[tuple[str, str, str]]
) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, name, version=version)

    assert told(prefix) == expected


@pytest.mark.parametrize(
    ("build", "expected"), [("cuda126py311h1", ["cuda 12.6"]), ("gpu_cuda_118h2", ["cuda 11.8"]), ("cpu_py311", [])]
)
def test_conda_build_says_a_toolkit(tmp_path: Path, build: str, expected: list[str]) -> None:
    record = CondaRecord(
        name="jaxlib", version="0.9", build=build, channel="conda-forge", subdir="linux-64", file="x", directory="x"
    )
    environment = replace(scan(make_env(tmp_path)), conda=(record,))

    assert [row.built_for for row in find_gpu_frameworks(environment)] == expected
