"""What would not survive: every problem by its own cause, asked of real servers on the loopback."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.blobs import LockFolder, open_lock
from envcap.doctor.diagnose import diagnose
from envcap.doctor.findings import Problem
from envcap.lockfile.document import write_lockfile
from envcap.lockfile.model import Artifact, CapturedFile, CondaPackage, Lockfile, Package, Source, SystemPackage
from envcap.sources.http import Session
from envcap.world import Machine, World, open_world
from tests.lockfile.small import SMALL
from tests.oci.images import silent
from tests.sources.index_server import Fault, Index, serve

DEB, CONDA = b"deb" * 9, b"conda" * 9
STAMP = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(1_752_312_615))
POOL = "pool/main/l/libx/libx1_1.0_amd64.deb"
FILE = "zlib-1.3-h1_0.conda"


def wheel(name: str) -> tuple[str, bytes]:
    return f"{name}-1.0-py3-none-any.whl", name.encode() * 50


def package(name: str, *, source: str = "pypi", url: str = "") -> Package:
    file, data = wheel(name)
    pinned = Artifact(
        platform="linux/amd64", source=source, file=file, size=len(data), sha256=sha256(data).hexdigest(), url=url
    )
    return Package(name=name, version="1.0", artifacts=(pinned,))


def lock_of(*packages: Package, **tables: object) -> Lockfile:
    interpreter = replace(SMALL.interpreter, origin="debian", home="usr", artifacts=())
    base = replace(SMALL, interpreter=interpreter, packages=packages, system=(), captured=(), sources=(), expected=())
    return replace(base, **tables)  # type: ignore[arg-type]  # fields by name


SYSTEM = SystemPackage(
    name="libx1", version="1.0", architecture="amd64", platform="linux/amd64", source="debian", file=POOL,
    size=len(DEB), sha256=sha256(DEB).hexdigest(), because=("base",),
)  # fmt: skip
DEBIAN = Source(name="debian", kind="debian", suite="bookworm", release=1_752_312_615, signature="verified")
ZLIB = CondaPackage(
    name="zlib", version="1.3", build="h1_0", channel="lab", subdir="linux-64", file=FILE, size=len(CONDA),
    sha256=sha256(CONDA).hexdigest(),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """Where the doctor works: an index, and a machine that knows it."""

    root: Path
    index: Index

    @contextmanager
    def world(self, *, offline: bool = False, **environ: str) -> Iterator[World]:
        machine = Machine(
            environ={
                "PIP_CONFIG_FILE": "/dev/null",
                "PIP_INDEX_URL": self.index.simple,
                "UV_NO_CONFIG": "1",
                "ENVCAP_DEBIAN_MIRROR": f"{self.index.url}/debian",
                "CONDA_CHANNELS": f"{self.index.url}/lab",
                "CONDA_PKGS_DIRS": str(self.root / "pkgs"),
                **environ,
            },
            home=self.root,
            cwd=self.root,
            store=self.root / "store",
            offline=offline,
        )
        with ExitStack() as stack:
            world = stack.enter_context(open_world(machine))
            session = Session(world.session.settings, mirrors=[self.index.url], offline=offline, sleep=lambda _: None)
            yield replace(world, session=stack.enter_context(session))

    def folder(self, lockfile: Lockfile) -> LockFolder:
        (self.root / "lock").mkdir()
        (self.root / "lock" / "envcap.lock").write_text(write_lockfile(lockfile))
        return open_lock(self.root / "lock")

    def problems(self, lockfile: Lockfile, *, offline: bool = False, **environ: str) -> dict[str, tuple[Problem, str]]:
        with self.world(offline=offline, **environ) as world:
            found = diagnose(self.folder(lockfile), world, silent)
        assert not [
            request for request in self.index.requests if request.method == "GET" and "simple" not in request.path
        ]
        return {row.pinned.name: (row.problem, row.detail) for row in found.findings}


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    index = Index()
    with serve(index):
        yield Ward(root=tmp_path, index=index)


def test_what_the_default_index_has_survives(ward: Ward) -> None:
    ward.index.add("kept", *wheel("kept"))
    assert ward.problems(lock_of(package("kept"))) == {}


def test_a_yanked_file_is_named(ward: Ward) -> None:
    for name in ("kept", "bad"):
        ward.index.add(name, *wheel(name))
    ward.index.yanked.add(wheel("bad")[0])
    problem, detail = ward.problems(lock_of(package("bad"), package("kept")))["bad"]
    assert problem is Problem.YANKED
    assert detail.startswith("by ")


def test_a_file_that_another_index_has_too_is_not_called_yanked(ward: Ward) -> None:
    ward.index.add("bad", *wheel("bad"))
    ward.index.yanked.add(wheel("bad")[0])
    second = Index()
    second.add("bad", *wheel("bad"))
    with serve(second):
        assert ward.problems(lock_of(package("bad")), PIP_EXTRA_INDEX_URL=second.simple) == {}


def test_a_deleted_file_is_lost_or_only_here(ward: Ward) -> None:
    ward.index.add("gone", "gone-2.0-py3-none-any.whl", b"another")
    lock = lock_of(package("gone"), package("stored"))
    with ward.world() as world:
        world.store.blobs.add_bytes(wheel("stored")[1])
    found = ward.problems(lock)
    assert found["gone"][0] is Problem.LOST
    assert found["gone"][1].endswith("does not have it")
    assert found["stored"] == (Problem.LOCAL, found["stored"][1])
    assert found["stored"][1].startswith("the store has it; ")


def test_a_file_replaced_under_its_name_is_lost(ward: Ward) -> None:
    ward.index.add("gone", wheel("gone")[0], b"other bytes")
    problem, detail = ward.problems(lock_of(package("gone")))["gone"]
    assert problem is Problem.LOST
    assert "has a file of that name with another hash" in detail


def test_a_file_of_a_private_index_has_one_source(ward: Ward) -> None:
    ward.index.add("own", *wheel("own"))
    source = Source(name="lab", kind="simple-index", url="https://localhost:1/simple")
    # Nobody asks the hint's inner address: what was not asked is no second source.
    found = ward.problems(lock_of(package("own", source="lab"), sources=(source,)))
    assert found["own"][0] is Problem.ONE_SOURCE
    assert found["own"][1].startswith("only ")


def test_an_index_that_fails_makes_it_unknown_not_lost(ward: Ward) -> None:
    ward.index.always["/simple/odd/"] = Fault(status=500)
    assert ward.problems(lock_of(package("odd")))["odd"][0] is Problem.UNKNOWN


def test_offline_everything_that_is_not_kept_is_unknown(ward: Ward) -> None:
    found = ward.problems(lock_of(package("kept"), system=(SYSTEM,), sources=(DEBIAN,)), offline=True)
    assert {name: problem for name, (problem, _) in found.items()} == {
        "kept": Problem.UNKNOWN, "libx1": Problem.UNKNOWN,
    }  # fmt: skip
    assert ward.index.requests == []


def test_a_file_beside_the_lock_is_not_asked_for(ward: Ward) -> None:
    file, data = wheel("kept")
    lock = lock_of(package("cut"), package("kept"))
    folder = ward.folder(lock)
    folder.blobs.mkdir(parents=True)
    (folder.blobs / sha256(data).hexdigest()).write_bytes(data)
    (folder.blobs / sha256(wheel("cut")[1]).hexdigest()).write_bytes(b"cut off")
    with ward.world() as world:
        found = diagnose(folder, world, silent)
    assert (found.files, found.kept) == (2, 1)
    assert [row.pinned.name for row in found.findings] == ["cut"]
    assert not ward.index.asked("/kept/")
    assert not ward.index.asked(file)


def test_a_damaged_file_beside_the_lock_is_not_counted_on(ward: Ward) -> None:
    folder = ward.folder(lock_of(package("gone"), package("kept")))
    ward.index.add("kept", *wheel("kept"))
    folder.blobs.mkdir(parents=True)
    for name in ("gone", "kept"):
        data = wheel(name)[1]
        (folder.blobs / sha256(data).hexdigest()).write_bytes(b"\0" + data[1:])
    with ward.world() as world:
        found = diagnose(folder, world, silent)
    assert found.kept == 0
    assert [(row.pinned.name, row.problem, row.detail) for row in found.findings] == [
        ("gone", Problem.LOST, "damaged beside the lock, and nobody else has it")
    ]


def test_a_kept_blob_that_is_missing_is_lost(ward: Ward) -> None:
    captured = CapturedFile(path="etc/x", sha256="1" * 64, size=3)
    assert ward.problems(lock_of(captured=(captured,)))[""] == (Problem.LOST, "not beside the lock")


def test_a_deb_that_only_a_mirror_has_wants_an_archive(ward: Ward) -> None:
    ward.index.pages[f"/debian/{POOL}"] = ("application/octet-stream", DEB)
    found = ward.problems(lock_of(system=(SYSTEM,), sources=(DEBIAN,)))
    assert found == {"libx1": (Problem.NO_ARCHIVE, "no snapshot archive is known or has it")}


def test_a_deb_of_a_snapshot_archive_survives(ward: Ward) -> None:
    ward.index.pages[f"/archive/debian/{STAMP}/{POOL}"] = ("application/octet-stream", DEB)
    snapshot = f"{ward.index.url}/archive/@ARCHIVE@/@SNAPSHOTID@"
    assert ward.problems(lock_of(system=(SYSTEM,), sources=(DEBIAN,)), ENVCAP_DEBIAN_SNAPSHOT=snapshot) == {}
    assert not ward.index.asked("/debian/pool")


def test_a_superseded_deb_without_an_archive_is_lost(ward: Ward) -> None:
    assert ward.problems(lock_of(system=(SYSTEM,), sources=(DEBIAN,)))["libx1"][0] is Problem.LOST


def test_a_conda_package_of_the_cache_alone_is_local(ward: Ward) -> None:
    (ward.root / "pkgs").mkdir()
    (ward.root / "pkgs" / FILE).write_bytes(CONDA)
    problem, detail = ward.problems(lock_of(conda=(ZLIB,)))["zlib"]
    assert problem is Problem.LOCAL
    assert detail.startswith("the package cache has it; ")


def test_a_conda_package_of_a_configured_channel_survives(ward: Ward) -> None:
    ward.index.pages[f"/lab/linux-64/{FILE}"] = ("application/octet-stream", CONDA)
    assert ward.problems(lock_of(conda=(ZLIB,))) == {}


def test_a_hostile_lock_sends_nobody_to_an_inner_address(ward: Ward) -> None:
    with serve(Index()) as inner:
        port = inner.url.rpartition(":")[2]
        source = replace(DEBIAN, snapshot=f"http://localhost:{port}/@SNAPSHOTID@")
        found = ward.problems(
            lock_of(package("own", url=f"https://localhost:{port}/x.whl"), system=(SYSTEM,), sources=(source,))
        )
    assert {problem for problem, _ in found.values()} == {Problem.UNKNOWN}
    assert inner.requests == []
