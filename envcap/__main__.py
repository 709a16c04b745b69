"""`python -m envcap` and the console script."""

import gc
import io
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        # Loading takes most of a short command's time: who breaks that off gets no traceback either.
        from envcap.cli.app import run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted; nothing was half-written\n")
        sys.exit(130)
    # Tens of thousands of entries live at once and hardly any cycles: looking for those is wasted time.
    gc.set_threshold(500_000, 50, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names and diffs hold any character; a terminal that can't show one gets its number, not a failure.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run(sys.argv[1:])
    gc.freeze()  # the interpreter looks for cycles once more when it ends
    sys.exit(status)


if __name__ == "__main__":
    main()
