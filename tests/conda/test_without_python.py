"""Conda environments without Python: R, and tools of the command line."""

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from envcap.blobs import open_lock
from envcap.errors import ScanError
from envcap.lock.pypi import platform_of
from envcap.lockfile.document import write_lockfile
from envcap.lockfile.model import NO_INTERPRETER, Lockfile, Session
from tests.cli.refusals import check_refusal
from tests.conda.channel import PLACEHOLDER, SUBDIR, Channel, install, make_channel, small_specs
from tests.conda.test_faithful import image_id, lock_of, snapshot_and_rebuild, write_anew
from tests.conda.test_scan import edit, scan
from tests.conda.tools import tool_specs
from tests.conda.world import make_world
from tests.flow import Flow

NAMES = ("r-base", "ripgrep", "sortbam", "fonts")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel of packages that need no Python, and of one that does."""
    specs = (*tool_specs(tmp_path_factory.mktemp("compiled")), *small_specs())
    return make_channel(tmp_path_factory.mktemp("tools") / "lab", specs)


@pytest.fixture(scope="module")
def taken(tools: Channel, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A world with a lock and the root filesystem of its image; tests leave it as it is."""
    flow = make_world(tmp_path_factory.mktemp("tools") / "world", tools, NAMES)
    snapshot_and_rebuild(flow)
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs", "--record").status == 0
    return flow


@pytest.fixture
def prefix(taken: Flow, tmp_path: Path) -> Path:
    """A copy of the environment, free to be changed."""
    shutil.copytree(taken.prefix, tmp_path / "env", symlinks=True)
    return tmp_path / "env"


def refusal_of(flow: Flow, prefix: Path, message: str) -> None:
    check_refusal(flow.run("snapshot", prefix, "--name", "x", "--output", flow.root / "refused"), 1, message)
    assert not (flow.root / "refused/x").exists()


def test_a_lock_without_python_has_no_interpreter(taken: Flow) -> None:
    table = tomllib.loads((taken.lock / "envcap.lock").read_text())

    assert "interpreter" not in table
    assert table["environment"] == {"kind": "conda"}
    assert [(row["name"], row["build"]) for row in table["conda"]] == [
        ("fonts", "0"), ("r-base", "h1_3"), ("ripgrep", "h2_0"), ("sortbam", "h3_0")
    ]  # fmt: skip
    lock = lock_of(taken)
    assert (lock.interpreter, lock.has_python, lock.packages, lock.captured) == (NO_INTERPRETER, False, (), ())
    assert not [row.name for row in lock.conda if row.patches]
    assert {row.platform for row in lock.system} == {platform_of(scan(taken.prefix))}


def test_the_image_starts_a_shell_with_the_tools_on_its_path(taken: Flow, tmp_path: Path) -> None:
    assert taken.run("rebuild", taken.lock, "--output", tmp_path / "image").status == 0
    blobs = tmp_path / "image/blobs/sha256"
    config = json.loads((blobs / image_id(taken).removeprefix("sha256:")).read_text())["config"]

    assert config["Cmd"] == ["/bin/bash"]
    assert "bash" in [row.name for row in lock_of(taken).system]
    assert config["Env"][:2] == [
        "PATH=/opt/conda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "CONDA_PREFIX=/opt/conda",
    ]


def test_the_images_files_name_its_own_prefix(taken: Flow) -> None:
    root = taken.root / "rootfs/opt/conda"

    assert "R_HOME_DIR=/opt/conda/lib/R\n" in (root / "bin/R").read_text()
    assert (root / "bin/rg").read_bytes().count(b"/opt/conda/share\0\0") == 1
    assert [path.name for path in (root / "lib").iterdir()] == ["R"]
    for path in root.rglob("*"):
        if path.is_file() and path.suffix != ".json":
            data = path.read_bytes()
            assert str(taken.prefix).encode() not in data, path
            assert PLACEHOLDER.encode() not in data, path


@pytest.mark.parametrize("name", ["with a space", "l" * 120, "e"])
def test_where_the_prefix_lies_does_not_matter(tools: Channel, taken: Flow, tmp_path: Path, name: str) -> None:
    flow = make_world(tmp_path / "world", tools, NAMES, prefix=name)

    assert snapshot_and_rebuild(flow) == image_id(taken)


def test_packages_that_no_channel_has_give_the_same_image(tools: Channel, taken: Flow, tmp_path: Path) -> None:
    lab = replace(tools, root=tmp_path / "gone" / "lab")
    shutil.copytree(tools.root, lab.root)
    flow = make_world(tmp_path / "world", lab, NAMES)
    shutil.rmtree(lab.root)
    shutil.rmtree(flow.root / "cache")

    assert snapshot_and_rebuild(flow) == image_id(taken)
    assert {row.captured for row in lock_of(flow).conda} == {"files"}


