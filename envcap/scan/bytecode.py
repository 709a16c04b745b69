"""Finds bytecode that Python runs without looking at its source: unchecked hash-based `.pyc` files (PEP 552).

Bytecode is left out of an image. Where the live one isn't made from the source beside it, the image behaves otherwise.
"""

import os
from collections.abc import Iterable

from envcap.finding import Finding

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_HASH_BASED, _CHECK_SOURCE = 0b01, 0b10


def unchecked_bytecode(prefix: str, paths: Iterable[str]) -> tuple[Finding, ...]:
    """Report the unchecked hash-based `.pyc` files among `paths`, which are relative to `prefix`."""
    message = "Python runs this bytecode without comparing it with its source, and the image holds only the source"
    return tuple(
        Finding(code="bytecode-unchecked", message=message, path=path)
        for path in paths
        if _flags(f"{prefix}/{path}") & (_HASH_BASED | _CHECK_SOURCE) == _HASH_BASED
    )


def _flags(location: str) -> int:
    """Return the flags word of a .pyc, its second; 0 for a file that has none or can't be read."""
    try:
        descriptor = os.open(location, _FLAGS)
    except OSError:
        return 0
    try:
        return int.from_bytes(os.read(descriptor, 8)[4:8], "little")
    except OSError:
        return 0
    finally:
        os.close(descriptor)
