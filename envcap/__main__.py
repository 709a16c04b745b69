"""`python -m envcap` and the console script."""

import gc
import io
import os
import sys
from pathlib import Path

_INTERRUPTED = 130
_SECONDS_TO_CLEAN_UP = 1.0
"""For the threads that an interrupt leaves behind: a broken download removes what it wrote."""


def main() -> None:
    """Run the command line and exit with its status."""
    _open_standard_streams()
    try:
        # Loading takes most of a short command's time: who breaks that off gets no traceback either.
        from envcap.cli.app import run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted; nothing was half-written\n")
        sys.exit(_INTERRUPTED)
    # Tens of thousands of entries live at once and hardly any cycles: looking for those is wasted time.
    gc.set_threshold(500_000, 50, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names and diffs hold any character; a terminal that can't show one gets its number, not a failure.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run(sys.argv[1:])
    gc.freeze()  # the interpreter looks for cycles once more when it ends
    _leave(status)


def _leave(status: int) -> None:
    """End the process; after an interrupt also if a thread is still busy (`envcap.workers` says why it may be left)."""
    if status == _INTERRUPTED:
        import threading  # noqa: PLC0415  # nothing else here needs them
        import time  # noqa: PLC0415
        from contextlib import suppress  # noqa: PLC0415

        deadline = time.monotonic() + _SECONDS_TO_CLEAN_UP
        with suppress(KeyboardInterrupt):  # who is impatient
            for thread in threading.enumerate():
                if thread is not threading.current_thread():
                    thread.join(max(0.0, deadline - time.monotonic()))
        if threading.active_count() > 1:
            with suppress(OSError):  # whoever reads has gone
                sys.stdout.flush()
            os._exit(status)
    sys.exit(status)


def _open_standard_streams() -> None:
    """Give a program that was started without some of its standard streams the null device instead.

    Else the first files that are opened would get their numbers, and what a library says would go into a file of ours.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:  # noqa: PLR2004  # the lowest free number is given: 0 to 2 are the standard streams
        os.set_inheritable(number, True)  # noqa: FBT003  # its only way
        number = os.dup(number)
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # for good


if __name__ == "__main__":
    main()
