"""Diffs of edited files of conda packages: both sides name the image's prefix, and what can't be compared says why."""

import json
import shutil
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.patched import DiffLimits, PatchedFile, compare_patches
from tests.conda.channel import SITE, Channel
from tests.conda.test_faithful import write_anew
from tests.conda.test_links import lead, world_of
from tests.flow import Flow
from tests.worlds import world_of as open_world_of

WHERE = f"{SITE}/tool/where.py"


@pytest.fixture(scope="module")
def flow(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A lock with an edited text that names the prefix, an edited binary, a link led elsewhere and a file for one."""
    flow = world_of(channel, tmp_path_factory.mktemp("patches"), ("python", "tool", "fast"))
    text = (flow.prefix / WHERE).read_text()
    write_anew(flow.prefix / WHERE, text.replace("AGAIN = ", "ONCE_MORE = "))
    library = flow.prefix / "lib/libfast.so.1.2"
    data = library.read_bytes()
    library.unlink()
    library.write_bytes(data[:-1])
    lead(flow, "lib/libfast.so.1", "nowhere")
    (flow.prefix / "bin/python3").unlink()
    (flow.prefix / "bin/python3").write_text("#!/bin/sh\n")
    taken = flow.snapshot()
    assert taken.status == 0, taken.err
    return flow


def diffs(flow: Flow, *, limits: DiffLimits, offline: bool = False) -> dict[str, PatchedFile]:
    folder = open_lock(flow.lock)
    with open_world_of(flow, offline=offline) as world:
        rows = compare_patches(folder.lockfile, blobs=folder.blobs, world=world, limits=limits)
    return {row.patch.path: row for row in rows}


def test_a_diff_shows_what_was_edited_and_not_where_it_was(flow: Flow) -> None:
    shown = flow.run("show", flow.lock, "--patches").out

    assert (
        f"    edited   {WHERE}\n"
        "      @@ -1,2 +1,2 @@\n"
        "       PREFIX = '/opt/conda/etc'\n"
        "      -AGAIN = '/opt/conda'\n"
        "      +ONCE_MORE = '/opt/conda'\n"
    ) in shown


def test_binaries_and_links_are_told_in_words(flow: Flow) -> None:
    table = json.loads(flow.run("show", flow.lock, "--patches", "--json").out)["patched"]

    assert {row["path"]: row["note"] for row in table} == {
        "lib/libfast.so.1": "a link to libfast.so.1.2 before, a link to nowhere after",
        "lib/libfast.so.1.2": next(row["note"] for row in table if row["path"] == "lib/libfast.so.1.2"),
        "bin/python3": next(row["note"] for row in table if row["path"] == "bin/python3"),
        WHERE: "",
    }
    notes = {row["path"]: row["note"] for row in table}
    assert notes["lib/libfast.so.1.2"].startswith("too large for a diff: ")
    assert notes["bin/python3"].endswith(" before, a file after")


def test_a_snapshot_shows_the_diff_too(flow: Flow, tmp_path: Path) -> None:
    answer = flow.run("snapshot", flow.prefix, "--name", "small", "--output", tmp_path)

    assert answer.status == 0
    assert "-AGAIN = '/opt/conda'" in answer.out


def test_a_large_package_is_not_unpacked_for_a_summary(flow: Flow) -> None:
    size = next(row.size for row in open_lock(flow.lock).lockfile.conda if row.name == "fast")

    rows = diffs(flow, limits=DiffLimits(files=9, lines=9, conda=size - 1))

    library, link = rows["lib/libfast.so.1.2"].diff, rows["lib/libfast.so.1"].diff
    assert library is not None
    assert library.note.startswith(f"the diff needs fast-3.0-h1_0.conda, of {size} bytes")
    assert link is not None
    assert link.note == "a link to nowhere"
    text = rows[WHERE].diff
    assert text is not None
    assert text.lines


def test_a_package_that_is_not_on_this_machine_is_named(channel: Channel, tmp_path: Path) -> None:
    lonely = world_of(channel, tmp_path, ("python", "fast"))
    write_anew(lonely.prefix / "include/fast.h", "mine\n")
    assert lonely.snapshot().status == 0
    for folder in (lonely.root / "cache", lonely.root.parent / "lab", lonely.store):
        shutil.rmtree(folder)

    found = diffs(lonely, limits=DiffLimits(files=9, lines=9), offline=True)["include/fast.h"].diff

    assert found is not None
    assert found.note == (
        "the diff needs fast-3.0-h1_0.conda, which is not on this machine (`envcap show --patches` asks for it)"
    )
