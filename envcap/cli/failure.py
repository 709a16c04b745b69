"""The one place where errors become lines and exit statuses."""

import errno
import os
import sys
import traceback

import typer

from envcap.errors import EnvcapError, UsageError

INTERRUPTED = 130
_RUN = "envcap run"
_UsageError = typer.BadParameter.__mro__[1]
"""Root of typer's complaints about a command line: click's own class in older releases, a copy of it in newer ones."""


def explain(error: Exception) -> int:
    """Say why a command failed, and give its exit status."""
    if isinstance(error, EnvcapError):
        return fail(error.message, error.hint, error.exit_status)
    if isinstance(error, _UsageError):
        return _fail_of_usage(error)
    if isinstance(error, OSError):
        return _fail_of_system(error)
    if os.environ.get("ENVCAP_DEBUG"):
        _show_trace(error)
    return fail(
        f"envcap made a mistake ({type(error).__name__}: {_without_secrets(str(error))})",
        "please report it; set ENVCAP_DEBUG=1 to see where it happened",
        1,
    )


def _show_trace(error: Exception) -> None:
    """Print where a mistake happened; it is pasted into reports, and a library's message may repeat a URL."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    sys.stderr.write("".join(f"{_without_secrets(line)}\n" for line in lines))


def _without_secrets(text: str) -> str:
    from envcap.secrets.urls import scrub_text  # noqa: PLC0415  # only for a mistake

    return scrub_text(text)


def _fail_of_usage(error: Exception) -> int:
    """Say what is wrong with the command line; without any argument a group prints its help instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{context.get_help()}\n" if context else "")
        return UsageError.exit_status
    command = context.command_path if context else "envcap"
    hint = f"see `{command} --help`"
    if command == _RUN and type(error).__name__ == "NoSuchOption":
        hint = f"an option of the command to run comes after `--`: `{_RUN} LOCK -- CMD …`; {hint}"
    return fail(error.format_message(), hint, UsageError.exit_status)  # type: ignore[attr-defined]


def _fail_of_system(error: OSError) -> int:
    """Say what the operating system refused where no part of envcap explained it better."""
    try:
        sys.stdout.flush()
    except OSError:
        # Whoever reads our output has gone, or its disk is full; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 1
    if error.errno == errno.ENOENT and not error.filename and _is_folder_gone():
        return fail("The current folder is not there any more", "change to a folder that is, with `cd`", 1)
    where = f": {error.filename}" if error.filename else ""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    hint = "free some space, or choose other folders with `--store` and `--output`" if full else ""
    return fail(f"{error.strerror or error}{where}", hint, 1)


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # asks for nothing but this
    except FileNotFoundError:
        return True
    return False


def fail(message: str, hint: str, status: int) -> int:
    """Say an error and the next step; gives the status back."""
    from envcap.cli.talk import Talk  # noqa: PLC0415  # only when there is something to say

    Talk().fail(message, hint)
    return status
