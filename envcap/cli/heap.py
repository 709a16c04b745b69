"""The C library's heap, where a command runs many threads that wait for the network."""

from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""`malloc.h` of glibc."""


def share_one_heap() -> None:
    """Let all threads take memory from one heap of the C library, where it is glibc; elsewhere nothing is done.

    glibc gives threads heaps of their own, eight a core (mallopt(3), `M_ARENA_MAX`), and each keeps what its thread
    once needed. Threads that take turns at the interpreter's lock hardly ever wait for each other's `malloc`.
    """
    import ctypes  # noqa: PLC0415  # most commands do without it

    with suppress(OSError, AttributeError):  # musl and macOS have no `mallopt`
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
