"""Symlinks of conda packages: what leads elsewhere than in the archive is seen, and the image gets it."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envcap.lockfile.model import Patch
from tests.conda.channel import PYTHON, SITE, Channel
from tests.conda.test_bad_input import edit
from tests.conda.test_drift import drift
from tests.conda.test_faithful import lock_of, snapshot_and_rebuild
from tests.conda.world import EVERYTHING, make_world
from tests.flow import Flow

LINK = "lib/libfast.so.1"
NAMES = ("python", "fast", "alias")


def lead(flow: Flow, path: str, target: str) -> None:
    place = flow.prefix / path
    place.unlink()
    place.symlink_to(target)


def patches(flow: Flow) -> dict[str, tuple[Patch, ...]]:
    return {row.name: row.patches for row in lock_of(flow).conda if row.patches}


def as_conda_writes(row: dict[str, Any]) -> None:
    """Leave the hash of the file behind a link when the package was built."""
    row.pop("sha256_in_prefix", None)


def as_mamba_writes(row: dict[str, Any]) -> None:
    """Leave the hash of the file behind a link when it was installed."""
    if "sha256" in row:  # none in what was made of a package that is older than `info/paths.json`
        row["sha256_in_prefix"] = row.pop("sha256")


def as_envcap_writes(row: dict[str, Any]) -> None:
    """Leave nothing of a link but that it is one."""
    row.pop("sha256", None)
    row.pop("sha256_in_prefix", None)


def all_as_conda_writes(table: dict[str, Any]) -> None:
    """Give the files of noarch Python packages as they are in the archive."""
    for row in table["paths_data"]["paths"]:
        if row["path_type"] == "softlink":
            as_conda_writes(row)
        if table.get("noarch") == "python":
            path = row["_path"].replace(SITE, "site-packages")
            row["_path"] = path.replace("bin/tool-script", "python-scripts/tool-script")


def all_as_mamba_writes(table: dict[str, Any]) -> None:
    """Leave out which files hold the prefix."""
    for row in table["paths_data"]["paths"]:
        row.pop("prefix_placeholder", None)
        row.pop("file_mode", None)
        if row["path_type"] == "softlink":
            as_mamba_writes(row)


@pytest.mark.parametrize("writer", [all_as_conda_writes, all_as_mamba_writes])
def test_an_environment_of_another_tool_gives_the_same_image(
    channel: Channel, locked: Flow, tmp_path: Path, writer: Callable[[dict[str, Any]], None]
) -> None:
    flow = make_world(tmp_path / "world", channel)
    for name in EVERYTHING:
        edit(flow, name, writer)

    assert snapshot_and_rebuild(flow) == lock_of(locked).expected[0].image_id
    assert patches(flow) == {}
    assert drift(flow) == []


def test_a_record_of_mamba_needs_its_archive_once(channel: Channel, tmp_path: Path) -> None:
    flow = world_of(channel, tmp_path, ("python", "tool"))
    for name in ("python", "tool"):
        edit(flow, name, all_as_mamba_writes)
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.root / "cache")
    shutil.rmtree(flow.root.parent / "lab")

    assert drift(flow) == []


def test_a_record_of_mamba_whose_archive_nobody_has_is_kept_with_the_lock(channel: Channel, tmp_path: Path) -> None:
    flow = world_of(channel, tmp_path, ("python", "tool"))
    for name in ("python", "tool"):
        edit(flow, name, all_as_mamba_writes)

    answer = gone(flow).snapshot()

    assert answer.status == 0
    assert {row.captured for row in lock_of(flow).conda} == {"files"}
    assert "its record has no word of which files hold the prefix (as mamba writes it), and nobody has the archive" in (
        " ".join(answer.err.split())
    )
    assert "Edited since" not in answer.err


def rewrite(flow: Flow, change: Callable[[dict[str, Any]], None]) -> Flow:
    """Change the rows of links in all records."""

    def edited(table: dict[str, Any]) -> None:
        for row in table["paths_data"]["paths"]:
            if row["path_type"] == "softlink":
                change(row)

    for name in ("python", "fast", "alias"):
        if list((flow.prefix / "conda-meta").glob(f"{name}-*.json")):
            edit(flow, name, edited)
    return flow


def alone(flow: Flow) -> Flow:
    """The same world with another store, a package cache gone, and a channel on a server: to be used `--offline`."""
    lost = gone(flow)
    return replace(lost, settings={**lost.settings, "CONDA_CHANNELS": "https://conda.example.org/lab"})


def gone(flow: Flow) -> Flow:
    """The same world with another store, where neither channel nor package cache are left."""
    shutil.rmtree(flow.root / "cache", ignore_errors=True)
    shutil.rmtree(flow.root.parent / "lab")
    return replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(flow.root / "lonely")})


def world_of(channel: Channel, root: Path, names: Sequence[str] = NAMES) -> Flow:
    """A world whose channel is its own, to be taken away."""
    shutil.copytree(channel.root, root / "lab")
    return make_world(root / "world", Channel(root / "lab", channel.specs), names)


@pytest.fixture
def flow(channel: Channel, tmp_path: Path) -> Flow:
    return rewrite(world_of(channel, tmp_path), as_conda_writes)


def test_a_link_that_leads_elsewhere_is_a_patch_and_the_image_gets_it(flow: Flow) -> None:
    lead(flow, LINK, "../include/fast.h")

    snapshot_and_rebuild(flow)

    assert patches(flow) == {"fast": (Patch(path=LINK, change="edited", target="../include/fast.h"),)}
    assert drift(flow) == []


@pytest.mark.parametrize("target", ["./libfast.so.1.2", "../lib/libfast.so.1.2", "/nowhere", "nowhere", "/etc/passwd"])
def test_another_spelling_and_a_way_out_are_seen_too(flow: Flow, target: str) -> None:
    lead(flow, LINK, target)

    assert flow.snapshot().status == 0

    assert patches(flow) == {"fast": (Patch(path=LINK, change="edited", target=target),)}


def test_an_untouched_link_into_another_package_is_no_patch(flow: Flow) -> None:
    """Its record has another hash than what lies behind it: the archive settles that."""
    snapshot_and_rebuild(flow)

    assert patches(flow) == {}


def test_check_names_the_link_and_both_ends(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    lead(flow, LINK, "nowhere")

    assert drift(flow) == [("target", "fast (conda)", LINK)]
    answer = flow.run("check", flow.lock, flow.prefix)
    assert f"{LINK}  (link to nowhere, the lock says link to libfast.so.1.2)" in answer.out


def test_check_sees_on_the_snapshots_machine_that_a_link_leads_to_an_equal_file(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    lead(flow, "bin/python3", "python")

    assert drift(flow) == [("target", "python (conda)", "bin/python3")]


def test_a_patched_link_that_was_led_back_is_told(flow: Flow) -> None:
    lead(flow, LINK, "nowhere")
    assert flow.snapshot().status == 0
    lead(flow, LINK, "libfast.so.1.2")

    assert drift(flow) == [("target", "fast (conda)", LINK)]


@pytest.mark.parametrize("writer", [as_conda_writes, as_mamba_writes, as_envcap_writes])
def test_an_ordinary_environment_asks_for_no_archive(
    channel: Channel, tmp_path: Path, writer: Callable[[dict[str, Any]], None]
) -> None:
    flow = alone(rewrite(world_of(channel, tmp_path, ("python", "fast")), writer))

    assert flow.snapshot("--offline").status == 0
    assert {row.captured for row in lock_of(flow).conda} == {""}
    assert patches(flow) == {}
    assert drift(flow, "--offline") == []


@pytest.mark.parametrize("writer", [as_conda_writes, as_mamba_writes])
def test_a_link_to_another_file_is_odd_whoever_wrote_the_record(
    channel: Channel, tmp_path: Path, writer: Callable[[dict[str, Any]], None]
) -> None:
    flow = rewrite(world_of(channel, tmp_path, ("python", "fast")), writer)
    lead(flow, LINK, "../include/fast.h")

    assert flow.snapshot().status == 0
    assert patches(flow) == {"fast": (Patch(path=LINK, change="edited", target="../include/fast.h"),)}


def test_rattlers_record_proves_a_link_by_itself(channel: Channel, tmp_path: Path) -> None:
    """It has the hash of the link's text, also of one into another package or to an equal file."""
    flow = alone(world_of(channel, tmp_path))
    assert flow.snapshot("--offline").status == 0
    assert patches(flow) == {}
    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(flow.root / "third")})
    lead(flow, "bin/python3", "python")

    assert drift(other, "--offline") == [("target", "python (conda)", "bin/python3")]
    answer = other.snapshot("--offline")
    assert patches(flow) == {"python": (Patch(path="bin/python3", change="edited", target="python"),)}
    assert "Edited since conda installed python: bin/python3" in " ".join(answer.err.split())


