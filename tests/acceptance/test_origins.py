"""Packages that no index has as they are: built from an sdist, from a repository, a folder, a wheel of this machine."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.environments import MACHINE, UV, Captured, Workshop, need_python
from tests.acceptance.test_editables import commit, make_project, run, snapshot

pytestmark = [pytest.mark.network, pytest.mark.slow]

SECRET = "s3cr3tCanary0123"


def rows(captured: Captured) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in captured.read()["packages"]}


@pytest.fixture(scope="module")
def mixed(workshop: Workshop) -> Captured:
    """An environment of every origin, made by uv, which leaves no hash of a wheel."""
    root = workshop.root / "mixed"
    folder = make_project(root, "hatchling", "flat")
    run("git", "remote", "add", "origin", f"https://me:{SECRET}@git.example.org/lab/flat.git", cwd=folder)
    repository = make_project(root, "hatchling", "src")
    local = make_project(root, "flit_core", "flat")
    run(UV, "build", "--quiet", "--wheel", local, "--out-dir", root / "wheels")
    prefix = workshop.root / "envs/mixed"
    run(UV, "venv", "--quiet", "--python", need_python("3.11"), prefix)
    wheel = next((root / "wheels").glob("*.whl"))
    run(
        UV, "pip", "install", "--quiet", "--python", prefix, "--no-binary", "docopt",
        "docopt==0.6.2", folder, f"git+{repository.as_uri()}", wheel,
    )  # fmt: skip
    return snapshot(workshop, prefix, "mixed")


def test_live_files_and_captured_ones_give_one_image(mixed: Captured, workshop: Workshop) -> None:
    rebuilt = workshop.envcap("rebuild", mixed.lock, "--json").fine().json
    assert rebuilt["image_id"] == rebuilt["expected"] == mixed.image_id


def test_what_was_built_from_an_sdist_names_it_by_the_index_s_hash(mixed: Captured) -> None:
    row = rows(mixed)["docopt"]
    assert row["sdist"] == {
        "file": "docopt-0.6.2.tar.gz",
        "sha256": "49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491",
    }
    assert (row.get("origin", "index"), row["proof"]) == ("index", "captured")


def test_a_repository_is_pinned_by_its_commit(mixed: Captured, workshop: Workshop) -> None:
    row = rows(mixed)["hatchlingsrc"]
    head = run("git", "rev-parse", "HEAD", cwd=workshop.root / "mixed/hatchlingsrc").strip()
    assert (row["origin"], row["commit"], row["artifacts"][0]["source"]) == ("vcs", head, "captured")


def test_a_folder_and_a_wheel_of_this_machine_are_kept_with_the_lock(mixed: Captured, workshop: Workshop) -> None:
    folder, wheel = rows(mixed)["hatchlingflat"], rows(mixed)["flitflat"]
    head = run("git", "rev-parse", "HEAD", cwd=workshop.root / "mixed/hatchlingflat").strip()
    assert (folder["origin"], folder["commit"], folder["url"]) == (
        "local",
        head,
        "https://git.example.org/lab/flat.git",
    )
    assert (wheel["origin"], wheel["proof"]) == ("local", "url")
    for row in (folder, wheel):
        (artifact,) = row["artifacts"]
        assert artifact["source"] == "captured"
        assert (mixed.lock / "blobs/sha256" / artifact["sha256"]).is_file()


def test_the_lock_names_no_place_of_this_machine_and_no_secret(mixed: Captured, workshop: Workshop) -> None:
    text = (mixed.lock / "envcap.lock").read_text() + workshop.envcap("show", mixed.lock).fine().out
    assert SECRET not in text
    assert str(workshop.root) not in text


@pytest.mark.skipif(shutil.which("gcc") is None, reason="this machine has no gcc")
def test_code_that_was_compiled_for_one_processor_is_named(workshop: Workshop, tmp_path: Path) -> None:
    project = tmp_path / "fast"
    project.mkdir()
    (project / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='fast', version='1.0', ext_modules=[Extension('fast', ['fast.c'],"
        " extra_compile_args=['-march=haswell', '-g'])])\n"
    )
    (project / "fast.c").write_text("int PyInit_fast(void) { return 0; }\n")
    commit(project)
    prefix = tmp_path / "env"
    run(UV, "venv", "--quiet", "--python", need_python("3.11"), prefix)
    command = [UV, "pip", "install", "--quiet", "--python", str(prefix), str(project)]
    if subprocess.run(command, env=MACHINE, capture_output=True, check=False).returncode:
        pytest.skip("no extension can be compiled here")
    answer = workshop.envcap("snapshot", prefix, "--output", tmp_path, "--name", "host", "--json").fine().json
    (warning,) = [row["message"] for row in answer["warnings"] if row["code"] == "host-specific-code"]
    assert warning.startswith("fast was compiled here for x86-64-v3 (fast.cpython-311-")
    assert tomllib.loads((tmp_path / "host/envcap.lock").read_text())["packages"][0]["origin"] == "local"
