"""Which files belong to a machine's NVIDIA driver and must never be in an image. Pure.

The container runtime puts the host's own in their place when a container starts. A copy in a layer would be found
first, or be left beside them, and not fit the kernel's half (NVML error 18, CUDA error 803). The names are those that
libnvidia-container injects (`src/nvc_info.c`), and Apptainer's `etc/nvliblist.conf`.

Two that look alike are no part of a host's driver: stubs to link with (`…/stubs/libcuda.so`), and the libraries of
cuda-compat, which belong in an image if its user asked for them.
"""

import re
from pathlib import PurePosixPath

HOST, STUB, COMPAT = "host", "stub", "compat"

_NVIDIA = (
    "ml cfg nscq sandboxutils opencl gpucomp ptxjitcompiler fatbinaryloader allocator compiler pkcs11 "
    "pkcs11-openssl3 nvvm tileiras encode opticalflow eglcore glcore tls glsi fbc ifr rtcore cbl glvkspirv ngx "
    "vulkan-producer wayland-client egl-gbm egl-wayland present vksc-core api"
)
_OTHERS = (
    "libcuda libcudadebugger libnvcuvid libnvoptix libEGL_nvidia libGLX_nvidia libGLESv1_CM_nvidia "
    "libGLESv2_nvidia libvdpau_nvidia"
)
_NAMES = frozenset([*(f"libnvidia-{name}" for name in _NVIDIA.split()), *_OTHERS.split()])
_TOOLS = (
    "nvidia-smi nvidia-debugdump nvidia-persistenced nvidia-cuda-mps-control nvidia-cuda-mps-server nvidia-modprobe"
)
_PROGRAMS = frozenset(_TOOLS.split())
_LIBRARY = re.compile(r"(lib[A-Za-z0-9_-]{1,60}?)(?:-[0-9a-f]{8})?\.so(?:\.[0-9]{1,8}){0,4}", re.ASCII)
"""With the hash that auditwheel puts into the names of copies."""
_LONGEST_NAME = 120
_BEGINNINGS = ("lib", "nvidia-", "gsp")
_FOLDERS = {"stubs": STUB, "compat": COMPAT, "compat_orin": COMPAT, "cuda-compat": COMPAT}


def is_host_library(path: str) -> bool:
    """Tell whether a file belongs to a machine's NVIDIA driver, by its path in an image or an environment."""
    return driver_file_kind(path) == HOST


def driver_file_kind(path: str) -> str:
    """Tell what a file with a name of NVIDIA's driver is: `host`, `stub`, `compat`, or empty for any other file.

    Args:
        path: With `/`, absolute or relative; nothing is looked up.
    """
    # Most files of an image are told by this alone: it is asked of each.
    if not path[path.rfind("/") + 1 :].startswith(_BEGINNINGS):
        return ""
    parts = PurePosixPath(path).parts
    name, folders = (parts[-1], parts[:-1]) if parts else ("", ())
    if name in _PROGRAMS:
        return HOST if [*folders[-2:]] in (["usr", "bin"], ["usr", "sbin"]) else ""
    if "firmware" in folders and "nvidia" in folders and name.startswith("gsp"):
        return HOST
    match = _LIBRARY.fullmatch(name[:_LONGEST_NAME])
    if not match or match[1] not in _NAMES:
        return ""
    return next((kind for folder, kind in _FOLDERS.items() if folder in folders), HOST)
