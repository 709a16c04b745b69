"""What an image says of GPUs to those who run it: environment variables and labels. Pure.

NVIDIA's container toolkit reads the variables (`internal/config/image/cuda_image.go`). It validates versions as
semantic ones, in which a leading zero is an error, so a requirement has two components; and `CUDA_VERSION` alone
would make it invent a requirement of its own, so that is never set.
"""

from collections.abc import Mapping

from envcap.gpu.model import AMD, NVIDIA, GpuStack
from envcap.gpu.needs import CAPABILITY, DRIVER, GFX
from envcap.gpu.runtimes import cuda_runtimes, rocm_runtimes, wanted_vendors
from envcap.gpu.table import GpuTable
from envcap.gpu.versions import dotted, two_components

LABELS = "org.envcap.gpu."


def gpu_variables(stack: GpuStack) -> Mapping[str, str]:
    """Give the variables of an image; empty for an environment that needs no NVIDIA GPU.

    AMD's and Intel's devices are given to a container by the caller alone: their runtimes are in the image.
    """
    if NVIDIA not in wanted_vendors(stack):
        return {}
    variables = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    floor = next((need.at_least for need in stack.needs if need.subject == DRIVER and need.at_least), "")
    if floor:
        variables["NVIDIA_REQUIRE_ENVCAP"] = f"driver>={two_components(floor)}"
    return dict(sorted(variables.items()))


def gpu_labels(stack: GpuStack, table: GpuTable) -> Mapping[str, str]:
    """Give the labels of an image, `org.envcap.gpu.…`; empty for an environment that wants no GPU."""
    vendors = wanted_vendors(stack)
    if not vendors:
        return {}
    labels = {"vendor": ",".join(vendors), "rules": stack.rules}
    for need in stack.needs:
        if need.subject == DRIVER:
            labels |= {"driver.at-least": need.at_least, "driver.at-most": need.at_most}
        elif need.subject == CAPABILITY:
            bounds = f"{need.at_least}-{need.at_most}" if need.at_most else f"{need.at_least}+"
            labels["capabilities"] = bounds if need.at_least else ",".join(need.one_of)
        elif need.subject == GFX:
            labels["gfx"] = ",".join(need.one_of)
    cuda = cuda_runtimes(stack.libraries, stack.frameworks, stack.code, table) if NVIDIA in vendors else ()
    rocm = rocm_runtimes(stack.libraries, stack.frameworks) if AMD in vendors else ()
    labels |= {"cuda": dotted(cuda[0].version)} if cuda else {}
    labels |= {"rocm": dotted(rocm[0].version)} if rocm else {}
    return {LABELS + name: value for name, value in sorted(labels.items()) if value}
