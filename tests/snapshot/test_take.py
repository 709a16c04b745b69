"""A snapshot as a value: what is kept with it, and that it is the same twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import kept_hashes, open_lock
from envcap.environment import EntryPoint, InterpreterFacts, OsPackage
from envcap.errors import ScanError
from envcap.finding import FindingLevel
from envcap.live.scan import LivePlace, check_platform
from envcap.live.system import find_foreign_packages
from envcap.lock.debian import NO_PINS, Pins
from envcap.lockfile.model import Lockfile
from envcap.scan import SubprocessRunner, scan_environment
from envcap.snapshot.take import Snapshot, SnapshotRequest, take_snapshot
from tests.flow import Flow, Wheel, install_wheel, make_flow
from tests.interpreter.fakes import build_python
from tests.worlds import Quiet, world_of

POINT = EntryPoint(name="scripted", value="scripted:main")


def snapshot(flow: Flow, **fields: object) -> Snapshot:
    request = SnapshotRequest(place=LivePlace(prefix=flow.prefix), name="small")
    with world_of(flow) as world:
        return take_snapshot(replace(request, **fields), world, Quiet())  # type: ignore[arg-type]


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return make_flow(tmp_path / "world")


def test_the_same_environment_gives_the_same_lock_with_a_cold_and_a_warm_store(flow: Flow) -> None:
    first = snapshot(flow)
    warm = snapshot(flow)
    shutil.rmtree(flow.store)
    cold = snapshot(flow)
    assert first.lockfile == warm.lockfile == cold.lockfile
    assert first.lockfile.expected[0].image_id == str(first.prediction.image_id)


def test_every_byte_that_the_lock_calls_captured_is_kept_with_it(flow: Flow, tmp_path: Path) -> None:
    install_wheel(flow, Wheel(name="private", version="1", files={"private.py": b"1\n"}))
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    (flow.prefix / "mine.txt").write_text("mine")
    with world_of(flow) as world:
        found = take_snapshot(SnapshotRequest(place=LivePlace(prefix=flow.prefix), name="small"), world, Quiet())
        expected = kept_hashes(found.lockfile)
        assert {sha256 for sha256, _ in found.kept} == set(expected)
        for number, (sha256, write) in enumerate(found.kept):
            with (tmp_path / str(number)).open("wb") as file:
                write(file)
            assert (tmp_path / str(number)).stat().st_size == expected[sha256]


def test_steps_are_told_in_order(flow: Flow) -> None:
    talk = Quiet()
    with world_of(flow) as world:
        take_snapshot(SnapshotRequest(place=LivePlace(prefix=flow.prefix), name="small"), world, talk)
    assert talk.steps == ["Scanning", "Proving", "Capturing", "OS packages", "Computing the image ID"]


def test_warnings_come_before_notes(flow: Flow) -> None:
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    levels = [finding.level for finding in snapshot(flow).findings]
    assert FindingLevel.WARNING in levels
    assert levels == sorted(levels, key=lambda level: level is not FindingLevel.WARNING)


def test_unowned_files_beyond_the_limit_are_named(flow: Flow) -> None:
    (flow.prefix / "large.bin").write_bytes(bytes(2_000_000))
    (flow.prefix / "small.txt").write_text("x")
    found = snapshot(flow, max_unowned=1_000_000)
    assert [file.path for file in found.lockfile.captured] == ["small.txt"]
    assert any(row.code == "unowned-left-out" and "large.bin" in row.message for row in found.findings)


@pytest.mark.parametrize(("key", "value"), [("platform_machine", "riscv64"), ("sys_platform", "darwin")])
def test_another_platform_is_refused(flow: Flow, key: str, value: str) -> None:
    python = flow.prefix / "bin" / "python"
    real = python.resolve()
    python.unlink()
    # A wrapper that answers as the interpreter of another machine would.
    script = (
        f'#!/bin/sh\n\'{real}\' "$@" | sed \'s/"{key}": "[^"]*"/"{key}": "{value}"/;'
        f's|"{real.parent.parent}\\(/[^"]*site-packages\\)|"{flow.prefix}\\1|\'\n'
    )
    python.write_text(script)
    python.chmod(0o755)
    with pytest.raises(ScanError, match=value):
        snapshot(flow)


def facts(tmp_path: Path, *, soabi: str = "cpython-311-x86_64-linux-gnu", **markers: str) -> InterpreterFacts:
    known = {"sys_platform": "linux", "platform_machine": "x86_64", **markers}
    return replace(build_python(tmp_path), soabi=soabi, markers=known)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_python_for_glibc_on_a_known_processor_may_be_captured(tmp_path: Path, machine: str) -> None:
    check_platform(facts(tmp_path, platform_machine=machine))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"sys_platform": "darwin"}, "for darwin on x86_64"),
        ({"platform_machine": "riscv64"}, "for linux on riscv64"),
        ({"soabi": "cpython-312-x86_64-linux-musl"}, "was built for musl"),
    ],
)
def test_a_python_that_no_image_can_hold_is_refused(tmp_path: Path, found: dict[str, str], words: str) -> None:
    with pytest.raises(ScanError, match=words):
        check_platform(facts(tmp_path, **found))


@pytest.fixture
def user(flow: Flow) -> Flow:
    """The user's own folder of packages, in which pip installed one with a script and one that no index has."""
    user = Flow(root=flow.root / "user")
    (user.prefix / flow.site_packages.relative_to(flow.prefix)).mkdir(parents=True)
    script = Wheel(name="scripted", version="2.0", files={"scripted.py": b""}, console_script=POINT)
    (flow.wheels / script.file).write_bytes(script.build())
    for wheel in (script, Wheel(name="private", version="1", files={"private.py": b"1\n"})):
        install_wheel(user, wheel)
    return user


