"""Refuses a layer that holds a part of a machine's NVIDIA driver.

The container runtime brings the host's own driver when a container starts (libnvidia-container, `src/nvc_info.c`). A
copy in the image would be found beside or before it and not fit the kernel's half: NVML error 18, CUDA error 803. The
user space of AMD's and Intel's drivers is the opposite, and belongs in the image; so do stubs to link with, and
cuda-compat where its user asked for it (`envcap.gpu.host_libraries` tells them apart).
"""

from collections.abc import Iterable

from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError
from envcap.gpu.host_libraries import is_host_library


def refuse_host_driver(entries: Iterable[Entry]) -> None:
    """Check the entries of a layer.

    Raises:
        BuildError: One is a host driver's; the message names it and the package that brings it.
    """
    found = [entry for entry in entries if entry.kind is not EntryKind.DIRECTORY and is_host_library(entry.path)]
    if not found:
        return
    first = found[0]
    more = f", and {len(found) - 1} more like it," if len(found) > 1 else ""
    raise BuildError(
        f"{first.path!r} ({first.owner or 'of no package'}){more} belongs to a machine's NVIDIA driver "
        "(expected none in an image: the container runtime brings the driver of the machine that runs it)",
        hint="remove it from the environment, or its package from `--system`, and take a new snapshot",
    )
