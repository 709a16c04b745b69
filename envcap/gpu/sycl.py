"""Tells whether a library has kernels of SYCL for Intel's GPUs, from the sections that DPC++ writes.

A section `__CLANG_OFFLOAD_BUNDLE__sycl-TARGET` has all device images of a library for one target, one after the
other: `spir64` is SPIR-V, which the driver compiles, `spir64_gen` was compiled ahead. A library without kernels has a
module without entry points. Sources: SPIR-V specification §2.3 (physical layout) and §3.42.9 (OpEntryPoint); measured
with the wheels of dpctl, dpnp and bitsandbytes.
"""

import re
import struct
from collections.abc import Iterable
from typing import Final

from envcap.gpu.tally import FoundCode, Tally

SECTION: Final = "__CLANG_OFFLOAD_BUNDLE__sycl-"

_TARGET: Final = re.compile(r"[a-z0-9_]{1,32}\Z")
_INTEL: Final = "spir64"
_SMALL: Final = 4096
_MAGIC: Final = b"\x03\x02\x23\x07"
_HEADER_WORDS: Final = 5
_OP_ENTRY_POINT: Final = 15


def read_images(sections: Iterable[tuple[str, memoryview]]) -> FoundCode:
    """Read what a library's sections say: all of them are one container.

    Args:
        sections: Their names and contents.

    Raises:
        ScanError: There are more than any compiler writes.
    """
    tally = Tally()
    targets = []
    for name, data in sections:
        target = name.removeprefix(SECTION)
        if not _TARGET.match(target):
            tally.note("unknown-sycl")
        elif not target.startswith(_INTEL):
            tally.note(f"sycl-{target}")
        elif not _is_empty(data):
            targets.append(target)
    tally.add(targets)
    return tally.result()


def _is_empty(data: memoryview) -> bool:
    """Tell whether it is SPIR-V without an entry point; large sections never are."""
    if len(data) > _SMALL or bytes(data[:4]) != _MAGIC:
        return False
    words = struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    at = 0
    while at < len(words):
        if words[at] == int.from_bytes(_MAGIC, "little"):
            at += _HEADER_WORDS
            continue
        if words[at] & 0xFFFF == _OP_ENTRY_POINT:
            return False
        at += max(words[at] >> 16, 1)
    return True
