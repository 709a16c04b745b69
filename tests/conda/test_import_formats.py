"""Import of `environment.yml` and `pixi.lock`, from the file to the lock."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from envcap.blobs import open_lock
from envcap.lockfile.model import Lockfile
from tests.conda.channel import SUBDIR, Channel
from tests.conda.world import make_world
from tests.flow import WHEELS, Answer, Flow, Wheel


@pytest.fixture
def flow(locked: Flow, tmp_path: Path) -> Flow:
    """The world of the lock, on a machine that has nothing of it yet."""
    return replace(locked, settings={**locked.settings, "ENVCAP_STORE": str(tmp_path / "store")})


def import_(flow: Flow, file: Path, *more: str) -> Answer:
    return flow.run("import", file, "--name", "back", "--output", file.parent / "locks", *more)


def lock_of(file: Path) -> Lockfile:
    return open_lock(file.parent / "locks/back").lockfile


def exported(flow: Flow, path: Path) -> Path:
    answer = flow.run("export", flow.lock, "--format", "environment")
    assert answer.status == 0, answer.err
    path.write_text(answer.out)
    return path


def pixi_lock(lock: Lockfile, channel: Channel, path: Path) -> Path:
    """Write a lock as pixi would."""
    urls = {row.file: f"{channel.root.as_uri()}/{row.subdir}/{row.file}" for row in lock.conda}
    document = {
        "version": 6,
        "environments": {"lab": {"channels": [], "packages": {SUBDIR: [{"conda": url} for url in urls.values()]}}},
        "packages": [{"conda": urls[row.file], "sha256": row.sha256, "md5": row.md5} for row in lock.conda],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_pixi_lock_gives_the_packages_that_it_was_made_of(flow: Flow, channel: Channel, tmp_path: Path) -> None:
    before = open_lock(flow.lock).lockfile
    file = pixi_lock(before, channel, tmp_path / "pixi.lock")

    taken = import_(flow, file, "--environment", "lab", "--json")

    assert taken.status == 0, taken.err
    assert lock_of(file).conda == tuple(replace(row, requested=()) for row in before.conda)
    assert json.loads(taken.out)["image_id"] == lock_of(file).expected[0].image_id
    assert import_(flow, file).err.startswith("error: pixi.lock has no environment 'default' (found: 'lab')")


def test_what_pip_installed_is_found_on_the_index_again(channel: Channel, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", channel, ("python",))
    assert world.snapshot().status == 0
    file = exported(world, tmp_path / "environment.yml")
    for wheel in WHEELS:
        (world.wheels / wheel.file).write_bytes(wheel.build())
    file.write_text(file.read_text() + "- pip:\n  - alpha==1.0\n  - Beta == 2.1\nvariables:\n  A: '1'\n")

    taken = import_(world, file)

    assert taken.status == 0, taken.err
    assert [(row.name, row.version, row.proof) for row in lock_of(file).packages] == [
        ("alpha", "1.0", "record"),
        ("beta", "2.1", "record"),
    ]
    assert "Not taken from environment.yml: variables" in taken.err
    rebuilt = world.run("rebuild", tmp_path / "locks/back", "--json")
    assert json.loads(rebuilt.out)["level"] == "config"


def test_what_no_index_lists_any_more_is_found_by_its_name(channel: Channel, tmp_path: Path) -> None:
    withdrawn = tmp_path / "lab"
    for subdir in (SUBDIR, "noarch"):
        (withdrawn / subdir).mkdir(parents=True)
        (withdrawn / subdir / "repodata.json").write_text('{"packages": {}}')
    python = channel.path("python")
    (withdrawn / SUBDIR / python.name).write_bytes(python.read_bytes())
    world = make_world(tmp_path / "world", channel, ("python",), settings={"CONDA_CHANNELS": withdrawn.as_uri()})
    name, version, build = re.sub(r"\.conda|\.tar\.bz2", "", python.name).rsplit("-", 2)
    file = tmp_path / "environment.yml"
    file.write_text(f"channels: [lab]\ndependencies: [{name}={version}={build}]\n")

    taken = import_(world, file)

    assert taken.status == 0, taken.err
    assert f"No channel lists {python.name}: it is pinned as it was found by its name" in taken.err
    assert lock_of(file).conda[0].sha256 == hashlib.sha256(python.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels: [lab]\ndependencies: [nothing=1=0]\n", "Can't find 'nothing-1-0': not in the channels lab"),
        ("dependencies: [nothing=1=0]\n", "The file names no channel for 'nothing'"),
        ("channels: [lab]\ndependencies: [python=3.11]\n", "leaves to a solver: 'python=3.11'"),
        ("channels: [lab]\ndependencies: [PYTHON, {pip: [delta==1]}]\n", "Can't find a wheel of delta 1 for Python"),
        ("channels: [lab]\ndependencies: [PYTHON, {pip: [alpha==9]}]\n", "Can't find a wheel of alpha 9 for Python"),
        ("channels: [lab]\ndependencies: [{pip: [alpha==1.0]}]\n", "No Python is among the packages, and pip's"),
        (
            "channels: [https://10.0.0.7/inner]\ndependencies: [x=1=0]\n",
            "Can't find 'x-1-0': not in the channels inner",
        ),
        ("channels: [file:///etc]\ndependencies: [x=1=0]\n", "Can't find 'x-1-0': not in the channels etc"),
    ],
)
def test_an_environment_that_can_not_be_had_is_one_line(
    flow: Flow, channel: Channel, tmp_path: Path, text: str, message: str
) -> None:
    stem = re.sub(r"\.conda|\.tar\.bz2", "", channel.path("python").name)
    file = tmp_path / "environment.yml"
    file.write_text(text.replace("PYTHON", "=".join(stem.rsplit("-", 2))))

    refused = import_(flow, file, "--offline")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(f"error: {message}") or message in refused.err.splitlines()[0]
    assert "10.0.0.7" not in refused.err
    assert not (tmp_path / "locks").exists()


def test_a_wheel_beside_the_file_is_taken(channel: Channel, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", channel, ("python",))
    stem = re.sub(r"\.conda|\.tar\.bz2", "", channel.path("python").name)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / WHEELS[0].file).write_bytes(WHEELS[0].build())
    file = tmp_path / "environment.yml"
    pip = f"{{pip: [./wheels/{WHEELS[0].file}]}}"
    file.write_text(f"channels: [lab]\ndependencies: [{'='.join(stem.rsplit('-', 2))}, {pip}]\n")

    taken = import_(world, file)

    assert taken.status == 0, taken.err
    assert [(row.name, row.proof) for row in lock_of(file).packages] == [("alpha", "captured")]
    rebuilt = world.run("rebuild", tmp_path / "locks/back", "--json")
    assert json.loads(rebuilt.out)["level"] == "config"


def test_where_a_channel_is_dead_nothing_is_looked_for_by_name(channel: Channel, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", channel, ("python",))
    dead = replace(world, settings={"CONDA_CHANNELS": "http://127.0.0.1:9/lab"})
    file = tmp_path / "environment.yml"
    file.write_text(f"channels: [lab]\ndependencies: [{', '.join(f'x{n}=1=0' for n in range(9))}]\n")

    refused = import_(dead, file)

    assert refused.status == 1
    assert "not in the channels lab (lab/" in refused.err.splitlines()[0]
    assert "and 1 more like it" in refused.err.splitlines()[0]


def test_a_wheel_for_another_python_is_not_chosen(channel: Channel, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", channel, ("python",))
    other = Wheel(name="alpha", version="1.0", files={"alpha.py": b""})
    (world.wheels / "alpha-1.0-cp38-cp38-manylinux_2_17_x86_64.whl").write_bytes(other.build())
    stem = re.sub(r"\.conda|\.tar\.bz2", "", channel.path("python").name)
    file = tmp_path / "environment.yml"
    file.write_text(f"channels: [lab]\ndependencies: [{'='.join(stem.rsplit('-', 2))}, {{pip: [alpha==1.0]}}]\n")

    refused = import_(world, file)

    assert refused.status == 1
    assert "no wheel that fits" in refused.err


@pytest.mark.parametrize(("option", "file"), [("--environment", "pylock.toml"), ("--python", "pixi.lock")])
def test_an_option_of_another_format_is_refused(flow: Flow, tmp_path: Path, option: str, file: str) -> None:
    refused = import_(flow, tmp_path / file, option, "x")

    assert refused.status == 2
    assert f"`{option}` is for a" in refused.err
