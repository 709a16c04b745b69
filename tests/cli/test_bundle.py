"""A bundle by the command line: everything of a lock in one file, and every command that takes a lock takes it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.bundle.read import open_bundle
from envcap.cli.machine import this_machine
from envcap.errors import EnvcapError
from envcap.rebuild import rebuild_lock
from envcap.world import open_world
from tests.flow import ROOT, Flow
from tests.worlds import Quiet

KEYS = ["bundle", "digest", "files", "size", "image_id"]


@pytest.fixture
def far(locked: Flow, tmp_path: Path) -> Flow:
    """Another machine: no index, no mirror, an empty store, and nothing but the bundle."""
    made = locked.run("bundle", locked.lock, "-o", tmp_path / "small.envcap", "--json")
    assert made.status == 0, made.err
    root = tmp_path / "far"
    for name in ("home", "wheels"):
        (root / name).mkdir(parents=True)
    shutil.move(tmp_path / "small.envcap", root / "small.envcap")
    return replace(locked, root=root)


def expected_id(flow: Flow) -> str:
    return open_lock(flow.lock).lockfile.expected[0].image_id


def test_a_bundle_is_the_same_bytes_whatever_the_store_holds(locked: Flow, tmp_path: Path) -> None:
    empty = tmp_path / "store"
    one = locked.run("bundle", locked.lock, "--output", tmp_path / "one.envcap", "--json")
    two = locked.run("bundle", locked.lock, "-o", tmp_path / "two.envcap", "--store", empty)
    assert (one.status, two.status) == (0, 0)
    assert (tmp_path / "one.envcap").read_bytes() == (tmp_path / "two.envcap").read_bytes()
    found = json.loads(one.out)
    assert list(found) == KEYS
    assert found["size"] == (tmp_path / "one.envcap").stat().st_size
    assert found["digest"] in two.out
    assert "Next, without any network: envcap rebuild" in two.err


def test_it_is_named_after_the_lock_by_default(locked: Flow, tmp_path: Path) -> None:
    flow = replace(locked, settings={"ENVCAP_STORE": str(tmp_path / "store")})
    assert flow.run("bundle", flow.lock).status == 0
    path = flow.root / "small.envcap"
    assert open_bundle(path).lockfile.name == "small"
    path.unlink()


def test_a_bundle_rebuilds_far_away_to_the_same_image(far: Flow, locked: Flow) -> None:
    built = far.run("rebuild", "small.envcap", "--output", "image.tar", "--json")
    assert built.status == 0, built.err
    assert json.loads(built.out)["image_id"] == expected_id(locked)
    assert json.loads(built.out)["level"] == "config"
    verified = far.run("verify", "small.envcap", "image.tar")
    assert verified.status == 0, verified.err


def test_every_command_that_takes_a_lock_takes_its_bundle(far: Flow, locked: Flow) -> None:
    shown = far.run("show", "small.envcap")
    assert shown.status == 0
    assert shown.out == locked.run("show", locked.lock).out
    exported = far.run("export", "small.envcap", "--format", "requirements")
    assert exported.out == locked.run("export", locked.lock, "--format", "requirements").out
    assert far.run("diff", "small.envcap", locked.lock).out.startswith("No difference")
    # A live scan asks the mirror for what the system owns; the pinned files come out of the bundle.
    near = replace(locked, settings={"ENVCAP_STORE": str(far.store), "PIP_FIND_LINKS": str(far.wheels)})
    checked = near.run("check", far.root / "small.envcap", locked.prefix)
    assert checked.status == 0, checked.err
    again = far.run("bundle", "small.envcap", "-o", "again.envcap")
    assert again.status == 0, again.err
    assert (far.root / "again.envcap").read_bytes() == (far.root / "small.envcap").read_bytes()


def test_a_patched_lock_shows_its_diffs_out_of_the_bundle(flow: Flow) -> None:
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    flow.snapshot()
    flow.run("bundle", flow.lock, "-o", "small.envcap")
    for folder in (flow.store, flow.wheels, flow.lock):
        shutil.rmtree(folder)
    flow.wheels.mkdir()
    shown = flow.run("show", "small.envcap", "--patches")
    assert shown.status == 0
    assert "-VALUE = 2" in shown.out
    assert "+VALUE = 3" in shown.out
    assert flow.run("rebuild", "small.envcap", "--json").status == 0


def test_a_bundle_with_its_image_is_a_layout_that_verifies_itself(locked: Flow, tmp_path: Path) -> None:
    path = tmp_path / "with.envcap"
    made = locked.run("bundle", locked.lock, "--image", "-o", path, "--json")
    assert json.loads(made.out)["image_id"] == expected_id(locked)
    assert locked.run("verify", path, path).status == 0
    without = locked.run("bundle", locked.lock, "-o", tmp_path / "without.envcap", "--json")
    assert json.loads(without.out)["digest"] == json.loads(made.out)["digest"]
    refused = locked.run("verify", path, tmp_path / "without.envcap")
    assert refused.status == 1
    assert "make it with `envcap bundle --image`" in refused.err


def test_a_damaged_artifact_is_refused_where_it_is_used(far: Flow) -> None:
    path = far.root / "small.envcap"
    folder = open_bundle(path)
    wheel = folder.lockfile.packages[1].artifacts[0]
    data = bytearray(path.read_bytes())
    place = data.index(f"blobs/sha256/{wheel.sha256}\0".encode()) + 512
    data[place] ^= 1
    path.write_bytes(data)
    assert far.run("show", path).status == 0
    refused = far.run("rebuild", path)
    assert refused.status == 1
    assert "the bundle small.envcap: sent bytes with another hash" in refused.err
    assert "Traceback" not in refused.err


def test_a_truncated_bundle_is_one_line(far: Flow) -> None:
    path = far.root / "small.envcap"
    path.write_bytes(path.read_bytes()[:-20_000])
    for command in (("rebuild", path), ("show", path), ("bundle", path, "-o", "x.envcap"), ("doctor", path)):
        refused = far.run(*command)
        assert refused.status == 1
        assert refused.err.startswith(f"error: {path} is no bundle that can be used: small.envcap: truncated: ")
        assert refused.err.endswith("hint: get the bundle again from where it was made\n")


def test_record_and_a_lock_in_the_way_are_refused(far: Flow, locked: Flow) -> None:
    refused = far.run("rebuild", "small.envcap", "--record")
    assert (refused.status, refused.out) == (2, "")
    assert "`--record` can't write into small.envcap, which is a bundle" in refused.err
    lock = locked.lock / "envcap.lock"
    before = lock.read_bytes()
    refused = locked.run("bundle", locked.lock, "-o", lock)
    assert refused.status == 1
    assert "is there and no bundle" in refused.err
    assert lock.read_bytes() == before


def test_what_nobody_has_leaves_no_bundle(locked: Flow, tmp_path: Path) -> None:
    lock = shutil.copytree(locked.lock, tmp_path / "lock")
    next((lock / "blobs" / "sha256").iterdir()).unlink()
    refused = locked.run("bundle", lock, "-o", tmp_path / "x.envcap", "--store", tmp_path / "store")
    assert refused.status == 1
    assert "Can't find " in refused.err
    assert not list(tmp_path.glob("*x.envcap*"))


class Silence:
    """A mirror that must not be asked."""

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        raise AssertionError(url)


def test_no_mirror_is_asked_for_what_a_bundle_has(far: Flow, locked: Flow) -> None:
    folder = open_bundle(far.root / "small.envcap")
    with far.inside():
        machine = this_machine(store=far.root / "silent-store", offline=False)
        with open_world(machine, held=folder.held) as world:
            quiet = replace(world, transport=Silence())
            built = rebuild_lock(folder.lockfile, blobs=folder.blobs, platform="linux/amd64", world=quiet, talk=Quiet())
            assert str(built.image.image_id) == expected_id(locked)
            assert not world.session.reached


def test_without_the_bundle_the_far_machine_could_not_rebuild(far: Flow, locked: Flow) -> None:
    """Shows that the tests above do cut the machine off."""
    lock = open_bundle(far.root / "small.envcap").lockfile
    with far.inside():
        machine = this_machine(store=far.root / "none", offline=False)
        with open_world(machine) as world, pytest.raises(EnvcapError):
            rebuild_lock(lock, blobs=far.root, platform="linux/amd64", world=world, talk=Quiet())


def _can_unshare() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-rn", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_unshare(), reason="this machine makes no network namespaces")
def test_a_machine_with_no_network_at_all_rebuilds(far: Flow, locked: Flow) -> None:
    environ = {"HOME": str(far.home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ENVCAP_STORE": str(far.store)}
    command = ["unshare", "-rn", sys.executable, "-m", "envcap", "rebuild", "small.envcap", "--json"]
    done = subprocess.run(command, env=environ, cwd=far.root, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image_id"] == expected_id(locked)
