"""Debian's own Python: an environment that sees its packages and the user's, and the Python itself."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.engines import NAME, docker, in_docker, remove_from_docker
from tests.acceptance.environments import MACHINE, Captured, Program, Workshop, need_python

pytestmark = [pytest.mark.network, pytest.mark.slow]

NEED_DPKG = {"apt", "aptsources"}
"""Modules that ask dpkg about the system; an image has none, since nothing is installed into it."""

INSIDE = Path(__file__).parent / "inside.py"


@pytest.fixture(scope="module")
def python() -> str:
    """Debian's own Python, with packages of Debian's that bring modules."""
    python = need_python("3.11")
    if python != "/usr/bin/python3.11" or "ID=debian" not in Path("/etc/os-release").read_text():
        pytest.skip("this machine's own Python is not Debian's")
    if not Path("/var/lib/dpkg/info/python3-six.list").is_file():
        pytest.skip("Debian's python3-six is not installed")
    return python


@pytest.fixture(scope="module")
def program(workshop: Workshop, python: str) -> Program:
    """The program of a user who installed a package for themselves."""
    base = workshop.root / "user-base"
    settings = {"PYTHONUSERBASE": str(base)}
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--user", "--break-system-packages")
    subprocess.run([*pip, "--quiet", "humanize"], env=MACHINE | settings, check=True, capture_output=True)
    return replace(workshop.envcap, settings=settings)


@pytest.fixture(scope="module")
def seeing(workshop: Workshop, program: Program, python: str) -> Captured:
    """A virtual environment with `--system-site-packages`, and a package of its own."""
    prefix = workshop.root / "envs/seeing"
    subprocess.run([python, "-m", "venv", "--system-site-packages", "--without-pip", prefix], check=True)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--python", str(prefix), "install", "--no-user")
    subprocess.run([*pip, "--quiet", "cowsay"], env=MACHINE, check=True, capture_output=True)
    found = program("snapshot", prefix, "--name", "seeing", "--output", workshop.root / "locks", "--json").fine().json
    return Captured(prefix=prefix, lock=workshop.root / "locks/seeing", image_id=found["image_id"])


@pytest.fixture(scope="module")
def whole(workshop: Workshop, program: Program, python: str) -> Captured:
    found = program("snapshot", python, "--no-user-site", "--output", workshop.root / "locks", "--json").fine().json
    return Captured(prefix=Path("/usr"), lock=workshop.root / "locks/python3.11", image_id=found["image_id"])


def test_each_package_comes_from_where_it_lies(seeing: Captured) -> None:
    lock = seeing.read()
    packages = {row["name"] for row in lock["packages"]}
    system = {row["name"]: row["because"] for row in lock["system"]}
    assert {"cowsay", "humanize"} <= packages
    assert "six" not in packages
    assert "installed on the system" in system["python3-six"]
    assert lock["environment"]["system-site-packages"] is True


def test_a_whole_python_is_locked_as_such_and_without_the_user_s_packages_if_told(whole: Captured) -> None:
    lock = whole.read()
    assert lock["environment"]["kind"] == "system"
    assert "humanize" not in {row["name"] for row in lock.get("packages", [])}
    assert "python3-six" in {row["name"] for row in lock["system"]}


def test_the_same_system_gives_the_same_lock_again(seeing: Captured, program: Program, tmp_path: Path) -> None:
    again = program("snapshot", seeing.prefix, "--name", "seeing", "--output", tmp_path, "--json").fine().json
    assert again["image_id"] == seeing.image_id
    assert (tmp_path / "seeing/envcap.lock").read_bytes() == (seeing.lock / "envcap.lock").read_bytes()


def test_the_lock_names_no_place_of_this_machine(seeing: Captured, workshop: Workshop) -> None:
    text = (seeing.lock / "envcap.lock").read_text()
    assert str(workshop.root) not in text


@pytest.mark.parametrize("name", ["seeing", "whole"])
def test_the_live_system_and_the_downloaded_artifacts_give_one_image(
    name: str, program: Program, request: pytest.FixtureRequest
) -> None:
    captured: Captured = request.getfixturevalue(name)
    rebuilt = program("rebuild", captured.lock, "--json").fine().json
    assert (rebuilt["image_id"], rebuilt["level"]) == (captured.image_id, "config")


@pytest.fixture(scope="module")
def container(seeing: Captured, program: Program) -> Iterator[str]:
    docker("info")
    tag = f"{NAME}/seeing:test"
    program("rebuild", seeing.lock, "--load", "--tag", tag).fine()
    yield tag
    remove_from_docker(tag)


@pytest.mark.engine
def test_what_is_installed_and_imports_live_does_so_in_the_image(
    seeing: Captured, container: str, program: Program
) -> None:
    command = [seeing.prefix / "bin/python", INSIDE]
    environ = MACHINE | dict(program.settings)
    live = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)
    image = json.loads(in_docker(container, "python", "/inside.py", options=("--volume", f"{INSIDE}:/inside.py:ro")))
    assert names(image) == names(live)
    assert set(live["modules"]) - set(image["modules"]) <= NEED_DPKG


def names(answer: dict[str, Any]) -> set[str]:
    """Names only: the mirror may have a newer build of a package than this machine, which a warning says."""
    return {name for name, _ in answer["installed"]}
