"""Packages that no channel has: what a rebuild needs lies beside the lock, and the image is the same."""

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rattler
import yaml

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.blobs import LOCK_NAME, kept_hashes, open_lock
from envcap.environment import Environment
from envcap.errors import BuildError
from envcap.lock.conda_archive import write_conda_archive
from envcap.lockfile.conda_kept import archive_name
from envcap.lockfile.model import CondaPackage, Lockfile
from tests.cli.refusals import check_refusal
from tests.conda.channel import PLACEHOLDER, SITE, Channel
from tests.conda.test_bad_input import Edit, edit, without
from tests.conda.test_faithful import delete, edit_binary, edit_text, image_id, snapshot_and_rebuild, write_anew
from tests.conda.test_links import all_as_mamba_writes
from tests.conda.test_scan import scan
from tests.conda.world import EVERYTHING, make_world
from tests.flow import Flow
from tests.secrets.samples import SECRETS


def lost_world(channel: Channel, root: Path, names: tuple[str, ...] = EVERYTHING, *, prefix: str = "env") -> Flow:
    """Make a world whose channel was there when the environment was made, and is gone with all caches."""
    gone = replace(channel, root=root / "gone" / "lab")
    shutil.copytree(channel.root, gone.root)
    flow = make_world(root / "world", gone, names, prefix=prefix)
    shutil.rmtree(gone.root)
    shutil.rmtree(flow.root / "cache")
    return flow


def rows(flow: Flow) -> dict[str, CondaPackage]:
    return {row.name: row for row in lock_of(flow).conda}


def lock_of(flow: Flow) -> Lockfile:
    return open_lock(flow.lock).lockfile


def test_a_package_whose_channel_is_gone_is_kept_and_gives_the_same_image(
    channel: Channel, locked: Flow, tmp_path: Path
) -> None:
    flow = lost_world(channel, tmp_path)

    assert snapshot_and_rebuild(flow) == image_id(locked)
    before = {row.name: row for row in lock_of(locked).conda}
    for name, row in rows(flow).items():
        assert row.captured == "files"
        assert replace(row, captured="", made_sha256="", made_size=0) == before[name]
    assert kept_hashes(lock_of(flow)) == {row.made_sha256: row.made_size for row in rows(flow).values()}


@pytest.mark.parametrize("name", ["with a space", "l" * 120, "e"])
def test_where_the_prefix_lies_does_not_matter(channel: Channel, locked: Flow, tmp_path: Path, name: str) -> None:
    flow = lost_world(channel, tmp_path, ("python", "tool", "fast"), prefix=name)
    other = lost_world(channel, tmp_path / "other", ("python", "tool", "fast"))

    assert snapshot_and_rebuild(flow) == snapshot_and_rebuild(other)
    assert rows(flow) == rows(other)
    kept = b"".join(path.read_bytes() for path in flow.lock.rglob("*") if path.is_file())
    assert str(flow.prefix).encode() not in kept


def test_a_second_snapshot_writes_the_same_lock(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "tool"))
    assert flow.snapshot().status == 0
    first = lock_of(flow)

    assert replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")}).snapshot().status == 0

    assert lock_of(flow) == first


@pytest.mark.parametrize("change", [edit_text, edit_binary, delete])
def test_what_was_edited_is_in_the_image(channel: Channel, tmp_path: Path, change: Callable[[Flow], None]) -> None:
    flow = lost_world(channel, tmp_path)
    change(flow)

    snapshot_and_rebuild(flow)

    assert not [row for row in rows(flow).values() if row.patches]
    again = flow.run("rebuild", flow.lock, "--rootfs", tmp_path / "rootfs")
    assert again.status == 0, again.err
    root = tmp_path / "rootfs/opt/conda"
    if change is edit_text:
        assert (root / SITE / "tool/where.py").read_text() == "# mine\nHERE = '/opt/conda'\n"
    elif change is edit_binary:
        assert (root / "lib/libfast.so.1.2").read_bytes().endswith(b"more")
        assert b"\0/opt/conda/lib:/opt/conda/share\0" in (root / "lib/libfast.so.1.2").read_bytes()
    else:
        assert not (root / "share/fast/empty").exists()


def test_an_edit_of_a_kept_package_is_said(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path)
    edit_text(flow)

    assert (
        f"Edited since conda installed tool, whose archive nobody has: {SITE}/tool/where.py (kept as it is)\n"
        in flow.snapshot().err
    )


