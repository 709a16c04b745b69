"""The whole way on a tiny environment without network: snapshot, rebuild, verify, show, export."""

import getpass
import json
import os
import re
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME, open_lock
from envcap.oci.contents import open_image
from tests.flow import OWN_PYTHON, WHEELS, Flow, Wheel, install_wheel, make_flow

SNAPSHOT_KEYS = [
    "lock", "name", "digest", "image_id", "packages", "proven", "captured", "patched", "unowned", "system", "warnings",
]  # fmt: skip
REBUILD_KEYS = ["image_id", "manifest", "platform", "layers", "expected", "level", "output"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_live_files_and_pinned_artifacts_give_one_image_id(flow: Flow) -> None:
    taken = flow.snapshot("--json")
    assert taken.status == 0, taken.err
    snapshot = json.loads(taken.out)
    assert list(snapshot) == SNAPSHOT_KEYS
    assert {key: snapshot[key] for key in ("name", "packages", "proven", "captured", "patched", "unowned")} == {
        "name": "small", "packages": 3, "proven": 3, "captured": 0, "patched": 0, "unowned": 0,
    }  # fmt: skip
    first = contents(flow.lock)

    shutil.rmtree(flow.store)
    built = flow.run("rebuild", flow.lock, "--output", "image.tar", "--rootfs", "root", "--json")
    assert built.status == 0, built.err
    rebuilt = json.loads(built.out)
    assert list(rebuilt) == REBUILD_KEYS
    assert list(rebuilt["layers"][0]) == ["diff_id", "digest", "size", "what"]
    assert rebuilt["image_id"] == rebuilt["expected"] == snapshot["image_id"]
    assert rebuilt["level"] == "config"
    assert rebuilt["output"] == ["image.tar", "root"]

    again = flow.run("rebuild", flow.lock, "--output", "layout", "--json")
    assert json.loads(again.out)["manifest"] == rebuilt["manifest"]
    for image in ("image.tar", "layout"):
        verified = flow.run("verify", flow.lock, image, "--json")
        assert verified.status == 0, verified.err
        assert json.loads(verified.out)["level"] == "config"
    with open_image(flow.root / "image.tar") as found:
        assert str(found.image_id) == snapshot["image_id"]
        assert str(found.manifest) == rebuilt["manifest"]

    # A cold store was filled by the rebuild; the lock is the same with either.
    assert flow.snapshot().status == 0
    assert contents(flow.lock) == first


def test_the_root_filesystem_holds_the_environment(flow: Flow) -> None:
    flow.snapshot()
    assert flow.run("rebuild", flow.lock, "--rootfs", "root").status == 0
    env = flow.root / "root" / "opt" / "env"
    site = next(env.glob("lib/python3.*/site-packages"))
    assert (site / "beta.py").read_bytes() == WHEELS[1].files["beta.py"]
    assert (env / "bin" / "alpha-tool").read_bytes() == b"#!/opt/env/bin/python\nprint('tool')\n"
    assert (env / "bin" / "alpha").read_bytes().startswith(b"#!/opt/env/bin/python\n")
    assert (env / "bin" / "alpha").stat().st_mode & 0o777 == 0o755
    assert (site / "alpha-1.0.dist-info" / "INSTALLER").read_bytes() == b"envcap\n"
    assert not list(env.rglob("REQUESTED"))
    assert "home = " in (env / "pyvenv.cfg").read_text()


def test_a_lock_names_nothing_of_the_machine(flow: Flow) -> None:
    flow.snapshot()
    text = (flow.lock / LOCK_NAME).read_text(encoding="utf-8")
    for name in (str(flow.root), str(flow.home), str(flow.prefix), socket.gethostname(), str(Path.cwd()), "file:"):
        assert name not in text
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)
    assert "/tmp" not in text
    assert 'signature = "unchecked"' in text


