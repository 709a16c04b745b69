"""A snapshot as a value: what is kept with it, and that it is the same twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import kept_hashes
from envcap.environment import FindingLevel, InterpreterFacts
from envcap.errors import ScanError
from envcap.snapshot import Snapshot, SnapshotRequest, platform_of, take_snapshot
from tests.flow import Flow, Wheel, install_wheel, make_flow
from tests.interpreter.fakes import build_python
from tests.worlds import Quiet, world_of


def snapshot(flow: Flow, **fields: object) -> Snapshot:
    request = SnapshotRequest(prefix=flow.prefix, name="small")
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
        found = take_snapshot(SnapshotRequest(prefix=flow.prefix, name="small"), world, Quiet())
        expected = kept_hashes(found.lockfile)
        assert {sha256 for sha256, _ in found.kept} == set(expected)
        for number, (sha256, write) in enumerate(found.kept):
            with (tmp_path / str(number)).open("wb") as file:
                write(file)
            assert (tmp_path / str(number)).stat().st_size == expected[sha256]


def test_steps_are_told_in_order(flow: Flow) -> None:
    talk = Quiet()
    with world_of(flow) as world:
        take_snapshot(SnapshotRequest(prefix=flow.prefix, name="small"), world, talk)
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


@pytest.mark.parametrize(("machine", "platform"), [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64")])
def test_an_image_has_the_platform_of_its_interpreter(tmp_path: Path, machine: str, platform: str) -> None:
    assert platform_of(facts(tmp_path, platform_machine=machine)) == platform


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
        platform_of(facts(tmp_path, **found))