@pytest.mark.parametrize("names", [NAMES, ("ripgrep",), ("sortbam",)], ids=["texts", "a binary", "nothing to find"])
@pytest.mark.parametrize("before", ["env", "with a space"])
def test_a_moved_prefix_gives_the_same_image(
    tools: Channel, tmp_path: Path, names: tuple[str, ...], before: str
) -> None:
    flow = make_world(tmp_path / "world", tools, names, prefix=before)
    expected = snapshot_and_rebuild(flow)
    moved = replace(flow, environment="somewhere/else")
    moved.prefix.parent.mkdir()
    shutil.move(flow.prefix, moved.prefix)

    assert snapshot_and_rebuild(moved) == expected
    assert not [row.name for row in lock_of(moved).conda if row.patches]


def test_the_image_can_be_captured_again(taken: Flow, tmp_path: Path) -> None:
    rootfs = taken.root / "rootfs/opt/conda"

    again = taken.run("snapshot", rootfs, "--name", "small", "--output", tmp_path / "locks")

    assert again.status == 0, again.err
    before, after = lock_of(taken), open_lock(tmp_path / "locks/small").lockfile
    assert (after.conda, after.expected[0].image_id) == (before.conda, before.expected[0].image_id)


def test_an_edited_script_is_in_the_image(tools: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", tools, NAMES)
    write_anew(flow.prefix / "lib/R/etc/ldpaths", f"JAVA_HOME={flow.prefix}/jvm\n")

    snapshot_and_rebuild(flow)

    found = {patch.path: patch.change for row in lock_of(flow).conda for patch in row.patches}
    assert found == {"lib/R/etc/ldpaths": "edited"}
    assert flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs").status == 0
    assert (flow.root / "rootfs/opt/conda/lib/R/etc/ldpaths").read_text() == "JAVA_HOME=/opt/conda/jvm\n"


def test_an_r_package_of_nobody_is_captured_and_named(tools: Channel, tmp_path: Path) -> None:
    flow = make_world(tmp_path / "world", tools, NAMES)
    for name, text in (("data.table", "Package: data.table\nVersion: 1.14-8\n"), ("mine", "Title: none\n")):
        package = flow.prefix / "lib/R/library" / name
        (package / "libs").mkdir(parents=True)
        (package / "DESCRIPTION").write_text(text)
        shutil.copy(flow.prefix / "bin/sortbam", package / "libs/code.so")

    answer = flow.snapshot()
    rebuilt = flow.run("rebuild", flow.lock, "--rootfs", flow.root / "rootfs", "--json")

    assert "warning: R packages not of conda: data.table 1.14-8, mine (nothing says where they came from" in (
        answer.err
    )
    assert re.search(r"^unowned +4 files, .*: 4 of support", answer.out, re.MULTILINE), answer.out
    assert json.loads(rebuilt.out)["image_id"] == image_id(flow)
    assert (flow.root / "rootfs/opt/conda/lib/R/library/data.table/libs/code.so").stat().st_mode & 0o111


def test_an_untouched_environment_is_as_locked(taken: Flow) -> None:
    answer = taken.run("check", taken.lock, taken.prefix)

    assert (answer.status, answer.out) == (0, "Nothing has drifted: 4 packages and 12 files are as the lock says\n")


def test_a_change_is_told(taken: Flow, prefix: Path) -> None:
    write_anew(prefix / "bin/R", "#!/bin/sh\n")
    (prefix / "share/man/man1/rg.1").unlink()

    answer = taken.run("check", taken.lock, prefix, "--json")

    assert answer.status == 3
    assert [(row["what"], row["name"], row["path"]) for row in json.loads(answer.out)["changes"]] == [
        ("edited", "r-base (conda)", "bin/R"),
        ("deleted", "ripgrep (conda)", "share/man/man1/rg.1"),
    ]


def test_a_python_that_came_later_is_told(taken: Flow, locked: Flow) -> None:
    answer = taken.run("check", taken.lock, locked.prefix)

    assert answer.status == 3
    assert re.search(r"^interpreter: version '3\.\d+\.\d+', the lock says 'nothing'$", answer.out, re.MULTILINE)


def test_a_python_that_is_gone_is_told(taken: Flow, locked: Flow) -> None:
    answer = locked.run("check", locked.lock, taken.prefix)

    assert answer.status == 3
    assert re.search(r"^interpreter: version 'unknown', the lock says '3\.", answer.out, re.MULTILINE), answer.out


def test_show_and_verify_read_such_a_lock(taken: Flow, tmp_path: Path) -> None:
    shown = taken.run("show", taken.lock)
    assert taken.run("rebuild", taken.lock, "--output", tmp_path / "image.tar").status == 0

    assert re.search(r"^interpreter +none: no Python$", shown.out, re.MULTILINE), shown.out
    assert not re.search(r"^packages? ", shown.out, re.MULTILINE), shown.out
    assert taken.run("verify", taken.lock, tmp_path / "image.tar").status == 0


def test_formats_of_conda_hold_it(taken: Flow) -> None:
    explicit, environment = (taken.run("export", taken.lock, "--format", form) for form in ("explicit", "environment"))

    packages = [line.rpartition("/")[2].partition("#")[0] for line in explicit.out.splitlines() if "#sha256:" in line]
    assert packages == ["fonts-1-0.conda", "r-base-4.3.1-h1_3.conda", "ripgrep-14.1.0-h2_0.conda",
                        "sortbam-1.2-h3_0.tar.bz2"]  # fmt: skip
    assert yaml.safe_load(environment.out)["dependencies"] == [
        "fonts=1=0", "r-base=4.3.1=h1_3", "ripgrep=14.1.0=h2_0", "sortbam=1.2=h3_0"
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["pylock", "requirements"])
def test_formats_of_pip_are_refused(taken: Flow, form: str, tmp_path: Path) -> None:
    message = rf"The lock 'small' is of an environment without Python \(expected one for the format '{form}'\)"

    check_refusal(taken.run("export", taken.lock, "--format", form), 1, message)
    answer = taken.run("snapshot", taken.prefix, "--name", "small", "--output", tmp_path / "locks", "--export", form)
    check_refusal(answer, 1, message)
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("form", ["explicit", "conda-lock"])
def test_an_export_comes_back_as_the_same_packages(taken: Flow, form: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(taken.run("export", taken.lock, "--format", form).out)
    flow = replace(taken, settings={**taken.settings, "ENVCAP_STORE": str(tmp_path / "store")})

    answer = flow.run("import", file, "--name", "back", "--output", tmp_path / "locks")

    assert answer.status == 0, answer.err
    assert re.search(r"^interpreter +none: no Python$", answer.out, re.MULTILINE), answer.out
    before, after = lock_of(taken), open_lock(tmp_path / "locks/back").lockfile
    assert plain(after) == plain(before)
    assert json.loads(flow.run("rebuild", tmp_path / "locks/back", "--json").out)["level"] == "config"


def plain(lock: Lockfile) -> Lockfile:
    """Leave out what no format says: who asked for a package, in which shell, and what it is called."""
    asked = tuple(replace(row, requested=()) for row in lock.conda)
    return replace(lock, name="x", conda=asked, session=Session(), expected=())


def test_a_package_for_python_is_refused_without_one(taken: Flow, tools: Channel, tmp_path: Path) -> None:
    """Where its files go is decided by the version of Python."""
    path = tools.path("tool").as_uri()
    (tmp_path / "list.txt").write_text(f"@EXPLICIT\n{tools.path('ripgrep').as_uri()}\n{path}\n")

    answer = taken.run("import", tmp_path / "list.txt", "--name", "x", "--output", tmp_path / "locks")

    message = r"No Python is among the packages \(expected conda's `python`, since tool is for it\)"
    check_refusal(answer, 1, message)
    assert not (tmp_path / "locks").exists()


def test_an_archive_for_python_is_refused_whatever_the_lock_calls_it(
    taken: Flow, tools: Channel, tmp_path: Path
) -> None:
    data = tools.path("tool").read_bytes()
    lock = lock_of(taken)
    lie = replace(
        lock.conda[0], name="tool", version="1.2", build="0", file="tool-1.2-0.conda", noarch="", depends=(), md5="",
        size=len(data), sha256=hashlib.sha256(data).hexdigest(), requested=(),
    )  # fmt: skip
    (tmp_path / "envcap.lock").write_text(write_lockfile(replace(lock, conda=(*lock.conda[1:], lie), expected=())))

    answer = taken.run("rebuild", tmp_path, "--output", tmp_path / "image.tar")

    check_refusal(answer, 1, r"tool-1\.2-0\.conda: it is for Python, and the environment has none")
    assert not (tmp_path / "image.tar").exists()


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda row: row.update(noarch="python"),
            r"conda's ripgrep 14\.1\.0 is for Python, and the environment has none",
        ),
        (lambda row: row.update(subdir="osx-arm64"), rf"packages are for {SUBDIR} and osx-arm64 \(expected linux-"),
    ],
    ids=["noarch Python", "two platforms"],
)
def test_a_record_that_fits_no_image_is_one_line(taken: Flow, prefix: Path, change: Edit, message: str) -> None:
    edit(prefix, "ripgrep", change)

    refusal_of(taken, prefix, message)


def test_packages_for_no_platform_are_one_line(taken: Flow, tools: Channel, tmp_path: Path) -> None:
    install(tools, tmp_path / "env", ["fonts"], cache=tmp_path / "cache")

    refusal_of(taken, tmp_path / "env", r"The environment's conda packages are for no platform at all")


def test_an_empty_environment_is_one_line(taken: Flow, tmp_path: Path) -> None:
    (tmp_path / "env/conda-meta").mkdir(parents=True)
    (tmp_path / "env/conda-meta/history").touch()

    refusal_of(taken, tmp_path / "env", r"The environment holds neither Python nor packages")


def test_a_python_without_its_interpreter_is_a_damaged_environment(taken: Flow, prefix: Path) -> None:
    (prefix / "conda-meta/python-3.11.7-h0_cpython.json").write_text("{}")

    with pytest.raises(ScanError, match=r"has no interpreter \(expected bin/python\)"):
        scan(prefix)
