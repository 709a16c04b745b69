"""`check` finds exactly what has changed in a live environment, by content."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.blobs import open_lock
from envcap.check import CheckRequest, Drift, check_environment
from envcap.drift import Change, Kind
from envcap.live.scan import LivePlace
from envcap.scan.stat_index import SLACK_NS, load_index, save_index
from tests.flow import OWN_PYTHON, Flow, Wheel, install_wheel, make_flow
from tests.sources.index_server import Index, serve
from tests.worlds import Quiet, world_of


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return make_flow(tmp_path / "world")


def check(flow: Flow, *, full: bool = False, offline: bool = False, max_unowned: int = 50_000_000) -> Drift:
    """Check as some time later, when the stat index may be believed."""
    request = CheckRequest(place=LivePlace(prefix=flow.prefix), full=full, max_unowned=max_unowned)
    now_ns = time.time_ns() + 10 * SLACK_NS
    with world_of(flow, offline=offline) as world:
        return check_environment(open_lock(flow.lock), request, world, Quiet(), now_ns=now_ns)


def told(drift: Drift) -> list[tuple[str, str, str]]:
    return [(change.what, change.name, change.path.rpartition("/")[2]) for change in drift.changes]


def messy(flow: Flow) -> Flow:
    """Give the environment one of each: patches of all kinds, a captured package, an egg-info, files of nobody."""
    site = flow.site_packages
    (site / "beta.py").write_bytes(b"VALUE = 3\n")
    (site / "alpha" / "data" / "table.csv").unlink()
    (site / "alpha-1.0.dist-info" / "note.txt").write_text("added")
    install_wheel(flow, Wheel(name="private", version="1", files={"private.py": b"1\n"}))
    (site / "old-1.egg-info").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1\n")
    (flow.prefix / "share").mkdir()
    (flow.prefix / "share" / "mine.txt").write_text("mine")
    (flow.prefix / "share" / "link").symlink_to("mine.txt")
    (flow.prefix / "bin" / "own").write_text(f"#!{flow.prefix}/bin/python\nprint(1)\n")
    (flow.prefix / "bin" / "own").chmod(0o755)
    return flow


@pytest.mark.parametrize("store", ["warm", "empty"])
@pytest.mark.parametrize("arrange", [lambda flow: flow, messy], ids=["clean", "messy"])
def test_what_was_just_locked_has_not_drifted(flow: Flow, arrange: Callable[[Flow], Flow], store: str) -> None:
    """With an empty store what is expected comes from the artifacts, so this also shows that both sides agree."""
    arrange(flow)
    assert flow.snapshot().status == 0
    if store == "empty":
        shutil.rmtree(flow.store)
    drift = check(flow)
    assert (drift.changes, drift.unknown, drift.left_out) == ((), (), ())
    assert drift.compared > 10


def test_a_check_after_a_snapshot_needs_neither_index_nor_artifact(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.wheels)
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    drift = check(flow, offline=True)
    assert told(drift) == [("edited", "beta", "beta.py")]
    assert drift.unknown == ()


def test_a_rebuild_leaves_what_a_check_needs_offline(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    assert flow.run("rebuild", flow.lock).status == 0
    shutil.rmtree(flow.wheels)
    drift = check(flow, offline=True)
    assert (drift.changes, drift.unknown) == ((), ())


@pytest.fixture
def served(flow: Flow) -> Iterator[tuple[Flow, Index]]:
    """The world with its wheels on an index, and a lock taken from it."""
    index = Index()
    for path in sorted(flow.wheels.glob("*.whl")):
        index.add(path.name.partition("-")[0], path.name, path.read_bytes())
    with serve(index):
        settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.simple, "NO_PROXY": "*"}
        flow = replace(flow, settings=settings)
        assert flow.snapshot().status == 0
        assert not (flow.lock / "blobs").exists()
        index.requests.clear()
        yield flow, index


def test_with_an_empty_store_a_part_of_each_wheel_is_read_on_the_index(served: tuple[Flow, Index]) -> None:
    flow, index = served
    shutil.rmtree(flow.store)
    (flow.site_packages / "gamma" / "blob.bin").write_bytes(b"short")
    assert told(check(flow)) == [("edited", "gamma", "blob.bin")]
    wheels = index.asked("/files/")
    assert len(wheels) >= 3
    assert all("range" in request.headers for request in wheels)
    index.requests.clear()
    assert told(check(flow)) == [("edited", "gamma", "blob.bin")]
    assert index.requests == []


def test_a_package_whose_artifact_is_out_of_reach_is_named(served: tuple[Flow, Index]) -> None:
    flow, index = served
    shutil.rmtree(flow.store)
    del index.files["beta"]
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    (flow.site_packages / "alpha" / "data" / "table.csv").unlink()
    drift = check(flow)
    assert told(drift) == [("deleted", "alpha", "table.csv")]
    assert [(row.name, row.version) for row in drift.unknown] == [("beta", "2.1")]
    assert "beta-2.1-py3-none-any.whl is not in the store" in drift.unknown[0].reason


def test_offline_with_an_empty_store_every_package_is_named_and_nobody_asked(served: tuple[Flow, Index]) -> None:
    flow, index = served
    shutil.rmtree(flow.store)
    drift = check(flow, offline=True)
    assert [row.name for row in drift.unknown] == ["alpha", "beta", "gamma"]
    assert all("not asked (offline)" in row.reason for row in drift.unknown)
    assert index.requests == []


def test_an_index_that_has_another_wheel_under_the_name_is_not_believed(served: tuple[Flow, Index]) -> None:
    flow, index = served
    shutil.rmtree(flow.store)
    other = Wheel(name="beta", version="2.1", files={"beta.py": b"VALUE = 9\n"})
    index.files["beta"][other.file] = other.build()
    drift = check(flow)
    assert drift.changes == ()
    assert [row.name for row in drift.unknown] == ["beta"]
    assert "another hash" in drift.unknown[0].reason


def test_where_no_hash_is_stated_a_wheel_is_read_whole_and_must_be_the_pinned_one(served: tuple[Flow, Index]) -> None:
    flow, index = served
    shutil.rmtree(flow.store)
    index.hashes = False
    assert check(flow).changes == ()
    assert {path.name for path in (flow.store / "blobs").rglob("*")} >= {
        artifact.sha256 for package in open_lock(flow.lock).lockfile.packages for artifact in package.artifacts
    }
    shutil.rmtree(flow.store)
    good = index.files["beta"]["beta-2.1-py3-none-any.whl"]
    index.files["beta"]["beta-2.1-py3-none-any.whl"] = good.replace(b"beta.py", b"beta.pz")
    drift = check(flow)
    assert (drift.changes, [row.name for row in drift.unknown]) == ((), ["beta"])
    assert "another hash" in drift.unknown[0].reason


def test_a_blob_that_is_not_beside_the_lock_is_named(flow: Flow) -> None:
    messy(flow)
    assert flow.snapshot().status == 0
    shutil.rmtree(flow.store)
    shutil.rmtree(flow.lock / "blobs")
    names = [row.name for row in check(flow).unknown]
    assert "private" in names


def test_a_patch_of_the_lock_is_no_drift_but_one_that_changed_is(flow: Flow) -> None:
    messy(flow)
    assert flow.snapshot().status == 0
    site = flow.site_packages
    assert check(flow).changes == ()
    (site / "beta.py").write_bytes(b"VALUE = 2\n")  # as in the wheel again
    (site / "alpha" / "data" / "table.csv").write_bytes(b"a,b\n1,2\n")
    (site / "alpha-1.0.dist-info" / "note.txt").unlink()
    drift = check(flow)
    assert told(drift) == [
        ("deleted", "alpha", "note.txt"), ("added", "alpha", "table.csv"), ("edited", "beta", "beta.py"),
    ]  # fmt: skip
    assert all(change.patched for change in drift.changes)


def test_a_path_that_two_packages_own_is_compared_with_the_one_whose_bytes_are_there(flow: Flow) -> None:
    for name in ("first", "second"):
        wheel = Wheel(name=name, version="1", files={"common.py": name.encode(), f"{name}.py": b""})
        (flow.wheels / wheel.file).write_bytes(wheel.build())
        install_wheel(flow, wheel)
    assert flow.snapshot().status == 0
    patched = {row.name: [patch.change for patch in row.patches] for row in open_lock(flow.lock).lockfile.packages}
    assert (patched["first"], patched["second"]) == (["deleted"], [])
    assert check(flow).changes == ()
    shutil.rmtree(flow.store)
    assert check(flow).changes == ()
    (flow.site_packages / "common.py").write_bytes(b"third")
    assert told(check(flow)) == [("edited", "second", "common.py")]


def test_the_first_line_of_a_script_is_no_drift_but_its_text_is(flow: Flow) -> None:
    """What installers write in words of their own is no drift."""
    assert flow.snapshot().status == 0
    script = flow.prefix / "bin" / "alpha-tool"
    script.write_bytes(script.read_bytes().replace(b"bin/python\n", b"bin/python3\n"))
    assert check(flow).changes == ()
    script.write_bytes(script.read_bytes() + b"# edited\n")
    assert told(check(flow)) == [("edited", "alpha", "alpha-tool")]


@pytest.mark.slow
def test_a_captured_interpreter_is_compared_by_content(tmp_path: Path) -> None:
    flow = make_flow(tmp_path / "world", python=OWN_PYTHON)
    assert flow.snapshot().status == 0
    folder = open_lock(flow.lock)
    if folder.lockfile.interpreter.origin != "captured":
        pytest.skip("this machine's own interpreter needs no capture")
    assert check(flow).changes == ()
    locked = folder.lockfile.interpreter
    other = replace(locked, artifacts=(replace(locked.artifacts[0], sha256="0" * 64),))
    changed = replace(folder, lockfile=replace(folder.lockfile, interpreter=other))
    request = CheckRequest(place=LivePlace(prefix=flow.prefix))
    with world_of(flow) as world:
        drift = check_environment(changed, request, world, Quiet(), now_ns=time.time_ns())
    assert [(row.kind, row.what) for row in drift.changes] == [(Kind.INTERPRETER, "content")]


def test_packages_that_came_and_went_are_told(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    site = flow.site_packages
    for path in (site / "beta.py", *(site / "beta-2.1.dist-info").iterdir()):
        path.unlink()
    (site / "beta-2.1.dist-info").rmdir()
    install_wheel(flow, Wheel(name="delta", version="4", files={"delta.py": b""}))
    assert told(check(flow)) == [("removed", "beta", ""), ("installed", "delta", "")]


def test_another_version_is_told_without_its_files(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    site = flow.site_packages
    shutil.rmtree(site / "beta-2.1.dist-info")
    install_wheel(flow, Wheel(name="beta", version="2.2", files={"beta.py": b"VALUE = 22\n"}))
    (change,) = check(flow).changes
    assert change == Change(kind=Kind.PACKAGE, what="version", name="beta", expected="2.1", found="2.2")


def test_system_site_packages_and_the_interpreter_are_compared(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    config = flow.prefix / "pyvenv.cfg"
    config.write_text(
        config.read_text().replace("include-system-site-packages = false", "include-system-site-packages = true")
    )
    text = (flow.lock / "envcap.lock").read_text()
    folder = open_lock(flow.lock)
    assert folder.lockfile.interpreter.build in text
    drift = check(flow)
    # What the base has is seen then too, and is new.
    first, *others = drift.changes
    assert (first.kind, first.what, first.expected, first.found) == (
        Kind.ENVIRONMENT,
        "system-site-packages",
        "false",
        "true",
    )
    assert {row.what for row in others} <= {"installed", "added"}


def test_files_of_nobody_beyond_the_limit_are_named_but_no_drift(flow: Flow) -> None:
    (flow.prefix / "large.bin").write_bytes(bytes(2_000_000))
    (flow.prefix / "small.txt").write_text("x")
    assert flow.snapshot("--max-unowned", "1").status == 0
    drift = check(flow, max_unowned=1_000_000)
    assert (drift.changes, drift.left_out) == ((), ("large.bin",))
    (flow.prefix / "new.txt").write_text("x")
    (flow.prefix / "small.txt").write_text("y")
    drift = check(flow, max_unowned=1_000_000)
    assert told(drift) == [("added", "", "new.txt"), ("edited", "", "small.txt")]


def test_a_locked_file_of_nobody_is_compared_whatever_the_limit(flow: Flow) -> None:
    (flow.prefix / "large.bin").write_bytes(bytes(2_000_000))
    assert flow.snapshot().status == 0
    assert check(flow, max_unowned=0).changes == ()
    (flow.prefix / "large.bin").write_bytes(bytes(1_999_999) + b"x")
    assert told(check(flow, max_unowned=0)) == [("edited", "", "large.bin")]


def test_bytecode_is_no_drift(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    cache = flow.site_packages / "alpha" / "__pycache__"
    cache.mkdir()
    (cache / "__init__.cpython-311.pyc").write_bytes(b"any")
    assert check(flow).changes == ()


def test_the_second_check_reads_only_what_changed(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    first = check(flow)
    assert first.hashed >= first.compared
    assert check(flow).hashed == 0
    place = flow.site_packages / "beta.py"
    state = place.stat()
    place.write_bytes(b"VALUE = 8\n")
    os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert place.stat().st_size == state.st_size
    drift = check(flow)
    assert (drift.hashed, told(drift)) == (1, [("edited", "beta", "beta.py")])
    assert check(flow, full=True).hashed == first.hashed


def test_a_changed_byte_behind_an_unchanged_stat_is_found_when_all_is_read(flow: Flow) -> None:
    """As a disk that lies, or a clock that was set back, would leave it."""
    assert flow.snapshot().status == 0
    check(flow)
    place = flow.site_packages / "beta.py"
    path = place.relative_to(flow.prefix).as_posix()
    place.write_bytes(b"VALUE = 8\n")
    state = place.stat()
    with world_of(flow) as world:
        rows = load_index(world.store.actions, str(flow.prefix.resolve()))
        rows[path] = [state.st_mtime_ns, state.st_ctime_ns, state.st_ino, *rows[path][3:]]
        save_index(world.store.actions, str(flow.prefix.resolve()), rows)
    assert check(flow).changes == ()
    assert told(check(flow, full=True)) == [("edited", "beta", "beta.py")]
    assert told(check(flow)) == [("edited", "beta", "beta.py")]  # the index was corrected too


def test_an_editable_package_drifts_with_its_source(flow: Flow) -> None:
    project = flow.root / "project"
    (project / "mine").mkdir(parents=True)
    (project / "mine" / "__init__.py").write_text("VALUE = 1\n")
    (project / "pyproject.toml").write_text("[project]\nname = 'mine'\nversion = '1'\n")
    install_wheel(flow, Wheel(name="mine", version="1", files={"mine.pth": f"{project}\n".encode()}))
    info = flow.site_packages / "mine-1.dist-info"
    (info / "direct_url.json").write_text(f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}')
    assert flow.snapshot().status == 0
    assert open_lock(flow.lock).lockfile.packages[-1].origin == "editable"
    assert check(flow).changes == ()
    (project / "mine" / "__init__.py").write_text("VALUE = 2\n")
    (project / "mine" / "more.py").write_text("")
    assert told(check(flow)) == [("edited", "mine", "__init__.py"), ("added", "mine", "more.py")]


def test_the_environment_is_left_as_it_is(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    before = {path: path.lstat() for path in (flow.prefix, *flow.prefix.rglob("*"), flow.lock, *flow.lock.rglob("*"))}
    check(flow, full=True)
    after = {path: path.lstat() for path in (flow.prefix, *flow.prefix.rglob("*"), flow.lock, *flow.lock.rglob("*"))}
    assert [(path, state.st_mtime_ns, state.st_mode) for path, state in before.items()] == [
        (path, state.st_mtime_ns, state.st_mode) for path, state in after.items()
    ]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    flow = messy(make_flow(tmp_path_factory.mktemp("edits") / "world"))
    assert flow.snapshot().status == 0
    return flow


EDITS = st.dictionaries(
    st.sampled_from(
        ["SITE/alpha/__init__.py", "SITE/beta.py", "SITE/gamma/blob.bin", "SITE/private.py", "bin/alpha-tool",
         "bin/own", "share/mine.txt", "SITE/alpha-1.0.dist-info/note.txt", "SITE/new.py", "share/new.txt"]
    ),
    st.sampled_from(["edit", "delete", "mode"]),
    max_size=6,
)  # fmt: skip


@settings(max_examples=25)
@given(edits=EDITS)
def test_exactly_the_edits_that_were_made_are_found(locked: Flow, edits: dict[str, str]) -> None:
    site = locked.site_packages.relative_to(locked.prefix).as_posix()
    wanted: dict[str, str] = {}
    saved: dict[Path, tuple[bytes, int] | None] = {}
    for name, edit in edits.items():
        path = name.replace("SITE", site)
        place = locked.prefix / path
        saved[place] = (place.read_bytes(), place.stat().st_mode & 0o777) if place.exists() else None
        if edit == "edit":
            wanted[path] = "edited" if place.exists() else "added"
            place.write_bytes((place.read_bytes() if place.exists() else b"") + b"# edited\n")
        elif edit == "delete" and place.exists():
            wanted[path] = "deleted"
            place.unlink()
        elif edit == "mode" and place.exists():
            place.chmod(0o755 if not place.stat().st_mode & 0o111 else 0o644)
            if not path.startswith("bin/"):  # what lies there is executable in an image
                wanted[path] = "mode"
    try:
        assert {change.path: change.what for change in check(locked).changes} == wanted
    finally:
        for place, before in saved.items():
            if before is None:
                place.unlink(missing_ok=True)
            else:
                place.write_bytes(before[0])
                place.chmod(before[1])
    assert check(locked).changes == ()
