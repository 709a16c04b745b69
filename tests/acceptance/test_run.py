"""Acceptance: `envcap run` of an example lock, in a real engine."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock, rewrite_lock
from tests.acceptance.engines import NAME, docker, remove_from_docker

pytestmark = [pytest.mark.network, pytest.mark.engine, pytest.mark.slow]

STARTER = Path(__file__).parents[2] / "lockfiles" / "starter"


def test_python_runs_in_the_image_with_input_status_and_folder(tmp_path: Path) -> None:
    docker("version")
    lock = tmp_path / "lock"
    shutil.copytree(STARTER, lock)
    found = open_lock(lock)
    rewrite_lock(found, replace(found.lockfile, name=NAME))
    code = "import numpy, pathlib, sys; pathlib.Path('made').touch(); print(sys.stdin.read() + sys.prefix); sys.exit(9)"
    argv = [sys.executable, "-m", "envcap", "run", str(lock), "--engine", "docker", "--mount-cwd"]
    try:
        for _ in range(2):
            done = subprocess.run(
                [*argv, "--", "python", "-c", code],
                env={**os.environ, "PYTHONPATH": str(STARTER.parents[1])},
                cwd=tmp_path,
                input="from ",
                capture_output=True,
                check=False,
                text=True,
            )
            assert (done.returncode, done.stdout) == (9, "from /opt/env\n"), done.stderr
            assert (tmp_path / "made").stat().st_uid == os.getuid()
            (tmp_path / "made").unlink()
    finally:
        remove_from_docker(f"{NAME}:envcap")
