"""Killed at any commit, or out of space: nothing half-written has a name, and the next run just works."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.blobs import kept_hashes, open_lock
from envcap.oci.contents import open_image
from envcap.verify import check_integrity
from tests.flow import Flow, make_flow
from tests.store.crash import FaultPoint, kill_points, missing_injection
from tests.store.launch import Program

pytestmark = pytest.mark.slow

COMMITTING = ("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat")
PUBLISHING = (*COMMITTING, "mkdir", "rmdir", "unlink", "unlinkat", "chmod", "fchmod")

ENVCAP = Program(module="envcap", loaded="envcap")

needs_injection = pytest.mark.skipif(bool(missing_injection()), reason=missing_injection() or "faults can be injected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A small world, its lock, and the archive that the lock gives."""

    flow: Flow
    lock: Path
    tar: bytes

    def kill_points(
        self,
        *arguments: object,
        touching: Path,
        prepare: Callable[[], None],
        calls: Sequence[str] = COMMITTING,
        **settings: object,
    ) -> Iterator[FaultPoint]:
        """Run a command, killed at each of its calls in turn; `settings` are variables of its environment."""
        environ = self.flow.environ | {name: str(value) for name, value in settings.items()}
        words = [str(argument) for argument in arguments]
        return kill_points(ENVCAP, words, environ, touching=touching, prepare=prepare, calls=calls)

    def using(self, store: Path) -> Flow:
        return replace(self.flow, settings={**self.flow.settings, "ENVCAP_STORE": str(store)})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    flow = make_flow(tmp_path_factory.mktemp("world") / "flow")
    assert flow.snapshot().status == 0
    tar = flow.root / "reference.oci.tar"
    assert flow.run("rebuild", flow.lock, "--output", tar).status == 0
    return Small(flow=flow, lock=flow.lock, tar=tar.read_bytes())


def wiping(*folders: Path) -> Callable[[], None]:
    def wipe() -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    return wipe


def assert_store_is_sound(flow: Flow, point: object) -> None:
    said = flow.run("store", "fsck")
    assert said.status == 0, (point, said)