def test_a_link_of_a_kept_package_is_a_patch_where_the_store_knows_better(flow: Flow) -> None:
    lead(flow, LINK, "nowhere")
    assert flow.snapshot().status == 0
    lost = replace(gone(flow), settings=flow.settings)
    shutil.rmtree(flow.store / "blobs")

    snapshot_and_rebuild(lost)

    assert {row.captured for row in lock_of(flow).conda} == {"files"}
    assert patches(flow) == {"fast": (Patch(path=LINK, change="edited", target="nowhere"),)}


def test_an_edited_link_of_a_kept_package_is_said(channel: Channel, tmp_path: Path) -> None:
    lost = gone(world_of(channel, tmp_path))
    lead(lost, "bin/python3", "python")

    answer = lost.snapshot()

    assert patches(lost) == {}
    assert "Edited since conda installed python, whose archive nobody has: bin/python3 (kept as it is)" in answer.err
    assert drift(lost) == []


def test_a_link_that_nobody_can_prove_is_locked_as_it_is(channel: Channel, flow: Flow) -> None:
    lonely = alone(flow)
    answer = lonely.snapshot("--offline")

    assert answer.status == 0
    assert patches(flow) == {"alias": (Patch(path="lib/libalias.so", change="edited", target="libfast.so.1.2"),)}
    assert "Whether conda's alias had lib/libalias.so lead to libfast.so.1.2 is unknown" in " ".join(answer.err.split())
    assert "Edited since" not in answer.err
    assert drift(lonely, "--offline") == []
    shutil.copytree(channel.root, flow.root.parent / "lab")
    assert json.loads(flow.run("rebuild", flow.lock, "--json").out)["level"] == "config"


def test_a_link_that_nobody_can_prove_is_no_drift_and_no_agreement(flow: Flow) -> None:
    assert flow.snapshot().status == 0

    answer = alone(flow).run("check", flow.lock, flow.prefix, "--json", "--offline")

    table = json.loads(answer.out)
    assert (answer.status, table["changes"]) == (1, [])
    assert [(row["name"], row["reason"]) for row in table["unknown"]] == [
        ("alias", "where a link leads in its archive is unknown, for nobody has it")
    ]


def test_a_link_with_the_locks_own_target_is_as_locked_wherever_it_is_checked(flow: Flow) -> None:
    lead(flow, "bin/python3", "python")
    lead(flow, "lib/libalias.so", "libfast.so.1")
    assert flow.snapshot().status == 0
    assert list(patches(flow)) == ["alias"]

    assert drift(alone(flow), "--offline") == []


def test_a_file_in_place_of_a_link_is_an_edited_file(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    (flow.prefix / "bin/python3").unlink()
    os.link(flow.prefix / f"bin/python{PYTHON}", flow.prefix / "bin/python3")

    assert drift(flow) == [("edited", "python (conda)", "bin/python3")]
