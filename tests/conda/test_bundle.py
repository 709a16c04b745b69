"""A bundle of a conda environment holds its packages, and exports and rebuilds where no channel is."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from envcap.blobs import open_lock
from envcap.bundle.read import open_bundle
from tests.flow import Flow


def test_a_conda_environment_rebuilds_from_its_bundle_alone(locked: Flow, tmp_path: Path) -> None:
    made = locked.run("bundle", locked.lock, "-o", tmp_path / "conda.envcap")
    assert made.status == 0, made.err
    far = replace(locked, root=tmp_path / "far", settings={"CONDA_PKGS_DIRS": str(tmp_path / "none")})
    for folder in (far.home, far.wheels):
        folder.mkdir(parents=True)
    path = far.root / "conda.envcap"
    shutil.move(tmp_path / "conda.envcap", path)

    built = far.run("rebuild", path, "--json", "--offline")
    assert built.status == 0, built.err
    assert json.loads(built.out)["image_id"] == open_lock(locked.lock).lockfile.expected[0].image_id
    assert json.loads(built.out)["level"] == "manifest"
    bundle = open_bundle(path).bundle
    assert bundle is not None
    assert all(bundle.reader(row.sha256) for row in open_lock(locked.lock).lockfile.conda)
    assert far.run("doctor", path, "--offline").status == 0


def test_what_no_channel_and_no_cache_has_can_be_kept_before_it_is_gone(locked: Flow, tmp_path: Path) -> None:
    lock = shutil.copytree(locked.lock, tmp_path / "lock")
    own = replace(locked, settings={**locked.settings, "ENVCAP_STORE": str(tmp_path / "store")})
    found = own.run("doctor", lock, "--json")
    assert found.status == 3
    conda = {row.name for row in open_lock(lock).lockfile.conda}
    local = {row["name"] for row in json.loads(found.out)["findings"] if row["problem"] == "local only"}
    assert conda <= local
    assert own.run("doctor", lock, "--fix").status == 0
    gone = replace(own, settings={"CONDA_PKGS_DIRS": str(tmp_path / "none"), "ENVCAP_STORE": str(tmp_path / "other")})
    assert gone.run("rebuild", lock, "--offline").status == 0
