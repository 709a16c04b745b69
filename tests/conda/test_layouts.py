"""Conda environments laid out in other ways: a base one, one of a pinned Python, one without the global lock."""

import json
from pathlib import Path

import pytest
import yaml

from envcap.blobs import open_lock
from tests.conda.channel import PLACEHOLDER, Channel, Member, Spec, install, make_channel, small_specs
from tests.conda.test_faithful import image_id, lock_of, snapshot_and_rebuild
from tests.conda.world import make_world
from tests.flow import Flow

SITE = "lib/python3.13t/site-packages"

ANSWER = {
    "executable": "PREFIX/bin/python3.13t",
    "implementation": "cpython",
    "version": "3.13.1",
    "build": "main, Dec  4 2024, GCC 13.3.0",
    "soabi": "cpython-313t-x86_64-linux-gnu",
    "tags": "cp313-cp313t",
    "prefix": "PREFIX",
    "base_prefix": "PREFIX",
    "paths": {
        "stdlib": "PREFIX/lib/python3.13t",
        "platstdlib": "PREFIX/lib/python3.13t",
        "purelib": f"PREFIX/{SITE}",
        "platlib": f"PREFIX/{SITE}",
        "scripts": "PREFIX/bin",
        "data": "PREFIX",
    },
    "markers": {"platform_machine": "x86_64", "sys_platform": "linux", "python_version": "3.13"},
    "glibc": "2.36",
    "config": {"Py_GIL_DISABLED": "1"},
    "site_folders": [f"PREFIX/{SITE}"],
    "user_site": "",
}
"""What the probe prints in a CPython 3.13 without the global lock."""


def free_threaded() -> Spec:
    """Give a Python that says just that."""
    answer = json.dumps(ANSWER).replace("PREFIX", "$here")
    script = f'#!/bin/sh\n# {PLACEHOLDER}\nhere=$(cd "$(dirname "$0")/.." && pwd)\ncat <<EOF\n{answer}\nEOF\n'
    files = {
        "bin/python3.13t": Member(data=script.encode(), mode=0o755, placeholder=PLACEHOLDER),
        "bin/python": Member(target="python3.13t"),
        "lib/python3.13t/os.py": Member(data=b"# os\n"),
    }
    return Spec(name="python", version="3.13.1", build="h9a34b6e_5_cp313t", files=files, site_packages=SITE)


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with such a Python."""
    return make_channel(tmp_path_factory.mktemp("threads") / "lab", (free_threaded(), *small_specs()))


def test_noarch_packages_go_where_a_python_without_the_global_lock_looks(threads: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", threads, ("python", "tool"))
    assert (flow.prefix / SITE / "tool/where.py").is_file()

    snapshot_and_rebuild(flow)

    assert not [row.name for row in lock_of(flow).conda if row.patches]
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs").status == 0
    root = flow.root / "rootfs/opt/conda"
    assert (root / SITE / "tool/where.py").read_text().startswith("PREFIX = '/opt/conda/etc'\n")
    assert sorted(path.name for path in (root / "lib").glob("python*")) == ["python3.13t"]
    answer = flow.run("check", flow.lock, flow.prefix)
    assert answer.status == 0, answer.out


def test_an_import_puts_them_there_too(threads: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", threads, ("python", "tool"))
    assert flow.snapshot().status == 0
    (tmp_path / "list").write_text(flow.run("export", flow.lock, "--format", "explicit").out)

    answer = flow.run("import", tmp_path / "list", "--name", "back", "--output", tmp_path / "locks", "--json")

    assert answer.status == 0, answer.err
    back = open_lock(tmp_path / "locks/back").lockfile
    assert [row.name for row in back.conda if row.patches] == []
    assert back.interpreter == lock_of(flow).interpreter


def test_a_base_environment_is_captured_without_its_cache_and_other_environments(
    channel: Channel, locked: Flow, tmp_path: Path
) -> None:
    """As an installer lays it out: `envs` and `pkgs` lie below the prefix of conda's own Python."""
    flow = make_world(tmp_path / "world", channel, prefix="miniforge3")
    install(channel, flow.prefix / "envs/other", ["python", "fast"], cache=flow.prefix / "pkgs")
    (flow.prefix / "envs/.conda_envs_dir_test").touch()
    (flow.prefix / "conda-meta/initial-state.explicit.txt").write_text("@EXPLICIT\n")

    assert snapshot_and_rebuild(flow) == image_id(locked)

    lock = lock_of(flow)
    assert (lock.captured, [row.name for row in lock.conda]) == ((), [row.name for row in lock_of(locked).conda])
    assert (flow.prefix / "pkgs").is_dir()


def test_an_environment_below_a_base_one_is_itself_alone(channel: Channel, locked: Flow, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", channel, prefix="miniforge3/envs/x")
    install(channel, flow.root / "miniforge3", ["python", "fast"], cache=tmp_path / "cache")

    assert snapshot_and_rebuild(flow) == image_id(locked)


def test_a_python_pinned_by_its_build_is_locked_and_exported(channel: Channel, tmp_path: Path) -> None:
    version = str(channel.record("python")["version"])
    spec = f"python={version}=h0_cpython"
    flow = make_world(tmp_path / "world", channel, ("python",), requested=(spec,))

    assert flow.snapshot().status == 0

    (row,) = lock_of(flow).conda
    assert (row.version, row.build) == (version, "h0_cpython")
    assert len(row.requested) == 1
    assert all(part in row.requested[0] for part in (version, "h0_cpython"))
    exported = yaml.safe_load(flow.run("export", flow.lock, "--format", "environment").out)
    assert exported["dependencies"] == [spec]
    assert f"/python-{version}-h0_cpython.conda#sha256:" in flow.run("export", flow.lock, "--format", "explicit").out
