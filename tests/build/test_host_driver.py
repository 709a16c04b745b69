"""A host's driver never gets into a layer; what looks like one and belongs in an image does."""

import pytest

from envcap.build.host_driver import refuse_host_driver
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError

SITE = "opt/env/lib/python3.11/site-packages"


def file(path: str, owner: str = "some 1.0") -> Entry:
    return Entry(path=path, kind=EntryKind.FILE, mode=0o644, content=LiteralContent(b"x"), owner=owner)


def link(path: str, target: str) -> Entry:
    return Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target=target, owner="some 1.0")


@pytest.mark.parametrize(
    "entry",
    [
        file("usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.535.247.01", "libcuda1"),
        file("opt/conda/lib/libnvidia-ml.so.1", "driver-bits 1.0"),
        file(f"{SITE}/some.libs/libnvcuvid-1a2b3c4d.so.550.54.15"),
        link("opt/env/lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"),
        file("usr/bin/nvidia-smi", "nvidia-smi"),
    ],
    ids=lambda entry: entry.path.rpartition("/")[2],
)
def test_a_host_driver_s_file_is_refused(entry: Entry) -> None:
    with pytest.raises(BuildError, match="NVIDIA driver") as caught:
        refuse_host_driver([file("etc/passwd"), entry])
    assert entry.path in caught.value.message
    assert entry.owner in caught.value.message


@pytest.mark.parametrize(
    "path",
    [
        "opt/conda/targets/x86_64-linux/lib/stubs/libcuda.so",  # conda: cuda-driver-dev
        "opt/conda/targets/x86_64-linux/lib/stubs/libnvidia-ml.so",  # conda: cuda-nvml-dev
        "opt/conda/cuda-compat/libcuda.so.1",  # conda: cuda-compat, which its user asked for
        "usr/local/cuda/compat/libcuda.so.580.95.05",
        f"{SITE}/nvidia/cu13/lib/libnvJitLink.so.13",
        f"{SITE}/nvidia/cuda_nvcc/nvvm/lib64/libnvvm.so.4",
        f"{SITE}/nvidia/cuda_opencl/lib/libOpenCL.so.1",
        f"{SITE}/pynvml/nvidia_smi.py",
        "opt/env/lib/libamdhip64.so.7",  # AMD's and Intel's user space belongs in the image
        "usr/lib/x86_64-linux-gnu/libze_intel_gpu.so.1",
    ],
)
def test_what_only_looks_like_a_driver_is_let_in(path: str) -> None:
    refuse_host_driver([file(path)])


def test_a_folder_with_a_library_s_name_is_no_library() -> None:
    refuse_host_driver([Entry(path="opt/env/libcuda.so", kind=EntryKind.DIRECTORY, mode=0o755)])


def test_the_refusal_is_one_line_with_a_next_step() -> None:
    entries = [file("opt/env/lib/libcuda.so.1", "unowned"), file("opt/env/lib/libcuda.so.2", "unowned")]
    with pytest.raises(BuildError) as caught:
        refuse_host_driver(entries)
    assert caught.value.message == (
        "'opt/env/lib/libcuda.so.1' (unowned), and 1 more like it, belongs to a machine's NVIDIA driver (expected none "
        "in an image: the container runtime brings the driver of the machine that runs it)"
    )
    assert caught.value.hint == (
        "remove it from the environment, or its package from `--system`, and take a new snapshot"
    )