def test_packages_of_the_user_are_proven_where_they_lie_and_the_image_is_the_same_rebuilt(
    flow: Flow, user: Flow
) -> None:
    flow = replace(flow, settings={"PYTHONUSERBASE": str(user.prefix)})
    said = flow.snapshot("--user-site", "--json")
    assert said.status == 0, said.err
    rows = {row.name: row.proof for row in open_lock(flow.lock).lockfile.packages}
    assert (rows["scripted"], rows["private"]) == ("record", "captured")
    assert str(flow.root) not in (flow.lock / "envcap.lock").read_text()
    rebuilt = json.loads(flow.run("rebuild", flow.lock, "--json").out)
    assert rebuilt["image_id"] == json.loads(said.out)["image_id"]


def test_a_plain_environment_is_the_same_whatever_the_user_has_installed(flow: Flow, user: Flow) -> None:
    before = snapshot(flow)
    assert snapshot(replace(flow, settings={"PYTHONUSERBASE": str(user.prefix)})).lockfile == before.lockfile


def test_installed_packages_that_no_archive_has_are_named_and_those_of_a_pin_are_not_asked_for(flow: Flow) -> None:
    scanned = scan_environment(flow.prefix, run=SubprocessRunner(flow.environ))
    if lock_of(flow).interpreter.origin != "debian":
        pytest.skip("this machine's own Python is not Debian's")
    ours, theirs = OsPackage(name="libc6", version="1"), OsPackage(name="python3-theirs", version="1")
    environment = replace(scanned, os_packages=(ours, theirs))
    with world_of(flow) as world:
        asked = find_foreign_packages(environment, "linux/amd64", "", NO_PINS, world)
    pins = Pins(packages=tuple(replace(row, name="python3-theirs") for row in lock_of(flow).system[:1]))
    with world_of(flow, offline=True) as world:
        pinned = find_foreign_packages(replace(scanned, os_packages=(theirs,)), "linux/amd64", "", pins, world)
    assert (asked, pinned) == (frozenset({"python3-theirs"}), frozenset())


def lock_of(flow: Flow) -> Lockfile:
    return snapshot(flow).lockfile


def test_a_file_of_a_package_that_goes_away_meanwhile_is_no_deleted_one(flow: Flow) -> None:
    class Deleting(Quiet):
        @contextmanager
        def step(self, title: str) -> Iterator[Callable[[str, int, int], None]]:
            self.steps.append(title)

            def told(phase: str, done: int, total: int) -> None:
                if phase == "walk" and done == total:
                    (flow.site_packages / "beta.py").unlink(missing_ok=True)

            yield told

    request = SnapshotRequest(place=LivePlace(prefix=flow.prefix), name="small")
    with world_of(flow) as world, pytest.raises(ScanError, match=r"Unable to lock files of beta: .*/beta\.py: "):
        take_snapshot(request, world, Deleting())
