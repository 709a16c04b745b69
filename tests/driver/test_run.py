"""Running a program that may hang, crash or flood."""

import os
import sys
import time
from pathlib import Path

from envcap.driver.run import Ended, Outcome, ProgramRunner


def python(script: str, *, timeout: float = 30.0, **environ: str) -> Outcome:
    return ProgramRunner(environ=environ)([sys.executable, "-I", "-c", script], timeout=timeout)


def test_output_and_status_are_kept_and_messages_dropped() -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    assert python(script) == Outcome(ended=Ended.EXITED, status=3, stdout=b"out\n")


def test_variables_that_hide_devices_or_steer_python_are_withheld() -> None:
    script = "import os; print(sorted(key for key in os.environ if key != 'LC_CTYPE'))"

    assert python(script, CUDA_VISIBLE_DEVICES="", PYTHONPATH="/x", KEPT="1").stdout == b"['KEPT', 'LC_ALL']\n"


def test_a_crash_has_its_signal() -> None:
    assert python("import os; os.kill(os.getpid(), 11)") == Outcome(ended=Ended.CRASHED, status=11)


def test_at_its_time_a_program_is_killed_with_its_children_and_its_words_stay(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    # A shell, which has started and told long before its time is up, even on a machine with much else to do.
    script = f"sleep 600 & echo $! >'{mark}'; echo told; wait"

    outcome = ProgramRunner(environ={"PATH": os.defpath})(["/bin/sh", "-c", script], timeout=2.0)

    assert outcome == Outcome(ended=Ended.TIMED_OUT, stdout=b"told\n")  # or it would have waited for 600 s
    while alive(int(mark.read_text())):  # whoever adopts it has yet to bury it
        time.sleep(0.01)


def test_a_program_that_closes_its_output_and_stays_is_killed() -> None:
    assert python("import os, time; os.close(1); os.close(2); time.sleep(60)").ended is Ended.TIMED_OUT


def test_a_flood_ends_at_its_bound() -> None:
    outcome = python("while True: print('x' * 1000)")

    assert outcome.ended is Ended.TOO_LONG
    assert len(outcome.stdout) < 2 << 20


def test_a_program_that_is_not_there_is_not_started() -> None:
    assert ProgramRunner(environ={})(["/none/such"], timeout=1.0) == Outcome(ended=Ended.NOT_STARTED)
    assert ProgramRunner(environ={})(["a\0b"], timeout=1.0) == Outcome(ended=Ended.NOT_STARTED)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits for its parent to take notice doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