def test_what_an_installer_unpacked_gives_the_original_of_an_edited_file(channel: Channel, tmp_path: Path) -> None:
    gone = replace(channel, root=tmp_path / "gone" / "lab")
    shutil.copytree(channel.root, gone.root)
    flow = make_world(tmp_path / "world", gone, ("python", "fast"))
    shutil.rmtree(gone.root)
    write_anew(flow.prefix / "include/fast.h", "mine\n")
    (flow.prefix / "share/fast/empty").unlink()

    snapshot_and_rebuild(flow)

    assert rows(flow)["fast"].captured == "files"
    assert {patch.path: patch.change for patch in rows(flow)["fast"].patches} == {
        "include/fast.h": "edited",
        "share/fast/empty": "deleted",
    }


def test_an_unpacked_file_that_was_edited_too_is_not_taken(channel: Channel, tmp_path: Path) -> None:
    gone = replace(channel, root=tmp_path / "gone" / "lab")
    shutil.copytree(channel.root, gone.root)
    flow = make_world(tmp_path / "world", gone, ("python", "fast"))
    shutil.rmtree(gone.root)
    place = flow.prefix / "include/fast.h"
    if place.stat().st_nlink == 1:
        pytest.skip("this file system has no hard links")
    with place.open("r+b") as file:
        file.write(b"out ")

    snapshot_and_rebuild(flow)

    assert rows(flow)["fast"].patches == ()
    assert flow.run("rebuild", flow.lock, "--rootfs", tmp_path / "rootfs").status == 0
    assert (tmp_path / "rootfs/opt/conda/include/fast.h").read_bytes() == b"out fast;\n"


def test_a_bundle_carries_kept_packages_and_the_doctor_finds_them(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "tool", "fast"))
    assert flow.snapshot().status == 0
    bundle = tmp_path / "small.envcap"
    made = flow.run("bundle", flow.lock, "--output", bundle)
    assert made.status == 0, made.err
    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")})

    rebuilt = other.run("rebuild", bundle, "--offline", "--json")
    examined = json.loads(flow.run("doctor", flow.lock, "--json").out)

    assert json.loads(rebuilt.out)["image_id"] == image_id(flow), rebuilt.err
    assert examined["kept"] == len(kept_hashes(lock_of(flow)))
    assert not {"python", "tool", "fast"} & {row["name"] for row in examined["findings"]}


def test_an_archive_that_only_a_cache_has_is_kept_as_it_is(channel: Channel, locked: Flow, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path)
    cache = tmp_path / "pkgs"
    cache.mkdir()
    for name in EVERYTHING:
        shutil.copy(channel.path(name), cache)
    flow = replace(flow, settings={**flow.settings, "CONDA_PKGS_DIRS": str(cache)})

    taken = flow.snapshot()
    shutil.rmtree(cache)
    rebuilt = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")}).run(
        "rebuild", flow.lock, "--json"
    )

    assert json.loads(rebuilt.out)["image_id"] == image_id(locked)
    assert {row.captured for row in rows(flow).values()} == {"archive"}
    for name in EVERYTHING:
        blob = flow.lock / "blobs/sha256" / rows(flow)[name].sha256
        assert blob.read_bytes() == channel.path(name).read_bytes()
    assert (
        "warning: 5 conda packages that no channel gives are kept with the lock, as the archive that this machine has: "
        "fast 3.0 (lab: does not have it), hooked 0.1 (lab: does not have it), old 9 (lab: does not have it), "
        "python 3.11.7 (lab: does not have it) and 1 more\n"
    ) in taken.err.replace(rows(flow)["python"].version, "3.11.7")


