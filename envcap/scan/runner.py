"""How the scan starts another program: a protocol, and the real one, with a scrubbed environment."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from envcap.errors import ScanError


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a finished program left.

    Attributes:
        returncode: Its exit status; negative for a signal.
        stdout: All it wrote to its standard output.
        stderr: All it wrote to its standard error.
    """

    returncode: int
    stdout: bytes
    stderr: bytes


class Runner(Protocol):
    """Runs a program to its end."""

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Completed:
        """Run `argv` without a shell and wait at most `timeout` seconds.

        Raises:
            ScanError: The program can't be started, or takes longer.
        """


@dataclass(frozen=True, slots=True)
class SubprocessRunner:
    """Runs real programs.

    Attributes:
        environ: The environment variables of the caller; those that steer Python are withheld.
    """

    environ: Mapping[str, str]

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Completed:
        """Run `argv` in the root folder, with nothing on its standard input."""
        # -I already ignores PYTHON*; a wrapper script in the interpreter's place might not. LD_LIBRARY_PATH
        # stays: an interpreter with a shared libpython may not start without it.
        environ = {key: value for key, value in self.environ.items() if not key.startswith(("PYTHON", "__PYVENV"))}
        try:
            result = subprocess.run(
                list(argv),
                env=environ,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ScanError(
                f"{argv[0]} did not answer within {timeout:g} s", hint="run it by hand to see why"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ScanError(f"Unable to run {argv[0]}: {reason}", hint="check that the interpreter works") from error
        return Completed(returncode=result.returncode, stdout=result.stdout, stderr=result.stderr)
