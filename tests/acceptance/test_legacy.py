"""An environment made by the tools of 2019: `setup.py install`, `easy_install`, `pip install --egg`, distutils.

The tools are the real ones, from the index; the projects are small ones made here.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.environments import MACHINE, Workshop, find_python

pytestmark = [pytest.mark.network, pytest.mark.slow]

OLD_TOOLS = ("setuptools==44.1.1", "wheel==0.33.6", "pip==9.0.3")

SETUP = """
from {package} import setup
setup(name={name!r}, version="1.0", py_modules=[{module!r}], {more})
"""
POINTS = 'entry_points={"console_scripts": ["%s-run = %s:main"]}, zip_safe=%s'


def make_project(folder: Path, name: str, *, package: str = "setuptools", more: str = "") -> Path:
    module = name.replace("-", "_")
    project = folder / name
    project.mkdir(parents=True)
    (project / "setup.py").write_text(SETUP.format(package=package, name=name, module=module, more=more))
    (project / f"{module}.py").write_text(f"def main():\n    print({name!r})\n")
    (project / f"{name}-tool").write_text(f"#!/usr/bin/env python\nimport {module}\n{module}.main()\n")
    return project


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = find_python("3.8")
    if not python:
        pytest.skip("no CPython 3.8")
    folder = tmp_path_factory.mktemp("old")
    prefix = folder / "env"

    def run(*command: object, cwd: Path = folder) -> None:
        quiet = {**MACHINE, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run(list(map(str, command)), cwd=cwd, env=quiet, check=True, capture_output=True, timeout=300)

    run(python, "-m", "venv", prefix)
    for tool in OLD_TOOLS:  # pip last: it is the one that does it
        run(prefix / "bin/pip", "install", tool)
    live, pip = prefix / "bin/python", prefix / "bin/pip"
    projects = folder / "projects"
    with_points = {
        name: POINTS % (name, name.replace("-", "_"), name == "zipped-egg")
        for name in ("egg-folder", "zipped-egg", "egg-info", "pip-egg")
    }
    folders = {name: make_project(projects, name, more=more) for name, more in with_points.items()}
    run(live, "setup.py", "install", cwd=folders["egg-folder"])
    run(prefix / "bin/easy_install", "--zip-ok", folders["zipped-egg"])
    run(pip, "install", "--global-option=--quiet", folders["egg-info"])
    run(pip, "install", "--global-option=--quiet", "--egg", folders["pip-egg"])
    more = 'scripts=["plain-distutils-tool"], data_files=[("share/plain data", ["naïve notes.txt"])]'
    plain = make_project(projects, "plain-distutils", package="distutils.core", more=more)
    (plain / "naïve notes.txt").write_text("é\n")
    run(live, "setup.py", "install", cwd=plain)
    return prefix


def regular_files(folder: Path) -> dict[str, Path]:
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and not name.endswith(".pyc"):
                found[path.relative_to(folder).as_posix()] = path
    return found


def test_what_old_tools_installed_is_captured_whole_and_rebuilt_from_the_lock(
    old: Path, workshop: Workshop, tmp_path: Path
) -> None:
    locks, root = tmp_path / "locks", tmp_path / "root"
    taken = workshop.envcap("snapshot", old, "--name", "old", "--output", locks, "--json").fine().json
    kept = tmp_path / "kept"
    old.rename(kept)
    rebuilt = workshop.envcap("rebuild", locks / "old", "--rootfs", root, "--json").fine().json
    kept.rename(old)
    assert rebuilt["image_id"] == taken["image_id"]

    site = "lib/python3.8/site-packages"
    live, image = regular_files(old), regular_files(root / "opt/env")
    forms = [
        f"{site}/egg_folder-1.0-py3.8.egg/egg_folder.py",
        f"{site}/zipped_egg-1.0-py3.8.egg",
        f"{site}/egg_info-1.0-py3.8.egg-info/installed-files.txt",
        f"{site}/pip_egg-1.0-py3.8.egg/pip_egg.py",
        f"{site}/plain_distutils-1.0-py3.8.egg-info",
        f"{site}/plain_distutils.py",
        "share/plain data/naïve notes.txt",
    ]
    for path in forms:
        assert image[path].read_bytes() == live[path].read_bytes(), path
    lost = {path for path in live.keys() - image.keys() if not path.startswith(("bin/activate", "bin/Activate"))}
    # What pip writes of itself, and of its own interpreter's version, is no content.
    installer = {"REQUESTED", "direct_url.json"}
    assert {path for path in lost if Path(path).name not in installer} <= {"bin/pip3.8", "bin/easy_install-3.8"}
    for name in ("egg-folder-run", "zipped-egg-run", "egg-info-run", "pip-egg-run", "plain-distutils-tool"):
        assert image[f"bin/{name}"].read_bytes().partition(b"\n")[0] == b"#!/opt/env/bin/python"
    shutil.rmtree(root)


def test_what_can_t_be_proved_is_said_in_plain_words(old: Path, workshop: Workshop, tmp_path: Path) -> None:
    answer = workshop.envcap("snapshot", old, "--name", "old", "--output", tmp_path).fine()
    for words in (
        "egg-folder is captured: egg-folder was not installed from a wheel (egg)",
        "zipped-egg is captured: zipped-egg was not installed from a wheel (egg)",
        "egg-info is captured: egg-info was not installed from a wheel (egg-info)",
        "plain_distutils-1.0-py3.8.egg-info: Nothing says which files belong to it (distutils install)",
    ):
        assert words in answer.err
