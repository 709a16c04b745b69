"""What an image says of GPUs."""

from envcap.gpu.image_env import gpu_labels, gpu_variables
from envcap.gpu.model import GpuStack
from tests.gpu.stacks import FAISS_STACK, HIP_STACK, LIBTORCH, TABLE, TORCH_STACK, XFORMERS_STACK, stack


def test_an_image_asks_for_its_driver_in_two_components() -> None:
    assert gpu_variables(TORCH_STACK) == {
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_ENVCAP": "driver>=580.65",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }


def test_an_image_of_unknown_runtime_requires_no_driver() -> None:
    assert "NVIDIA_REQUIRE_ENVCAP" not in gpu_variables(stack(LIBTORCH))


def test_cuda_version_is_never_set() -> None:
    assert all("CUDA_VERSION" not in gpu_variables(one) for one in (TORCH_STACK, FAISS_STACK))


def test_an_image_for_amd_or_for_no_gpu_has_no_variables() -> None:
    assert gpu_variables(HIP_STACK) == {}
    assert gpu_variables(GpuStack()) == {}


def test_labels_say_what_is_needed() -> None:
    assert gpu_labels(FAISS_STACK, TABLE) == {
        "org.envcap.gpu.capabilities": "7.0-8.9",
        "org.envcap.gpu.cuda": "12.9",
        "org.envcap.gpu.driver.at-least": "525.60.13",
        "org.envcap.gpu.rules": "2026.11.2",
        "org.envcap.gpu.vendor": "nvidia",
    }
    assert gpu_labels(XFORMERS_STACK, TABLE)["org.envcap.gpu.capabilities"] == "7.5+"
    assert gpu_labels(TORCH_STACK, TABLE)["org.envcap.gpu.capabilities"] == "7.5-12.1"
    assert gpu_labels(HIP_STACK, TABLE) == {
        "org.envcap.gpu.gfx": "gfx908,gfx90a,gfx942,gfx1030,gfx1100,gfx1200,gfx1201",
        "org.envcap.gpu.rocm": "7.2",
        "org.envcap.gpu.rules": "2026.11.2",
        "org.envcap.gpu.vendor": "amd",
    }


def test_an_environment_without_gpu_code_has_no_labels() -> None:
    assert gpu_labels(GpuStack(), TABLE) == {}
