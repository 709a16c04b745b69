"""What a GPU stack adds to an image."""

from envcap.gpu.model import GpuStack
from envcap.lock.image_gpu import with_gpu
from envcap.lockfile.model import ImageSettings
from tests.gpu.stacks import HIP_STACK, TABLE, TORCH_STACK


def test_an_image_without_a_gpu_stack_stays_as_it_is() -> None:
    image = ImageSettings(env={"A": "1"}, labels={"org.example.a": "b"})
    assert with_gpu(image, GpuStack(), TABLE) is image


def test_an_image_for_nvidia_gets_variables_and_labels_beside_its_own() -> None:
    image = with_gpu(ImageSettings(env={"A": "1"}, labels={"org.example.a": "b"}), TORCH_STACK, TABLE)
    assert image.env == {
        "A": "1",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_ENVCAP": "driver>=580.65",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
    assert image.labels["org.example.a"] == "b"
    assert image.labels["org.envcap.gpu.vendor"] == "nvidia"


def test_an_image_for_amd_gets_labels_only() -> None:
    image = with_gpu(ImageSettings(), HIP_STACK, TABLE)
    assert image.env == {}
    assert image.labels["org.envcap.gpu.vendor"] == "amd"


def test_what_the_user_sets_stays() -> None:
    image = ImageSettings(env={"NVIDIA_DRIVER_CAPABILITIES": "all"}, labels={"org.envcap.gpu.vendor": "mine"})
    found = with_gpu(image, TORCH_STACK, TABLE)
    assert found.env["NVIDIA_DRIVER_CAPABILITIES"] == "all"
    assert found.labels["org.envcap.gpu.vendor"] == "mine"


def test_cuda_version_is_never_set() -> None:
    assert "CUDA_VERSION" not in with_gpu(ImageSettings(), TORCH_STACK, TABLE).env
