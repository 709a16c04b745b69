"""Faithful: what a snapshot computes from the live files is the image that the downloaded artifacts give."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.environments import (
    OPENCV_PIP_312,
    RECIPES,
    SMALL_PIP_311,
    SMALL_UV_311,
    Captured,
    Recipe,
    Workshop,
    make_environment,
    pinned_names,
)

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_live_files_and_the_downloaded_artifacts_give_one_image(recipe: Recipe, workshop: Workshop) -> None:
    captured = workshop.captured(recipe)
    rebuilt = workshop.envcap("rebuild", captured.lock, "--json").fine().json
    assert rebuilt["image_id"] == rebuilt["expected"] == captured.image_id
    assert rebuilt["level"] == "config"


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_package_from_the_index_is_proven_and_nothing_is_left_over(recipe: Recipe, workshop: Workshop) -> None:
    lock = workshop.captured(recipe).read()
    # The interpreter's own pip and setuptools are not always those of the index: Debian edits them.
    packages = {row["name"]: row for row in lock["packages"] if row["name"] not in ("pip", "setuptools")}
    assert set(packages) == pinned_names(recipe)
    assert {row.get("proof", "record") for row in packages.values()} == {"record"}
    assert not [row["name"] for row in packages.values() if "patches" in row]
    assert "captured" not in lock


def test_a_machine_that_has_nothing_rebuilds_the_same_image(workshop: Workshop, tmp_path: Path) -> None:
    captured = workshop.captured(SMALL_UV_311)
    elsewhere = replace(workshop.envcap, store=tmp_path / "store")
    shutil.copytree(captured.lock, tmp_path / "lock")
    rebuilt = elsewhere("rebuild", tmp_path / "lock", "--json").fine().json
    assert (rebuilt["image_id"], rebuilt["level"]) == (captured.image_id, "config")


@pytest.mark.parametrize("recipe", [SMALL_UV_311, OPENCV_PIP_312], ids=str)
def test_on_a_machine_that_has_nothing_the_environment_has_not_drifted(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    """What is expected is then read out of the index's wheels, a part of each, and compared with the live files."""
    captured = workshop.captured(recipe)
    elsewhere = replace(workshop.envcap, store=tmp_path / "store")
    found = elsewhere("check", captured.lock, captured.prefix, "--json").fine().json
    assert (found["drifted"], found["changes"], found["unknown"]) == (False, [], [])
    again = elsewhere("check", captured.lock, captured.prefix, "--json", "--offline").fine().json
    assert again["changes"] == []
    assert again["hashed"] < found["hashed"]


def test_what_needs_libraries_of_the_operating_system_has_them_locked(workshop: Workshop) -> None:
    system = {row["name"]: row for row in workshop.captured(OPENCV_PIP_312).read()["system"]}
    assert any("libGL.so.1 needed by" in because for because in system["libgl1"]["because"])


@pytest.fixture
def edited(workshop: Workshop, tmp_path: Path) -> Captured:
    """A new environment of the same recipe, one byte of one file changed."""
    prefix = make_environment(SMALL_PIP_311, tmp_path / "env")
    path = next(prefix.glob("lib/python3.*/site-packages/cowsay/__init__.py"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 2]))
    found = workshop.envcap("snapshot", prefix, "--name", "edited", "--output", tmp_path, "--json").fine().json
    return Captured(prefix=prefix, lock=tmp_path / "edited", image_id=found["image_id"])


def test_one_changed_byte_is_another_image_and_every_command_names_the_file(
    edited: Captured, workshop: Workshop, tmp_path: Path
) -> None:
    original = workshop.captured(SMALL_PIP_311)
    assert edited.image_id != original.image_id
    patches = {row["name"]: row.get("patches") for row in edited.read()["packages"]}["cowsay"]
    assert [(row["path"], row["change"]) for row in patches] == [
        ("lib/python3.11/site-packages/cowsay/__init__.py", "edited")
    ]
    rebuilt = workshop.envcap("rebuild", edited.lock, "--json").fine().json
    assert rebuilt["image_id"] == edited.image_id

    tar = tmp_path / "original.oci.tar"
    workshop.envcap("rebuild", original.lock, "--output", tar).fine()
    said = workshop.envcap("verify", edited.lock, tar, "--json")
    assert said.status == 3
    assert said.json["level"] == "none"
    paths = {row["path"] for row in said.json["differences"]}
    # The package's own RECORD lists the file's hash, so it differs with it; nothing else does.
    assert {Path(path).name for path in paths} == {"__init__.py", "RECORD"}
    drift = workshop.envcap("check", original.lock, edited.prefix, "--json")
    assert drift.status == 3
    assert [(row["what"], row["name"], row["path"]) for row in drift.json["changes"]] == [
        ("edited", "cowsay", "lib/python3.11/site-packages/cowsay/__init__.py")
    ]
    workshop.envcap("check", edited.lock, edited.prefix).fine()
    shown = workshop.envcap("verify", edited.lock, tar)
    assert "cowsay/__init__.py" in shown.out
    assert shown.status == 3


def test_a_strict_snapshot_refuses_the_changed_byte_and_names_the_file(
    edited: Captured, workshop: Workshop, tmp_path: Path
) -> None:
    said = workshop.envcap("snapshot", edited.prefix, "--strict", "--name", "strict", "--output", tmp_path)
    assert said.status == 3
    assert "cowsay/__init__.py" in said.err
    assert not (tmp_path / "strict").exists()


def test_the_lock_of_an_image_verifies_it_in_each_form(workshop: Workshop, tmp_path: Path) -> None:
    captured = workshop.captured(SMALL_UV_311)
    for target in (tmp_path / "image.tar", tmp_path / "layout"):
        workshop.envcap("rebuild", captured.lock, "--output", target).fine()
        said = workshop.envcap("verify", captured.lock, target, "--json").fine()
        assert said.json["level"] == "config"
        assert said.json["image_id"] == captured.image_id
