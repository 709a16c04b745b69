"""`envcap doctor`: what may get lost, in words and JSON, and `--fix`, which keeps it beside the lock."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from tests.flow import Flow

KEYS = ["lock", "digest", "files", "kept", "findings", "fixed"]
FINDING = ["name", "version", "file", "sha256", "problem", "detail", "help"]


@pytest.fixture
def patient(locked: Flow, tmp_path: Path) -> Flow:
    """A lock of its own and a store of its own; its Debian packages lie in a folder of this machine only."""
    root = tmp_path / "world"
    shutil.copytree(locked.lock, root / "lockfiles" / "small")
    for folder in ("home", "wheels"):
        (root / folder).mkdir()
    shutil.copytree(locked.mirror, root / "debian")
    return replace(locked, root=root)


def test_what_only_this_machine_has_is_a_difference(patient: Flow) -> None:
    found = patient.run("doctor", patient.lock, "--json")
    assert found.status == 3
    table = json.loads(found.out)
    assert list(table) == KEYS
    system = open_lock(patient.lock).lockfile.system
    assert [row["name"] for row in table["findings"]] == [row.name for row in system]
    assert {row["problem"] for row in table["findings"]} == {"local only"}
    assert {row["help"] for row in table["findings"]} == {"keep it with `--fix`"}
    assert all(list(row) == FINDING for row in table["findings"])
    assert table["kept"] == table["files"] - len(system)
    assert found.err.startswith(f"error: {len(system)} files of {patient.lock} may not be had one day\n\nhint: keep ")


def test_words_name_the_package_the_problem_and_what_helps(patient: Flow) -> None:
    found = patient.run("doctor", patient.lock)
    system = open_lock(patient.lock).lockfile.system
    assert found.out.startswith(f"Only on this machine ({len(system)}): keep it with `--fix`\n  {system[0].name} ")
    assert f"{len(system)} at risk" in found.out


def test_fix_keeps_it_beside_the_lock_and_the_lock_stays_as_it_is(patient: Flow) -> None:
    lock = (patient.lock / "envcap.lock").read_bytes()
    system = open_lock(patient.lock).lockfile.system
    fixed = patient.run("doctor", patient.lock, "--fix")
    assert fixed.status == 0, fixed.err
    assert fixed.out.startswith(f"Kept {len(system)} files beside the lock")
    assert (patient.lock / "envcap.lock").read_bytes() == lock
    for row in system:
        path = patient.lock / "blobs" / "sha256" / row.sha256
        assert (path.stat().st_size, path.stat().st_mode & 0o777) == (row.size, 0o644)
    assert not [path for path in (patient.lock / "blobs" / "sha256").iterdir() if path.name.startswith(".")]
    assert patient.run("doctor", patient.lock).out.startswith("Everything will survive")


def test_a_fixed_lock_rebuilds_when_the_mirror_is_gone(patient: Flow) -> None:
    patient.run("doctor", patient.lock, "--fix")
    shutil.rmtree(patient.mirror)
    shutil.rmtree(patient.store)
    built = patient.run("rebuild", patient.lock, "--json")
    assert built.status == 0, built.err
    assert json.loads(built.out)["level"] == "config"


def test_what_is_lost_is_said_and_the_rest_is_kept(patient: Flow) -> None:
    system = open_lock(patient.lock).lockfile.system
    gone = next(patient.mirror.rglob(system[0].file.rpartition("/")[2]))
    gone.unlink()
    found = patient.run("doctor", patient.lock, "--fix", "--json")
    assert found.status == 3
    table = json.loads(found.out)
    assert [(row["name"], row["problem"]) for row in table["findings"]] == [(system[0].name, "lost")]
    assert len(table["fixed"]) == len(system) - 1


def test_a_new_snapshot_keeps_what_the_lock_still_pins(flow: Flow) -> None:
    flow.snapshot()
    flow.run("doctor", flow.lock, "--fix")
    stale = flow.lock / "blobs" / "sha256" / ("0" * 64)
    stale.write_bytes(b"of nobody")
    assert flow.snapshot().status == 0
    kept = {path.name for path in (flow.lock / "blobs" / "sha256").iterdir()}
    assert kept >= {row.sha256 for row in open_lock(flow.lock).lockfile.system}
    assert stale.name not in kept


def test_a_bundle_survives_and_is_not_written_into(patient: Flow, tmp_path: Path) -> None:
    bundle = tmp_path / "small.envcap"
    patient.run("bundle", patient.lock, "-o", bundle)
    shutil.rmtree(patient.mirror)
    well = patient.run("doctor", bundle)
    assert (well.status, well.out.partition(":")[0]) == (0, "Everything will survive")
    refused = patient.run("doctor", bundle, "--fix")
    assert refused.status == 2
    assert "which is a bundle" in refused.err


def test_a_symlink_in_place_of_the_blobs_is_refused(patient: Flow, tmp_path: Path) -> None:
    blobs = patient.lock / "blobs"
    elsewhere = tmp_path / "elsewhere"
    blobs.rename(elsewhere)
    blobs.symlink_to(elsewhere)
    before = {path.name for path in (elsewhere / "sha256").iterdir()}
    refused = patient.run("doctor", patient.lock, "--fix")
    assert refused.status == 1
    assert "is a symlink" in refused.err
    assert {path.name for path in (elsewhere / "sha256").iterdir()} == before


def test_offline_nobody_is_asked_and_the_rest_is_unknown(patient: Flow) -> None:
    flow = replace(patient, settings={"ENVCAP_DEBIAN_MIRROR": "https://debian.example.org/debian"})
    found = flow.run("doctor", flow.lock, "--offline")
    assert found.status == 1
    assert found.out.startswith("Unknown: nobody answered")
    assert "could not be asked for" in found.err
