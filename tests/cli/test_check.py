"""What `envcap check` says, and how it exits."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.refusals import check_refusal
from tests.flow import Flow, Wheel, install_wheel

CHECK_KEYS = ["lock", "digest", "prefix", "drifted", "compared", "hashed", "changes", "unknown", "left_out"]
CHANGE_KEYS = ["kind", "what", "name", "path", "expected", "found", "patched"]


@pytest.fixture
def drifted(flow: Flow) -> Flow:
    """A locked environment in which every kind of drift happened since."""
    site = flow.site_packages
    (site / "beta.py").write_bytes(b"VALUE = 3\n")
    (flow.prefix / "mine.txt").write_text("mine")
    assert flow.snapshot().status == 0
    (site / "beta.py").write_bytes(b"VALUE = 4\n")
    (site / "alpha" / "__init__.py").chmod(0o755)
    (site / "alpha" / "data" / "table.csv").unlink()
    for path in (site / "gamma-0.3.dist-info").iterdir():
        path.unlink()
    (site / "gamma" / "blob.bin").unlink()
    install_wheel(flow, Wheel(name="delta", version="4", files={"delta.py": b""}))
    (flow.prefix / "new.txt").write_text("new")
    shutil.rmtree(site / "gamma-0.3.dist-info")
    return flow


def test_no_drift_is_one_line_and_status_0(flow: Flow) -> None:
    flow.snapshot()
    answer = flow.run("check", flow.lock, flow.prefix)
    assert answer.status == 0, answer.err
    assert answer.out.startswith("Nothing has drifted: Python 3.")
    assert answer.out.endswith(" files are as the lock says\n")
    assert ", 3 packages and " in answer.out
    assert answer.err.startswith("Compared ")


def test_the_active_environment_is_the_default(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.snapshot()
    active = Flow(root=flow.root, settings={**flow.settings, "VIRTUAL_ENV": str(flow.prefix)})
    assert active.run("check", flow.lock).status == 0
    check_refusal(flow.run("check", flow.lock), 1, r"No environment is named and none is active")


def test_drift_is_grouped_by_package_and_ends_with_status_3(drifted: Flow) -> None:
    answer = drifted.run("check", drifted.lock, drifted.prefix)
    site = drifted.site_packages.relative_to(drifted.prefix)
    assert answer.out == (
        "alpha 1.0: 1 deleted, 1 mode changed\n"
        f"  mode changed  {site}/alpha/__init__.py     (executable)\n"
        f"  deleted       {site}/alpha/data/table.csv\n"
        "beta 2.1: 1 edited\n"
        f"  edited  {site}/beta.py  (the lock has it patched otherwise)\n"
        "delta: installed in version 4, the lock does not have it\n"
        "gamma 0.3: removed\n"
        "unowned files: 1 added\n"
        "  added  new.txt\n"
    )
    assert answer.status == 3
    summary = "4 packages, 1 unowned file"
    assert f"error: {drifted.prefix} is not as {drifted.lock} says: {summary}\n" in answer.err
    assert "hint: lock it as it is now with `envcap snapshot" in answer.err


def test_json_is_one_object_with_every_change(drifted: Flow) -> None:
    answer = drifted.run("check", drifted.lock, drifted.prefix, "--json")
    assert answer.status == 3
    found = json.loads(answer.out)
    assert answer.out.count("\n") == 1
    assert list(found) == CHECK_KEYS
    assert found["drifted"] is True
    assert all(list(change) == CHANGE_KEYS for change in found["changes"])
    assert [(change["kind"], change["what"], change["name"]) for change in found["changes"]] == [
        ("package", "mode", "alpha"),
        ("package", "deleted", "alpha"),
        ("package", "edited", "beta"),
        ("package", "installed", "delta"),
        ("package", "removed", "gamma"),
        ("unowned", "added", ""),
    ]
    assert not any(change["path"].startswith("/") for change in found["changes"])


def test_json_without_drift(flow: Flow) -> None:
    flow.snapshot()
    answer = flow.run("check", flow.lock, flow.prefix, "--json", "--full")
    found = json.loads(answer.out)
    assert (answer.status, found["drifted"], found["changes"], found["unknown"]) == (0, False, [], [])
    assert found["hashed"] >= found["compared"]


def test_many_files_of_a_package_are_counted_and_some_named(flow: Flow) -> None:
    files = {f"many/f{number:02}.py": b"1\n" for number in range(30)}
    install_wheel(flow, Wheel(name="many", version="1", files=files))
    flow.snapshot()
    for name in files:
        (flow.site_packages / name).write_bytes(b"2\n")
    answer = flow.run("check", flow.lock, flow.prefix)
    assert answer.out.startswith("many 1: 30 edited\n")
    assert answer.out.endswith("  ... and 18 more (all of them with `--json`)\n")
    assert answer.out.count("\n") == 14


def test_what_cannot_be_compared_is_no_success(flow: Flow) -> None:
    install_wheel(flow, Wheel(name="private", version="1", files={"private.py": b"1\n"}))
    flow.snapshot()
    shutil.rmtree(flow.store)
    shutil.rmtree(flow.lock / "blobs")
    shutil.rmtree(flow.wheels)
    answer = flow.run("check", flow.lock, flow.prefix)
    assert answer.out == ""
    assert answer.status == 1
    assert "warning: private 1 can't be compared: Can't find private-1-py3-none-any.whl" in answer.err
    assert "could not be compared" in answer.err
    assert "the pinned content of 4 packages is out of reach" in answer.err
    found = json.loads(flow.run("check", flow.lock, flow.prefix, "--json").out)
    assert [row["name"] for row in found["unknown"]] == ["alpha", "beta", "gamma", "private"]


def test_names_cannot_drive_the_terminal(flow: Flow) -> None:
    flow.snapshot()
    (flow.prefix / "safe\u202etxt.exe").write_text("x")
    answer = flow.run("check", flow.lock, flow.prefix)
    assert answer.status == 3
    assert "\u202e" not in answer.out
    assert "safe\ufffdtxt.exe" in answer.out


def test_what_is_no_lock_or_no_environment_is_refused(flow: Flow, tmp_path: Path) -> None:
    flow.snapshot()
    check_refusal(flow.run("check", tmp_path / "gone", flow.prefix), 1, r"gone can't be read")
    check_refusal(flow.run("check", flow.lock, tmp_path / "gone"), 1, r"gone does not exist")
    check_refusal(flow.run("check", flow.lock, tmp_path), 1, r"is not an environment")
