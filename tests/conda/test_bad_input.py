"""Records that pin nothing, archives that are gone or others: each is one clear line, and nothing is half-written."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envcap.blobs import open_lock
from envcap.lockfile.document import write_lockfile
from tests.cli.refusals import check_refusal
from tests.conda.channel import Channel
from tests.conda.test_faithful import snapshot_and_rebuild
from tests.conda.world import make_world
from tests.flow import Flow
from tests.secrets.samples import SECRETS

Edit = Callable[[dict[str, Any]], object]
KEPT = ("python", "fast")


def edit(flow: Flow, name: str, change: Edit) -> None:
    path = next((flow.prefix / "conda-meta").glob(f"{name}-*.json"))
    table = json.loads(path.read_text())
    change(table)
    path.unlink()
    path.write_text(json.dumps(table))


def without(*keys: str) -> Edit:
    def change(table: dict[str, Any]) -> None:
        for key in keys:
            table.pop(key)
        table["url"] = "https://conda.example.org/lab/linux-64/" + table["fn"]

    return change


def without_hashes(table: dict[str, Any]) -> None:
    del table["paths_data"]


@pytest.mark.parametrize(
    "change",
    [without("sha256"), without("size"), without("sha256", "md5"), without_hashes],
    ids=["md5 only", "no size", "no hash at all", "no hashes of files"],
)
def test_a_record_that_pins_nothing_is_completed_from_the_archive(
    channel: Channel, tmp_path: Path, change: Edit
) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    expected = make_world(tmp_path / "expected", channel, KEPT)
    edit(flow, "fast", change)
    assert expected.snapshot().status == 0

    snapshot_and_rebuild(flow)

    row, wanted = (next(one for one in open_lock(world.lock).lockfile.conda if one.name == "fast") for world in
                   (flow, expected))  # fmt: skip
    assert (row.sha256, row.size, row.patches) == (wanted.sha256, wanted.size, ())


def test_a_package_cache_serves_where_no_channel_does(channel: Channel, tmp_path: Path) -> None:
    cache = tmp_path / "pkgs"
    cache.mkdir()
    for name in KEPT:
        shutil.copy(channel.path(name), cache)
    flow = make_world(tmp_path / "world", channel, KEPT)
    flow = replace(flow, settings={"CONDA_PKGS_DIRS": str(cache), "CONDA_CHANNEL_ALIAS": (tmp_path / "no").as_uri()})

    snapshot_and_rebuild(flow)


def test_a_cache_is_believed_by_hash_only(channel: Channel, tmp_path: Path) -> None:
    cache = tmp_path / "pkgs"
    cache.mkdir()
    data = bytearray(channel.path("fast").read_bytes())
    data[len(data) // 2] ^= 1
    (cache / channel.path("fast").name).write_bytes(data)
    flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_PKGS_DIRS": str(cache)})

    snapshot_and_rebuild(flow)


def nowhere(tmp_path: Path) -> dict[str, str]:
    return {"CONDA_CHANNELS": "", "CONDA_CHANNEL_ALIAS": (tmp_path / "gone").as_uri()}


def test_an_md5_only_record_whose_archive_is_gone_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT, settings=nowhere(tmp_path))
    edit(flow, "fast", without("sha256"))

    taken = flow.snapshot("--offline")

    assert taken.status == 0
    assert (
        "warning: 1 conda package that no channel gives is kept with the lock, made of the installed files: fast 3.0 "
        "(lab: its record has no sha256, and no server was asked (offline))\n"
    ) in taken.err


def test_an_archive_with_another_md5_does_not_complete_a_record(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    edit(flow, "fast", lambda table: table.update(sha256="", md5="0" * 32, url="", channel="lab"))

    taken = flow.snapshot()

    assert "fast 3.0 (lab: its record has no sha256, and nobody has the archive with its MD5)\n" in taken.err
    row = next(row for row in open_lock(flow.lock).lockfile.conda if row.name == "fast")
    assert (row.captured, row.md5) == ("files", "")


def test_a_channel_with_another_file_of_the_name_does_not_have_the_package(channel: Channel, tmp_path: Path) -> None:
    forged = replace(channel, root=tmp_path / "lab")
    shutil.copytree(channel.root, forged.root)
    flow = make_world(tmp_path / "world", forged, KEPT)
    with forged.path("fast").open("ab") as file:
        file.write(b"more")

    taken = flow.snapshot()

    assert "made of the installed files: fast 3.0 (lab: has another file of that name)\n" in taken.err


def test_a_package_with_no_file_left_is_not_in_the_lock(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    record = json.loads(next((flow.prefix / "conda-meta").glob("fast-*.json")).read_text())
    for path in record["files"]:
        (flow.prefix / path).unlink(missing_ok=True)

    taken = flow.snapshot()

    assert "warning: conda's fast 3.0 has no file left: it is not in the image\n" in taken.err
    assert [row.name for row in open_lock(flow.lock).lockfile.conda] == ["python"]


def test_a_snapshot_of_a_truncated_record_says_so_and_keeps_its_files(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    path = next((flow.prefix / "conda-meta").glob("fast-*.json"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])

    snapshot_and_rebuild(flow)

    lock = open_lock(flow.lock).lockfile
    assert [row.name for row in lock.conda] == ["python"]
    assert "include/fast.h" in {file.path for file in lock.captured}
    assert f"The conda record conda-meta/{path.name} is no JSON object" in flow.snapshot().err


def test_a_package_cache_that_is_missing_is_no_fault(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    shutil.rmtree(flow.root / "cache")
    (tmp_path / "file").write_text("no folder")
    caches = f"{tmp_path / 'nowhere'},{tmp_path / 'file'}"

    snapshot_and_rebuild(replace(flow, settings={**flow.settings, "CONDA_PKGS_DIRS": caches}))


def test_a_channel_that_is_gone_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    assert flow.snapshot().status == 0
    gone = replace(flow, settings=nowhere(tmp_path))

    check_refusal(
        gone.run("rebuild", flow.lock, "--output", flow.root / "image.tar"),
        1,
        r"Can't find lab/linux-\w+/(fast|python)-.*\.conda \(sha256:[0-9a-f]{64}\)\. The store: does not have it; "
        r"the channel folder 'lab': can't be read",
    )
    assert not (flow.root / "image.tar").exists()


def test_an_archive_with_another_hash_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    assert flow.snapshot().status == 0
    forged = tmp_path / "lab"
    shutil.copytree(channel.root, forged)
    path = forged / channel.path("fast").relative_to(channel.root)
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)

    answer = replace(flow, settings={"CONDA_CHANNELS": forged.as_uri()}).run("rebuild", flow.lock)

    check_refusal(answer, 1, r"the channel folder 'lab': sent bytes with another hash")


def test_no_address_of_a_channel_is_said_so(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    assert flow.snapshot().status == 0

    # py-rattler is installed here, so its alias is known, but not asked.
    answer = replace(flow, settings={}).run("rebuild", flow.lock, "--offline")

    check_refusal(answer, 1, r"Can't find lab/linux-\w+/\w+-.*: not asked \(offline\)")


def test_a_lock_that_names_another_package_is_refused(channel: Channel, tmp_path: Path) -> None:
    """The hash is right, but the row calls the archive something else."""
    flow = make_world(tmp_path / "world", channel, KEPT)
    assert flow.snapshot().status == 0
    folder = open_lock(flow.lock)
    rows = tuple(replace(row, version="9.9") if row.name == "fast" else row for row in folder.lockfile.conda)
    (flow.lock / "envcap.lock").write_text(write_lockfile(replace(folder.lockfile, conda=rows)))

    check_refusal(flow.run("rebuild", flow.lock), 1, r"its version is '3\.0' \(expected '9\.9'\)")


def test_snapshot_names_what_is_not_run(locked: Flow) -> None:
    again = locked.run("snapshot", locked.prefix, "--name", "again", "--output", locked.root / "more")

    assert re.search(r"warning: The post-link script of conda's hooked is not run in the image", again.err)
    assert re.search(r"warning: The image's commands start without the activation scripts of hooked", again.err)
    assert "conda        5 packages of lab" in again.out


def test_show_lists_conda_packages_with_build_and_channel(locked: Flow) -> None:
    shown = locked.run("show", locked.lock)

    assert shown.status == 0
    assert re.search(r"^fast +3\.0 +h1_0 +1\.3 MB +lab$", shown.out, re.MULTILINE), shown.out
    assert "requested          python" in shown.out


def test_verify_accepts_the_image(locked: Flow, tmp_path: Path) -> None:
    assert locked.run("rebuild", locked.lock, "--output", tmp_path / "image.tar").status == 0

    answer = locked.run("verify", locked.lock, tmp_path / "image.tar")

    assert answer.status == 0
    assert "manifest: " in answer.out


def test_a_credential_in_an_edited_file_of_conda_stops_the_snapshot(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    place = flow.prefix / "include/fast.h"
    place.unlink()
    place.write_bytes(SECRETS["rsa"][0])

    refused = flow.snapshot()

    assert refused.status == 1
    assert "include/fast.h: a private key (line 1)" in refused.err
    assert not flow.lock.exists()


def test_show_and_verify_name_edited_files_of_conda(channel: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT)
    (flow.prefix / "include/fast.h").unlink()
    (flow.prefix / "include/fast.h").write_text("mine\n")

    taken = flow.snapshot()

    assert "fast (conda) 3.0\n    edited   include/fast.h" in taken.out
    shown = flow.run("show", flow.lock, "--patches")
    assert "edited   include/fast.h\n      @@ -1 +1 @@\n      -int fast;\n      +mine\n" in shown.out, shown.out


def test_an_export_says_that_conda_packages_are_not_in_it(locked: Flow) -> None:
    answer = locked.run("export", locked.lock, "--format", "requirements")

    assert answer.status == 0
    assert "its 5 conda packages are not in the export" in answer.err


@pytest.mark.parametrize(
    ("alias", "hint"),
    [("https://conda.example.org", ""), ("https://mirror.example.org", "https://conda.example.org/lab")],
)
def test_a_channel_gets_a_hint_only_if_it_is_not_this_machines_default(
    channel: Channel, tmp_path: Path, alias: str, hint: str
) -> None:
    flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_CHANNEL_ALIAS": alias})
    for name in KEPT:
        edit(
            flow,
            name,
            lambda table: table.update(url=f"https://u:p@conda.example.org/t/tk-1/lab/{table['subdir']}/{table['fn']}"),
        )

    assert flow.snapshot().status == 0

    sources = [row for row in open_lock(flow.lock).lockfile.sources if row.kind == "conda-channel"]
    assert [(row.name, row.url) for row in sources] == [("lab", hint)]
    assert "tk-1" not in (flow.lock / "envcap.lock").read_text()


def test_a_python_that_no_package_owns_is_one_line(channel: Channel, tmp_path: Path) -> None:
    """Without its record the image would have no Python."""
    flow = make_world(tmp_path / "world", channel, KEPT)
    path = next((flow.prefix / "conda-meta").glob("python-*.json"))
    path.unlink()
    path.write_text("{")

    check_refusal(flow.snapshot(), 1, r"No conda package owns the environment's interpreter bin/python3\.\d+ ")
    assert not flow.lock.exists()
