"""Telling containers, WSL2 and Jetsons from other systems."""

import pytest

from envcap.driver.context import Surroundings, look_around
from envcap.driver.root import SystemRoot
from tests.driver.systems import FakeSystem


def look(system: FakeSystem, **environ: str) -> Surroundings:
    return look_around(SystemRoot(system.path), environ)


def test_a_system_of_no_special_kind_is_none(system: FakeSystem) -> None:
    assert look(system, HOME="/root") == Surroundings()


@pytest.mark.parametrize("file", ["/.dockerenv", "/run/.containerenv", "/.singularity.d/env/01-base.sh"])
def test_a_container_is_told_by_a_file_of_its_engine(system: FakeSystem, file: str) -> None:
    system.write(file)

    assert look(system) == Surroundings(container=True)


@pytest.mark.parametrize("variable", ["container", "APPTAINER_CONTAINER", "KUBERNETES_SERVICE_HOST"])
def test_a_container_is_told_by_a_variable_of_its_engine(system: FakeSystem, variable: str) -> None:
    assert look(system, **{variable: "x"}) == Surroundings(container=True)
    assert look(system, **{variable: ""}) == Surroundings()


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64\n", "36.4.0"),
        ("# R32 (release), REVISION: 6.1, GCID: 27863751, BOARD: t186ref\n", "32.6.1"),
        ("# R36 (release), REVISION: 4.0.1.2\n", ""),
        ("REVISION: 4.0\n", ""),
        ("", ""),
    ],
)
def test_a_jetson_s_release_is_read_from_its_file(system: FakeSystem, text: str, release: str) -> None:
    system.write("/etc/nv_tegra_release", text)

    assert look(system).l4t == release