def test_a_cached_archive_with_other_bytes_is_not_kept(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    cache = tmp_path / "pkgs"
    cache.mkdir()
    data = bytearray(channel.path("fast").read_bytes())
    data[len(data) // 2] ^= 1
    (cache / channel.path("fast").name).write_bytes(data)

    snapshot_and_rebuild(replace(flow, settings={**flow.settings, "CONDA_PKGS_DIRS": str(cache)}))

    assert rows(flow)["fast"].captured == "files"


def test_a_package_built_on_this_machine_is_kept(channel: Channel, tmp_path: Path) -> None:
    """conda-build's own channel is a folder that its record names, and nobody configured."""
    flow = make_world(tmp_path / "world", channel, ("python", "fast"))
    flow = replace(flow, settings={"CONDA_CHANNEL_ALIAS": (tmp_path / "no").as_uri()})

    snapshot_and_rebuild(flow)

    assert {row.captured for row in rows(flow).values()} == {"archive"}


def test_a_channel_that_has_everything_leaves_nothing_to_keep(locked: Flow) -> None:
    assert not [row for row in lock_of(locked).conda if row.captured]
    assert "kept with the lock" not in locked.run("show", locked.lock).out


def test_other_tools_install_a_kept_package(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path)
    assert flow.snapshot().status == 0
    lab = tmp_path / "made" / "lab"
    records = []
    for name in ("python", "fast", "tool"):
        row = rows(flow)[name]
        place = lab / row.subdir / archive_name(row)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(flow.lock / "blobs/sha256" / row.made_sha256, place)
        package = rattler.PackageRecord(
            name=name, version=row.version, build=rattler.BuildString(row.build), build_number=0, subdir=row.subdir,
            noarch="python" if row.noarch == "python" else None,
            python_site_packages_path=SITE if name == "python" else None,
        )  # fmt: skip
        records.append(rattler.RepoDataRecord(package, place.name, place.as_uri(), lab.as_uri()))
    asyncio.run(rattler.install(records, target_prefix=tmp_path / "new", cache_dir=tmp_path / "c", show_progress=False))

    for path in ("include/Fast.h", "bin/tool-script", "bin/tool", f"{SITE}/tool/where.py", "lib/libfast.so.1.2"):
        expected = (flow.prefix / path).read_bytes().replace(str(flow.prefix).encode(), str(tmp_path / "new").encode())
        found = (tmp_path / "new" / path).read_bytes()
        assert found.replace(b"\0", b"") == expected.replace(b"\0", b"")


def test_check_compares_with_the_kept_archive(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path)
    assert flow.snapshot().status == 0
    same = flow.run("check", flow.lock, flow.prefix)
    write_anew(flow.prefix / "include/fast.h", "later\n")

    drifted = flow.run("check", flow.lock, flow.prefix)

    assert (same.status, drifted.status) == (0, 3), same.err + drifted.err
    assert "include/fast.h" in drifted.out


def test_a_lock_without_its_blobs_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.lock / "blobs")
    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")})

    answer = other.run("rebuild", flow.lock, "--output", tmp_path / "image.tar")

    check_refusal(
        answer, 1, r"Can't find lab/linux-\w+/\w+-.*; the blobs beside the lock: do not have it; only they can"
    )
    assert "copy the lock's whole folder, with its `blobs`" in answer.err
    assert not (tmp_path / "image.tar").exists()


def test_a_damaged_blob_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    assert flow.snapshot().status == 0
    blob = flow.lock / "blobs/sha256" / rows(flow)["fast"].made_sha256
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    blob.write_bytes(data)
    other = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")})

    check_refusal(other.run("rebuild", flow.lock), 1, "the blobs beside the lock: sent bytes with another hash")


def test_a_credential_in_a_kept_package_stops_the_snapshot(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    write_anew(flow.prefix / "include/fast.h", SECRETS["rsa"][0].decode())

    refused = flow.snapshot()

    assert refused.status == 1
    assert "include/fast.h: a private key (line 1)" in refused.err
    assert not flow.lock.exists()


def test_strict_refuses_a_package_that_is_made_of_its_files(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))

    refused = flow.snapshot("--strict")

    assert refused.status == 3
    assert "fast 3.0: nobody has its archive" in refused.err
    assert not flow.lock.exists()


def partly_lost(channel: Channel, root: Path) -> Flow:
    """A world whose channel has everything but one package."""
    lab = replace(channel, root=root / "part" / "lab")
    shutil.copytree(channel.root, lab.root)
    flow = make_world(root / "world", lab)
    lab.path("fast").unlink()
    return flow


def test_show_and_the_summary_name_what_is_kept(channel: Channel, tmp_path: Path) -> None:
    flow = partly_lost(channel, tmp_path)

    taken = flow.snapshot()
    counts = json.loads(flow.snapshot("--json").out)

    assert re.search(r"^conda +5 packages of lab, [\d.]+ MB, 1 of them kept with the lock$", taken.out, re.MULTILINE)
    assert (
        "1 conda package that no channel gives is kept with the lock, made of the installed files: fast 3.0"
        in taken.err
    )
    assert (counts["conda"], counts["conda_captured"]) == (5, 1)
    shown = flow.run("show", flow.lock).out
    assert re.search(r"^fast +3\.0 +h1_0 +1\.3 MB +lab +made of its files$", shown, re.MULTILINE), shown
    made = rows(flow)["fast"].made_size
    assert f"0 unowned files, {made / 1e6:.1f} MB beside the lock" in shown


@pytest.mark.parametrize("form", ["explicit", "conda-lock", "environment"])
def test_an_export_leaves_out_what_no_channel_has(channel: Channel, tmp_path: Path, form: str) -> None:
    flow = partly_lost(channel, tmp_path)
    assert flow.snapshot().status == 0

    answer = flow.run("export", flow.lock, "--format", form)

    assert answer.status == 0, answer.err
    assert "warning: fast 3.0 is left out: no channel has it (it is kept with the lock)\n" in answer.err
    assert "fast" not in answer.out
    assert "hooked" in answer.out


def test_an_export_of_nothing_but_kept_packages_is_one_line(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast"))
    assert flow.snapshot().status == 0

    check_refusal(
        flow.run("export", flow.lock, "--format", "explicit"), 1, "No conda package of the lock 'small' is on a channel"
    )


def test_verify_accepts_an_image_with_kept_packages(channel: Channel, tmp_path: Path) -> None:
    flow = partly_lost(channel, tmp_path)
    assert flow.snapshot().status == 0
    assert flow.run("rebuild", flow.lock, "--output", tmp_path / "image.tar").status == 0

    assert flow.run("verify", flow.lock, tmp_path / "image.tar").status == 0


def test_the_image_of_kept_packages_can_be_captured_again(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path, ("python", "tool", "fast"))
    assert flow.snapshot().status == 0
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs").status == 0
    again = replace(flow, environment="rootfs/opt/conda")

    taken = again.run("snapshot", again.prefix, "--name", "small", "--output", tmp_path / "locks")

    assert taken.status == 0, taken.err
    after = open_lock(tmp_path / "locks/small").lockfile
    assert after.conda == lock_of(flow).conda
    assert after.expected[0].image_id == image_id(flow)


def strip(*keys: str) -> Edit:
    def change(table: dict[str, Any]) -> None:
        for key in keys:
            table.pop(key, None)

    return change


@pytest.mark.parametrize(
    "change",
    [without("sha256"), without("size"), without("sha256", "md5"), strip("paths_data"), strip("paths_data", "sha256")],
    ids=["md5 only", "no size", "no hash at all", "no hashes of files", "neither"],
)
def test_a_record_that_says_little_is_kept_all_the_same(channel: Channel, tmp_path: Path, change: Edit) -> None:
    flow = lost_world(channel, tmp_path, ("python", "fast", "tool"))
    for name in ("fast", "tool"):
        edit(flow, name, change)

    taken = flow.snapshot("--offline")
    assert taken.status == 0, taken.err
    rebuilt = replace(flow, settings={**flow.settings, "ENVCAP_STORE": str(tmp_path / "other")}).run(
        "rebuild", flow.lock, "--json"
    )

    assert json.loads(rebuilt.out)["level"] == "config", rebuilt.err
    assert rows(flow)["fast"].captured == "files"
    assert "no server was asked (offline)" in taken.err
    kept = b"".join(path.read_bytes() for path in flow.lock.rglob("*") if path.is_file())
    assert str(flow.prefix).encode() not in kept
    root = tmp_path / "rootfs/opt/conda"
    assert flow.run("rebuild", flow.lock, "--rootfs", tmp_path / "rootfs").status == 0
    assert b"/opt/conda/lib:/opt/conda/share" in (root / "lib/libfast.so.1.2").read_bytes()
    assert (root / SITE / "tool/where.py").read_text() == "PREFIX = '/opt/conda/etc'\nAGAIN = '/opt/conda'\n"


@pytest.mark.parametrize("place", ["nowhere", "unpacked"])
def test_a_record_that_does_not_say_which_files_hold_the_prefix_is_kept(
    channel: Channel, locked: Flow, tmp_path: Path, place: str
) -> None:
    """mamba's: what it unpacked says which do; else the placeholder is another one, and the files are the same."""
    lab = replace(channel, root=tmp_path / "gone" / "lab")
    shutil.copytree(channel.root, lab.root)
    flow = make_world(tmp_path / "world", lab)
    shutil.rmtree(lab.root)
    if place == "nowhere":
        shutil.rmtree(flow.root / "cache")
    for name in EVERYTHING:
        edit(flow, name, all_as_mamba_writes)

    image = snapshot_and_rebuild(flow)

    assert {row.captured for row in rows(flow).values()} == {"files"}
    assert not [row for row in rows(flow).values() if row.patches]
    assert "Edited since" not in flow.snapshot().err
    assert (image == image_id(locked)) is (place == "unpacked")
    assert flow.run("rebuild", flow.lock, "--rootfs", tmp_path / "ours").status == 0
    assert locked.run("rebuild", locked.lock, "--rootfs", tmp_path / "theirs").status == 0
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")


def tree(root: Path) -> dict[str, bytes]:
    """Read the files of conda's packages, without its records."""
    places = (path for path in (root / "opt/conda").rglob("*") if path.is_file() and "conda-meta" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in places}


def test_an_archive_beside_what_an_installer_unpacked_is_found(channel: Channel, locked: Flow, tmp_path: Path) -> None:
    """mamba's record names the folder, whatever cache is configured now."""
    cache = tmp_path / "pkgs"
    cache.mkdir()
    flow = lost_world(channel, tmp_path)
    for name in EVERYTHING:
        file = shutil.copy(channel.path(name), cache)
        stem = Path(file).name.removesuffix(".conda").removesuffix(".tar.bz2")
        edit(flow, name, all_as_mamba_writes)
        edit(flow, name, lambda table, stem=stem: table.update(extracted_package_dir=f"{cache}/{stem}", link=None))  # type: ignore[misc]

    assert snapshot_and_rebuild(flow) == image_id(locked)
    assert {row.captured for row in rows(flow).values()} == {"archive"}


def made(environment: Environment, name: str, scratch: Path) -> bytes:
    record = next(record for record in environment.conda if record.name == name)
    found: list[bytes] = []
    write_conda_archive(record, environment, unpacked=(), scratch=scratch, write=found.append)
    return b"".join(found)


def test_an_archive_holds_the_files_with_the_placeholder_again(locked: Flow, channel: Channel, tmp_path: Path) -> None:
    for name in ("fast", "tool"):
        (tmp_path / f"{name}.conda").write_bytes(made(scan(locked.prefix), name, tmp_path))
        with (
            FileReader(tmp_path / f"{name}.conda") as ours,
            FileReader(channel.path(name)) as theirs,
            (tmp_path / "spool").open("w+b") as spool,
        ):
            spec = next(spec for spec in channel.specs if spec.name == name)
            one = open_conda(ours, name=f"{spec.stem}.conda", spool=spool)
            two = open_conda(theirs, name=spec.file, spool=spool)
            expected = {
                path: (b"".join(member.content.chunks()), member.target)
                for path, member in two.members.items()
                if "__pycache__" not in path
            }
            found = {path: (b"".join(row.content.chunks()), row.target) for path, row in one.members.items()}
            assert found == expected
            assert one.entry_points == two.entry_points


def test_a_package_that_shrinks_to_nothing_is_readable(channel: Channel, tmp_path: Path) -> None:
    """Our own reader refuses what expands 200 times."""
    flow = lost_world(channel, tmp_path, ("python", "hooked"))
    write_anew(flow.prefix / "etc/hooked.conf", "x" * 12_000_000)

    snapshot_and_rebuild(flow)

    assert rows(flow)["hooked"].made_size > 12_000_000


def test_a_file_that_changes_meanwhile_is_one_line(locked: Flow, tmp_path: Path) -> None:
    shutil.copytree(locked.prefix, tmp_path / "env", symlinks=True)
    environment = scan(tmp_path / "env")
    write_anew(tmp_path / "env/include/fast.h", "longer than before\n")

    with pytest.raises(BuildError, match=r"'include/fast.h' changed while it was captured"):
        made(environment, "fast", tmp_path)


def test_the_lock_names_no_place_of_this_machine(channel: Channel, tmp_path: Path) -> None:
    flow = lost_world(channel, tmp_path)
    assert flow.snapshot().status == 0
    text = (flow.lock / LOCK_NAME).read_text()

    assert str(tmp_path) not in text
    assert "file:" not in text
    assert PLACEHOLDER not in text


def test_conda_lock_names_the_archives_of_kept_packages_nowhere(channel: Channel, tmp_path: Path) -> None:
    flow = partly_lost(channel, tmp_path)
    assert flow.snapshot().status == 0

    document = yaml.safe_load(flow.run("export", flow.lock, "--format", "conda-lock").out)

    assert [row["name"] for row in document["package"]] == ["hooked", "old", "python", "tool"]
