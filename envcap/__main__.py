"""`python -m envcap` and the console script."""

import gc
import io
import sys

_INTERRUPTED = 130
_SECONDS_TO_CLEAN_UP = 1.0
"""For the threads that an interrupt leaves behind: a broken download removes what it wrote."""


def main() -> None:
    """Run the command line and exit with its status."""
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
        import os  # noqa: PLC0415  # nothing else here needs them
        import threading  # noqa: PLC0415
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


if __name__ == "__main__":
    main()