def test_a_recorded_manifest_is_the_strongest_level(flow: Flow) -> None:
    flow.snapshot()
    recorded = flow.run("rebuild", flow.lock, "--output", "image.tar", "--record", "--json")
    expected = open_lock(flow.lock).lockfile.expected[0]
    assert expected.manifest == json.loads(recorded.out)["manifest"]
    assert expected.compressor
    verified = flow.run("verify", flow.lock, "image.tar", "--json")
    assert json.loads(verified.out)["level"] == "manifest"
    assert json.loads(flow.run("rebuild", flow.lock, "--json").out)["level"] == "manifest"


def test_a_change_of_one_byte_gives_another_id_and_names_the_file(flow: Flow) -> None:
    before = json.loads(flow.snapshot("--json").out)
    flow.run("rebuild", flow.lock, "--output", "before.tar")
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    after = flow.snapshot("--json")
    found = json.loads(after.out)
    assert found["image_id"] != before["image_id"]
    assert found["patched"] == 1
    assert any("beta.py edited" in warning["message"] for warning in found["warnings"])
    verified = flow.run("verify", flow.lock, "before.tar", "--json")
    assert verified.status == 3
    differences = json.loads(verified.out)["differences"]
    paths = [row["path"] for row in differences]
    assert any(path.endswith("/site-packages/beta.py") for path in paths)
    assert json.loads(flow.run("rebuild", flow.lock, "--json").out)["image_id"] == found["image_id"]


def test_strict_refuses_an_edited_file_by_name(flow: Flow) -> None:
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    refused = flow.snapshot("--strict")
    assert refused.status == 3
    assert refused.out == ""
    assert "beta 2.1: " in refused.err
    assert "beta.py edited" in refused.err
    assert refused.err.count("error:") == 1
    assert not flow.locks.exists()


def test_what_no_index_has_is_captured_and_rebuilt(flow: Flow) -> None:
    install_wheel(flow, Wheel(name="private", version="1", files={"private.py": b"SECRET = 1\n"}))
    (flow.prefix / "share").mkdir()
    (flow.prefix / "share" / "notes.txt").write_text("nobody's\n")
    found = json.loads(flow.snapshot("--json").out)
    assert (found["captured"], found["unowned"]) == (1, 1)
    shutil.rmtree(flow.store)
    shutil.rmtree(flow.wheels)
    rebuilt = flow.run("rebuild", flow.lock, "--json", "--rootfs", "root")
    assert rebuilt.status == 0, rebuilt.err
    assert json.loads(rebuilt.out)["image_id"] == found["image_id"]
    assert (flow.root / "root/opt/env/share/notes.txt").read_text() == "nobody's\n"


def test_an_image_that_is_not_the_locks_is_told_file_by_file(flow: Flow) -> None:
    flow.snapshot()
    flow.run("rebuild", flow.lock, "--output", "image.tar", "--rootfs", "root")
    install_wheel(flow, Wheel(name="delta", version="1", files={"delta.py": b"1\n"}))
    flow.run("snapshot", flow.prefix, "--name", "other", "--output", flow.locks)
    answer = flow.run("verify", flow.locks / "other", "image.tar")
    assert answer.status == 3
    assert "level     none" in answer.out
    assert re.search(r"missing +/opt/env/lib/python3\.\d+/site-packages/delta\.py +file of ", answer.out)
    assert answer.err.startswith("error: image.tar does not hold what the lock says")


def test_show_and_export_read_a_lock_without_its_world(locked: Flow) -> None:
    shown = locked.run("show", locked.lock)
    assert shown.status == 0
    assert re.search(r"^gamma +0\.3 +1\.3 MB +record", shown.out, re.MULTILINE)
    table = json.loads(locked.run("show", locked.lock, "--json").out)
    assert table["name"] == "small"
    assert [row["name"] for row in table["packages"]] == ["alpha", "beta", "gamma"]
    assert locked.run("export", locked.lock, "--format", "requirements").status == 0


