"""What the GPU stack of an environment adds to its image: variables for NVIDIA's runtime, and labels. Pure.

An image without a GPU stack stays as it is, to the byte. `CUDA_VERSION` is never set: NVIDIA's runtime would make up a
requirement of its own from it (`envcap.gpu.image_env`).
"""

from dataclasses import replace

from envcap.gpu.image_env import gpu_labels, gpu_variables
from envcap.gpu.model import GpuStack
from envcap.gpu.table import GpuTable
from envcap.lockfile.model import ImageSettings


def with_gpu(image: ImageSettings, stack: GpuStack, table: GpuTable) -> ImageSettings:
    """Add the variables and labels of a GPU stack to an image's settings.

    Args:
        image: As the user wants it: a variable or label that is set there keeps its value.
        stack: With its `needs` derived.
        table: The compatibility table by which they were.
    """
    variables, labels = gpu_variables(stack), gpu_labels(stack, table)
    if not variables and not labels:
        return image
    return replace(image, env={**variables, **image.env}, labels={**labels, **image.labels})
