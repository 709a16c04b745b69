"""Identity under disturbance: one environment gives one lock, and one lock gives one image, whatever the machine.

The lock's `[session]` says what the shell had set, so it is left aside here: it is no part of the lock's digest.

A small world of hand-made wheels and packages is put through each disturbance by itself, from an empty store; a lock of
real packages through several at once.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME
from tests.acceptance.disturbances import MANY, SINGLE, Bench, Disturbance, shuffled
from tests.acceptance.environments import SMALL_UV_311, Program, Workshop, find_python
from tests.flow import Flow, make_flow

pytestmark = pytest.mark.slow

SESSION = re.compile(rb"\n\[session\]\n(?:.+\n)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What must be the same."""

    lock: str
    image_id: str
    manifest: str
    tar: str
    layout: str


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    # Not below pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="envcap-identity-") as root:
        yield Bench(Path(root))


@pytest.fixture(scope="module")
def flow(bench: Bench) -> Flow:
    return make_flow(bench.root / "flow", python=find_python("3.11"))


@pytest.fixture(scope="module")
def undisturbed(bench: Bench, flow: Flow) -> Result:
    return run_both(bench, flow, SINGLE[0], "undisturbed")


def run_both(bench: Bench, flow: Flow, how: Disturbance, name: str) -> Result:
    """Take the snapshot and rebuild it, in an empty store."""
    world = bench.root / name
    world.mkdir()
    with ExitStack() as stack:
        if how.shuffled:
            shutil.copytree(flow.prefix, bench.root / "env", symlinks=True)
            stack.enter_context(shuffled(bench.root / "env", flow.prefix))
        envcap = stack.enter_context(bench.disturbed(how, world, flow.environ))
        locks = envcap.store.parent / "locks"
        envcap("snapshot", flow.prefix, "--name", "small", "--output", locks).fine()
        return rebuilt(envcap, locks / "small", how.jobs)


def rebuilt(envcap: Program, lock: Path, jobs: int) -> Result:
    """Rebuild a lock in both forms, and name all bytes that came of it."""
    world = envcap.store.parent
    jobs_option = ("--jobs", jobs) if jobs else ()
    tar, layout = world / "image.oci.tar", world / "layout"
    found = envcap("rebuild", lock, "--output", tar, "--json", *jobs_option).fine().json
    again = envcap("rebuild", lock, "--output", layout, "--json", *jobs_option).fine().json
    assert (found["image_id"], found["manifest"]) == (again["image_id"], again["manifest"])
    assert found["level"] == "config"
    envcap("store", "fsck").fine()
    return Result(
        lock=digest_of(lock),
        image_id=found["image_id"],
        manifest=found["manifest"],
        tar=sha256(tar.read_bytes()).hexdigest(),
        layout=digest_of(layout),
    )


def digest_of(folder: Path) -> str:
    """Hash a folder: names, modes and bytes of all that is in it."""
    rows = [
        (str(path.relative_to(folder)), path.lstat().st_mode, _content(path) if path.is_file() else b"")
        for path in sorted((folder, *folder.rglob("*")))
    ]
    return sha256(repr(rows).encode()).hexdigest()


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return SESSION.sub(b"", data) if path.name == LOCK_NAME else data


@pytest.mark.parametrize("how", SINGLE, ids=str)
def test_no_disturbance_changes_the_lock_or_the_image(
    how: Disturbance, bench: Bench, flow: Flow, undisturbed: Result
) -> None:
    assert run_both(bench, flow, how, how.name) == undisturbed


def damage(paths: list[Path]) -> None:
    """Flip one bit in the middle of each file."""
    assert paths
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)


def blobs_of(store: Path) -> list[Path]:
    return [path for path in (store / "blobs").rglob("*") if path.is_file()]


def actions_of(store: Path) -> list[Path]:
    return [path for path in (store / "actions").rglob("*") if path.is_file()]


def artifacts_of(store: Path) -> list[Path]:
    """The wheels and the OS packages in a store."""
    return [path for path in blobs_of(store) if path.read_bytes()[:4] in (b"PK\x03\x04", b"!<ar")]


def layers_of(store: Path) -> list[Path]:
    return [path for path in blobs_of(store) if path.read_bytes()[:2] == b"\x1f\x8b"]


@pytest.mark.parametrize("damaged", [artifacts_of, layers_of, actions_of, blobs_of], ids=lambda kind: kind.__name__)
def test_a_damaged_store_heals_and_gives_the_same_image(
    damaged: Callable[[Path], list[Path]], bench: Bench, flow: Flow, undisturbed: Result
) -> None:
    world = bench.root / f"damaged-{damaged.__name__}"
    shutil.copytree(bench.root / "undisturbed", world)
    damage(damaged(world / "store"))
    if damaged is artifacts_of:
        for path in (*layers_of(world / "store"), *actions_of(world / "store")):
            path.unlink()
    with bench.disturbed(SINGLE[0], world, flow.environ) as envcap:
        first = envcap("rebuild", world / "locks" / "small", "--output", world / "first.tar")
        assert "Traceback" not in first.err
        assert first.status == 0, first.err
        assert sha256((world / "first.tar").read_bytes()).hexdigest() == undisturbed.tar
        envcap("store", "fsck")  # sets aside what no run had reason to read
        assert rebuilt(envcap, world / "locks" / "small", 0) == undisturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A lock of real packages in a folder that others may read, a store with its artifacts, and what it gives."""

    world: Path
    result: Result


@pytest.fixture(scope="module")
def real(bench: Bench, workshop: Workshop) -> Real:
    captured = workshop.captured(SMALL_UV_311)
    world = bench.root / "real"
    world.mkdir()
    shutil.copytree(captured.lock, world / "lock")
    with bench.disturbed(SINGLE[0], world, {}) as envcap:
        result = rebuilt(envcap, world / "lock", 0)
    assert result.image_id == captured.image_id
    return Real(world=world, result=result)


@pytest.mark.network
@pytest.mark.parametrize("how", MANY, ids=str)
def test_a_lock_of_real_packages_gives_one_image_under_many_disturbances(
    how: Disturbance, bench: Bench, real: Real
) -> None:
    world = bench.root / how.name
    shutil.copytree(real.world, world, ignore=shutil.ignore_patterns("actions", "image.oci.tar", "layout"))
    for path in layers_of(world / "store"):
        path.unlink()
    with bench.disturbed(how, world, {}) as envcap:
        # A clock that is years ahead finds no certificate valid: the artifacts are in the store.
        offline = replace(envcap, settings={**envcap.settings, "ENVCAP_DEBIAN_MIRROR": "file:///nonexistent"})
        assert rebuilt(offline, world / "lock", how.jobs) == real.result
