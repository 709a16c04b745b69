"""Ctrl-C while the program is still loading: one line and status 130, wherever it comes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow import ROOT

PROGRAM = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "MODULE":
            sys.meta_path.remove(self)
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from envcap.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typer.main", "envcap.cli.history", "httpx._client", "httpcore._sync", "h11"])
def test_an_interrupt_while_a_module_loads_is_one_line(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("MODULE", module), "history", "127.0.0.1:1/lab/ml"],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("error: Interrupted; nothing was half-written\n", 130)
