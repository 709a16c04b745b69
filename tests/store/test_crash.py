"""P2 and P4: killed or failed at any system call, the store is sound and the next run just works."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from envcap.store import open_store
from envcap.store.care import check_store
from tests.store.child import KEY, VERBS
from tests.store.crash import CHANGING, FaultPoint, error_points, kill_points, list_calls, missing_injection
from tests.store.launch import Program

pytestmark = pytest.mark.skipif(bool(missing_injection()), reason=missing_injection() or "faults can be injected")

CHILD = Program(module="tests.store.child", loaded="envcap.store")
ENVIRONMENT = {"PATH": os.defpath}
COMMITTING = ("fsync", "rename", "renameat", "renameat2")


def building(root: Path) -> list[str]:
    return [str(root), "build"]


def reset(root: Path) -> Callable[[], None]:
    def remove() -> None:
        shutil.rmtree(root, ignore_errors=True)

    return remove


def assert_sound_and_usable(root: Path, point: FaultPoint) -> None:
    """What must hold after any fault: nothing broken is visible, the next run works, no litter stays."""
    store = open_store(root)
    record = store.actions.record(KEY)
    if record is not None:
        assert all(store.blobs.has(blob) for blob in record.blobs), point
    report = check_store(store, now=0, progress=lambda done, total: None)
    assert report.clean, (point, report)
    assert report.dangling == 0, point
    assert list((root / "tmp").iterdir()) == [], point
    assert VERBS["build"](open_store(root)) == "built", point


def assert_told_on_one_line(root: Path, point: FaultPoint, error: str) -> None:
    said = point.result.stderr
    if point.result.returncode == 0:  # a fault that may be overlooked: a stamp, a lock, litter
        assert (point.result.stdout, said) == ("built\n", ""), point
        return
    assert point.result.returncode == 1, point
    assert said.count("\n") == 1, point
    assert str(root) in said, point
    assert os.strerror(getattr(errno, error)) in said, point
    if error == "ENOSPC":
        assert "MB free" in said, point


def test_objects_are_synced_before_they_are_named_and_names_before_results(tmp_path: Path) -> None:
    root = tmp_path / "store"
    calls = list_calls(CHILD, building(root), ENVIRONMENT, touching=root, calls=COMMITTING)
    renames = [at for at, call in enumerate(calls) if call.name.startswith("rename")]
    assert len(renames) == 5  # VERSION, three objects, one result
    for at in renames:
        source, target = calls[at].paths
        assert (calls[at - 1].name, calls[at - 1].paths) == ("fsync", (source,))
        assert (calls[at + 1].name, calls[at + 1].paths) == ("fsync", (str(Path(target).parent),))
    assert "/actions/" in calls[renames[-1]].paths[1]


def test_a_run_killed_at_any_commit_step_is_completed_by_the_next(tmp_path: Path) -> None:
    root = tmp_path / "store"
    points = list(
        check_each(
            root,
            kill_points(CHILD, building(root), ENVIRONMENT, touching=root, prepare=reset(root), calls=COMMITTING),
        )
    )
    assert len(points) >= 20
    assert {point.result.returncode for point in points} == {-9}


def check_each(root: Path, points: Iterable[FaultPoint]) -> Iterator[FaultPoint]:
    for point in points:
        assert point.fired, point
        assert_sound_and_usable(root, point)
        yield point


@pytest.mark.slow
def test_a_run_killed_at_any_call_is_completed_by_the_next(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    root = tmp_path / "store"
    points = list(check_each(root, kill_points(CHILD, building(root), ENVIRONMENT, touching=root, prepare=reset(root))))
    assert len(points) >= 70
    assert {point.result.returncode for point in points} == {-9}
    record_testsuite_property("kill points recovered", len(points))


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        ("ENOSPC", ("write", "rename")),
        ("EIO", ("fsync",)),
    ],
)
def test_a_failing_disk_is_one_line_and_leaves_the_store_sound(
    tmp_path: Path, error: str, calls: tuple[str, ...]
) -> None:
    check_errors(tmp_path / "store", error, calls)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "calls"),
    [
        ("EIO", (*CHANGING, "read", "newfstatat", "fstat", "getdents64")),
        ("ENOSPC", CHANGING),
        ("EDQUOT", ("write", "mkdir", "rename")),
        ("EROFS", ("openat", "mkdir", "rename", "unlink", "utimensat")),
        ("EACCES", ("openat", "mkdir", "rename", "newfstatat")),
        ("EMFILE", ("openat",)),
        ("EINTR", ("openat", "read", "write", "flock", "fsync")),
    ],
)
def test_any_call_failing_in_any_way_is_one_line_and_leaves_the_store_sound(
    tmp_path: Path, error: str, calls: tuple[str, ...], record_testsuite_property: Callable[[str, object], None]
) -> None:
    count = check_errors(tmp_path / "store", error, calls)
    record_testsuite_property(f"calls failed with {error}", count)


def check_errors(root: Path, error: str, calls: tuple[str, ...]) -> int:
    count = 0
    for point in error_points(
        error, CHILD, building(root), ENVIRONMENT, touching=root, prepare=reset(root), calls=calls
    ):
        assert point.fired, point
        if error != "EINTR" or point.result.returncode:
            assert_told_on_one_line(root, point, error)
        assert_sound_and_usable(root, point)
        count += 1
    assert count > 0
    return count