@needs_injection
def test_a_rebuild_killed_at_any_commit_is_completed_by_the_next(
    small: Small, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    tar = out / "image.oci.tar"
    killed = 0
    for point in small.kill_points(
        *("rebuild", small.lock, "--output", tar),
        touching=tmp_path,
        prepare=wiping(store, out),
        ENVCAP_STORE=store,
    ):
        # Downloads run in several threads: whether one finds what another has made, and saves a call, differs.
        assert point.result.returncode == (-9 if point.fired else 0), point
        killed += point.fired
        assert not tar.exists() or tar.read_bytes() == small.tar, point
        flow = small.using(store)
        assert_store_is_sound(flow, point)
        assert flow.run("rebuild", small.lock, "--output", tar).status == 0, point
        assert tar.read_bytes() == small.tar, point
        assert_store_is_sound(flow, point)
    assert killed >= 100
    record_testsuite_property("rebuilds killed and completed", killed)


@needs_injection
@pytest.mark.parametrize("before", ["nothing", "another"])
def test_a_killed_output_is_the_old_or_the_new_and_never_half_of_one(before: str, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tar, layout, saved = out / "image.oci.tar", out / "layout", tmp_path / "saved"
    saved.mkdir()
    if before == "another":
        for path in (saved / tar.name, saved / layout.name):
            assert small.flow.run("rebuild", small.lock, "--output", path, "--tag", "older:one").status == 0

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(saved, out)

    for path in (tar, layout):
        command = ("rebuild", small.lock, "--output", path)
        points = list(_killed(small.kill_points(*command, touching=out, prepare=prepare, calls=PUBLISHING), path))
        assert len(points) >= 3
        assert small.flow.run("rebuild", small.lock, "--output", path).status == 0
        with open_image(path) as image:
            check_integrity(image)


def _killed(points: Iterator[FaultPoint], path: Path) -> Iterator[FaultPoint]:
    for point in points:
        assert point.result.returncode == -9, point
        if path.exists():
            with open_image(path) as image:
                check_integrity(image)
        yield point


@needs_injection
def test_a_killed_bundle_is_not_there_or_whole(small: Small, tmp_path: Path) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    path, reference = out / "small.envcap", tmp_path / "reference.envcap"
    assert small.flow.run("bundle", small.lock, "-o", reference).status == 0
    killed = 0
    for point in small.kill_points(
        *("bundle", small.lock, "-o", path),
        touching=tmp_path,
        prepare=wiping(out, store),
        calls=("fsync", "rename", "chmod"),
        ENVCAP_STORE=store,
    ):
        assert point.result.returncode == (-9 if point.fired else 0), point
        killed += point.fired
        assert not path.exists() or path.read_bytes() == reference.read_bytes(), point
        again = small.using(store).run("bundle", small.lock, "-o", path)
        assert again.status == 0, (point, again)
        assert path.read_bytes() == reference.read_bytes()
    assert killed >= 3


@needs_injection
def test_a_killed_snapshot_leaves_the_old_lock_or_the_new_with_all_its_bytes(small: Small, tmp_path: Path) -> None:
    flow, out, saved = small.flow, tmp_path / "locks", tmp_path / "saved"
    prefix = tmp_path / "env"
    shutil.copytree(flow.prefix, prefix, symlinks=True)
    module = next(prefix.glob("lib/python3.*/site-packages/beta.py"))
    texts = set()
    for text in ("VALUE = 3\n", "VALUE = 4\n"):
        module.write_text(text)
        assert flow.run("snapshot", prefix, "--name", "small", "--output", saved).status == 0
        texts.add((saved / "small/envcap.lock").read_text())
        if text == "VALUE = 3\n":
            shutil.copytree(saved, tmp_path / "older")
    assert len(texts) == 2

    for older in (None, tmp_path / "older"):

        def prepare(older: Path | None = older) -> None:
            shutil.rmtree(out, ignore_errors=True)
            if older:
                shutil.copytree(older, out)

        command = ("snapshot", prefix, "--name", "small", "--output", out)
        for point in small.kill_points(*command, touching=out, prepare=prepare):
            assert point.result.returncode == -9, point
            if (out / "small").exists():
                assert_lock_is_whole(out / "small", texts)
            assert flow.run("snapshot", prefix, "--name", "small", "--output", out).status == 0, point
            assert (out / "small/envcap.lock").read_bytes() == (saved / "small/envcap.lock").read_bytes()
            assert_lock_is_whole(out / "small", texts)


def assert_lock_is_whole(folder: Path, texts: set[str]) -> None:
    lock = open_lock(folder)
    assert lock.path.read_text() in texts
    for name, size in kept_hashes(lock.lockfile).items():
        data = (lock.blobs / name).read_bytes()
        assert (sha256(data).hexdigest(), len(data)) == (name, size)


@contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of a size, or skip the test."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs can't be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def assert_told_on_one_line(status: int, said: str) -> None:
    assert status == 1, said
    lines = [line for line in said.splitlines() if line]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], said
    assert "No space left on device" in lines[0]


@pytest.mark.parametrize("kilobytes", [64, 300, 700, 1500, 2300])
def test_a_full_store_is_one_line_and_holds_nothing_broken(kilobytes: int, small: Small, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", kilobytes) as folder:
        flow = small.using(folder / "store")
        said = flow.spawn("rebuild", small.lock, "--output", tmp_path / "image.oci.tar")
        assert_told_on_one_line(said.status, said.err)
        assert not (tmp_path / "image.oci.tar").exists()
        assert not list((folder / "store/tmp").glob("*"))
        assert_store_is_sound(flow, said)
        room = f"remount,size={kilobytes + 20_000}k"
        subprocess.run(["mount", "-o", room, str(folder)], check=True)
        assert flow.spawn("rebuild", small.lock, "--output", tmp_path / "image.oci.tar").status == 0
        assert (tmp_path / "image.oci.tar").read_bytes() == small.tar


@pytest.mark.parametrize("kilobytes", [8, 40, 700])
@pytest.mark.parametrize(
    "sink", [("--output", "image.oci.tar"), ("--output", "layout"), ("--rootfs", "files")], ids=lambda sink: sink[1]
)
def test_a_full_output_is_one_line_and_leaves_nothing(
    sink: tuple[str, str], kilobytes: int, small: Small, tmp_path: Path
) -> None:
    option, name = sink
    with disk(tmp_path / "disk", kilobytes) as folder:
        said = small.flow.spawn("rebuild", small.lock, option, folder / name)
        assert_told_on_one_line(said.status, said.err)
        left = [path for path in folder.rglob("*") if path != folder / "files"]
        assert left == []
    assert_store_is_sound(small.flow, said)


def test_a_full_folder_of_locks_is_one_line_and_keeps_the_old_lock(small: Small, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 4000) as folder:
        locks = folder / "locks"
        shutil.copytree(small.flow.locks, locks)
        before = {path: path.read_bytes() for path in locks.rglob("*") if path.is_file()}
        with pytest.raises(OSError, match="No space"):
            (folder / "ballast").write_bytes(bytes(8_000_000))
        for name in ("small", "other"):
            said = small.flow.spawn("snapshot", small.flow.prefix, "--name", name, "--output", locks)
            assert_told_on_one_line(said.status, said.err)
        assert {path: path.read_bytes() for path in locks.rglob("*") if path.is_file()} == before
