"""An edit in place of a file that conda linked reaches its package cache, and other environments: that is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME
from tests.conda.channel import SITE, Channel, install
from tests.conda.test_capture import lost_world
from tests.conda.test_faithful import write_anew
from tests.conda.world import make_world
from tests.flow import Flow


def linked(flow: Flow, path: str, names: int) -> Path:
    place = flow.prefix / path
    if place.stat().st_nlink != names:
        pytest.skip("this file system has no hard links")
    return place


def test_an_edit_that_reached_the_package_cache_is_said_with_what_heals_it(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, ("python", "fast", "tool"))
    other = flow.root / "envs" / "other"
    install(channel, other, ("python", "fast", "tool"), cache=flow.root / "cache")
    with linked(flow, "include/fast.h", 3).open("r+b") as header:
        header.write(b"out ")
    with linked(flow, f"{SITE}/tool/__init__.py", 3).open("r+b") as module:
        module.write(b"DEF ")

    taken = flow.snapshot()

    assert taken.status == 0, taken.err
    for name, file, folder in (("fast", "fast.h", "fast-3.0-h1_0"), ("tool", "__init__.py", "tool-1.2-0")):
        remedy = f"remove the folder `{folder}` and the archive beside it from the package cache"
        assert (
            f"warning: {name}: {file} was edited in place, and is linked to conda's package cache, which is tainted"
            f" now: every later install gets the edit (1 other environment has it too); {remedy}\n"
        ) in taken.err.replace(f"{SITE}/tool/", "")
        assert (
            f"  {name}: the same file is in {other}\n"
            f"  {name}: to heal, {remedy}, then `conda install --force-reinstall {name}` in each environment that"
            " has it\n"
        ) in taken.err
    warnings = json.loads(flow.snapshot("--json").out)["warnings"]
    assert "cache-tainted" in [row["code"] for row in warnings]
    assert str(other) not in json.dumps(warnings) + (flow.lock / LOCK_NAME).read_text()


def test_a_file_that_was_written_anew_taints_nothing(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, ("python", "fast"))
    write_anew(flow.prefix / "include/fast.h", "mine\n")

    taken = flow.snapshot()

    assert "include/fast.h (kept with the lock)" in taken.err
    assert "tainted" not in taken.err


def test_a_cache_that_no_record_names_is_looked_into_as_configured(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, ("python", "fast"))
    path = next((flow.prefix / "conda-meta").glob("fast-*.json"))
    table = json.loads(path.read_text())
    del table["link"], table["extracted_package_dir"]
    path.unlink()
    path.write_text(json.dumps(table))
    with linked(flow, "include/fast.h", 2).open("r+b") as file:
        file.write(b"out ")
    told = replace(flow, settings={**flow.settings, "CONDA_PKGS_DIRS": str(flow.root / "cache")})

    assert "none of them is in conda's package cache" in flow.snapshot().err
    assert "linked to conda's package cache, which is tainted now" in told.snapshot().err


def test_an_edit_of_a_kept_package_is_found_too(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    place = flow.prefix / "include/fast.h"
    (tmp_path / "twin").hardlink_to(place)
    with linked(flow, "include/fast.h", 2).open("r+b") as file:
        file.write(b"out ")

    assert "fast: fast.h was edited in place, and its 1 other name on this disk with it" in flow.snapshot().err


def test_nobody_is_told_to_remove_a_package_that_nobody_has(channel: Channel, tmp_path: Path) -> None:
    lab = replace(channel, root=tmp_path / "lab")
    shutil.copytree(channel.root, lab.root)
    flow = make_world(tmp_path / "world", lab, ("python", "fast"))
    lab.path("fast").unlink()
    with linked(flow, "include/fast.h", 2).open("r+b") as file:
        file.write(b"out ")

    said = flow.snapshot().err

    assert "gets the edit; keep all of it: nobody has the archive to install it from again\n" in said
    assert "remove the folder" not in said
    assert "to heal" not in said
