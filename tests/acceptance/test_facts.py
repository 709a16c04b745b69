"""What a lock says of linear algebra and of the session, compared with what the environment says of itself."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.environments import MACHINE, SCIENCE_UV_311, Workshop

pytestmark = [pytest.mark.network, pytest.mark.slow]

QUESTION = "import json, numpy; print(json.dumps(numpy.show_config(mode='dicts')['Build Dependencies']['blas']))"


def test_the_blas_that_is_read_from_files_is_the_one_that_numpy_names(workshop: Workshop) -> None:
    captured = workshop.captured(SCIENCE_UV_311)
    asked = subprocess.run(
        [captured.prefix / "bin/python", "-c", QUESTION], env=MACHINE, check=True, capture_output=True
    )
    numpy = json.loads(asked.stdout)
    (row,) = [row for row in captured.read()["environment"]["blas"] if row["provider"] == "numpy"]
    assert row["library"] in numpy["name"]
    assert row["version"] == numpy["version"]


def test_another_session_gives_another_lock_and_the_same_environment(workshop: Workshop, tmp_path: Path) -> None:
    captured = workshop.captured(SCIENCE_UV_311)
    settings = {"LC_ALL": "POSIX", "OMP_NUM_THREADS": "7", "LD_LIBRARY_PATH": str(captured.prefix / "lib")}
    other = replace(workshop.envcap, settings=settings)
    answer = other("snapshot", captured.prefix, "--name", "other", "--output", tmp_path, "--json").fine().json
    assert answer["image_id"] == captured.image_id
    assert answer["digest"] == captured.read()["digest"]
    shown = other("show", tmp_path / "other", "--json").fine().json["session"]["variables"]
    assert shown["OMP_NUM_THREADS"] == "7"
    assert shown["LD_LIBRARY_PATH"] == "{prefix}/lib"
