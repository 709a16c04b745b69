"""An interrupt ends the program whatever its threads are at; an error waits for them."""

import subprocess
import sys
from threading import Event

import pytest

from envcap.workers import worker_pool
from tests.flow import ROOT

STUCK = """
import threading
from envcap.__main__ import _leave
threading.Thread(target=threading.Event().wait).start()
print("said")
_leave(130)
"""


def test_an_interrupt_waits_for_no_thread_and_begins_nothing() -> None:
    started, release = Event(), Event()

    def work() -> str:
        started.set()
        release.wait()
        return "done"

    with pytest.raises(KeyboardInterrupt), worker_pool(1) as pool:  # noqa: PT012
        running, waiting = pool.submit(work), pool.submit(work)
        started.wait()
        raise KeyboardInterrupt

    assert not running.done()
    assert waiting.cancelled()
    release.set()
    assert running.result() == "done"


def test_an_error_waits_for_what_runs_and_begins_nothing() -> None:
    started, release = Event(), Event()

    def work() -> None:
        started.set()
        release.wait()

    with pytest.raises(ValueError, match="broken"), worker_pool(1) as pool:  # noqa: PT012
        running, waiting = pool.submit(work), pool.submit(work)
        waiting.add_done_callback(lambda _future: release.set())  # when it is cancelled
        started.wait()
        raise ValueError("broken")

    assert running.done()
    assert waiting.cancelled()


def test_without_an_error_everything_is_done_at_the_end() -> None:
    with worker_pool(2) as pool:
        futures = [pool.submit(str, number) for number in range(9)]
    assert [future.result() for future in futures] == [str(number) for number in range(9)]


def test_the_program_ends_after_an_interrupt_though_a_thread_is_stuck() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "said\n", "")