def test_exports_beside_the_lock_survive_the_next_snapshot(flow: Flow) -> None:
    assert flow.snapshot("--export", "pylock", "--export", "requirements").status == 0
    assert {"pylock.toml", "requirements.txt", LOCK_NAME} <= {path.name for path in flow.lock.iterdir()}
    (flow.lock / "notes.md").write_text("mine")
    assert flow.snapshot().status == 0
    assert (flow.lock / "notes.md").read_text() == "mine"
    assert (flow.lock / "pylock.toml").is_file()


def test_a_moved_lock_is_rebuilt_alike_in_another_world(locked: Flow, tmp_path: Path) -> None:
    shutil.copytree(locked.lock, tmp_path / "carried")
    other = make_flow(tmp_path / "world")
    shutil.rmtree(other.wheels)
    built = other.spawn("rebuild", tmp_path / "carried", "--output", tmp_path / "image.tar", "--jobs", "1")
    assert built.status == 0, built.err
    assert (tmp_path / "image.tar").read_bytes() == (locked.root / "image.tar").read_bytes()


def test_the_active_environment_is_the_default(flow: Flow) -> None:
    active = Flow(root=flow.root, settings={"VIRTUAL_ENV": str(flow.prefix)})
    assert active.run("snapshot", "--json").status == 0
    assert open_lock(flow.locks / "world").lockfile.name == "world"


@pytest.mark.slow
def test_an_interpreter_without_an_artifact_is_captured_with_the_lock(tmp_path: Path) -> None:
    if OWN_PYTHON.startswith("/usr/bin/"):
        pytest.skip("the interpreter of the tests is the operating system's")
    flow = make_flow(tmp_path / "world", python=OWN_PYTHON)
    found = json.loads(flow.snapshot("--json").out)
    shutil.rmtree(flow.store)
    rebuilt = flow.run("rebuild", flow.lock, "--output", "image.tar", "--json")
    assert json.loads(rebuilt.out)["image_id"] == found["image_id"]
    text = (flow.lock / LOCK_NAME).read_text()
    assert 'origin = "captured"' in text or 'origin = "standalone"' in text
    assert str(Path(OWN_PYTHON).parent.parent) not in text
    with tarfile.open(flow.root / "image.tar") as archive:
        assert any(name.startswith("blobs/sha256/") for name in archive.getnames())
    assert os.environ.get("ENVCAP_STORE") != str(flow.store)


def test_a_host_driver_in_the_environment_never_gets_into_a_lock(flow: Flow) -> None:
    """A link of nobody's is left out with a word; a package that brings the driver is refused, and nothing written."""
    library = flow.prefix / "lib" / "libcuda.so.1"
    library.symlink_to("/usr/lib/x86_64-linux-gnu/libcuda.so.1")
    taken = flow.snapshot()
    assert taken.status == 0, taken.err
    assert "lib/libcuda.so.1" in taken.err
    assert flow.run("rebuild", flow.lock, "--rootfs", "root").status == 0
    assert not list((flow.root / "root").rglob("libcuda*"))

    library.unlink()
    before = contents(flow.lock)
    wheel = Wheel(name="careless", version="1.0", files={"careless.libs/libnvidia-ml.so.1": b"driver"})
    (flow.wheels / wheel.file).write_bytes(wheel.build())
    install_wheel(flow, wheel)
    refused = flow.snapshot()
    assert refused.status == 1
    error = next(line for line in refused.err.splitlines() if line.startswith("error: "))
    assert "careless.libs/libnvidia-ml.so.1' (careless" in error
    assert "belongs to a machine's NVIDIA driver" in error
    assert contents(flow.lock) == before

    next(flow.site_packages.glob("careless.libs/*")).unlink()
    taken = flow.snapshot()
    assert taken.status == 0, taken.err


def test_a_warning_about_a_file_of_one_letter_names_it(flow: Flow) -> None:
    os.mkfifo(flow.prefix / "s")
    taken = flow.snapshot()
    assert taken.status == 0, taken.err
    assert "warning: s: It is a FIFO, socket or device: left out\n" in taken.err
