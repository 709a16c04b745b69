"""Running real programs."""

import sys

import pytest

from envcap.errors import ScanError
from envcap.scan.runner import SubprocessRunner


def test_output_and_status_are_kept_apart() -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    completed = SubprocessRunner({})([sys.executable, "-c", script], timeout=30)

    assert (completed.returncode, completed.stdout, completed.stderr) == (3, b"out\n", b"err\n")


def test_variables_that_steer_python_are_withheld_and_others_kept() -> None:
    run = SubprocessRunner({"PYTHONPATH": "/x", "PYTHONWARNINGS": "error", "KEPT": "1"})

    completed = run(
        [sys.executable, "-c", "import os; print(sorted(k for k in os.environ if k != 'LC_CTYPE'))"], timeout=30
    )

    assert completed.stdout == b"['KEPT']\n"


def test_nothing_is_on_its_standard_input() -> None:
    completed = SubprocessRunner({})([sys.executable, "-c", "import sys; print(sys.stdin.read() == '')"], timeout=30)

    assert completed.stdout == b"True\n"


def test_program_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(ScanError, match=r"did not answer within 0\.2 s"):
        SubprocessRunner({})([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)


def test_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ScanError, match="Unable to run /nonexistent/python: No such file"):
        SubprocessRunner({})(["/nonexistent/python"], timeout=1)
