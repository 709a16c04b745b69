"""Editable installs by an unknown import hook: built in a copy, remembered, and never by force."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.project.build import Builder, build_environ
from envcap.project.lost import build_lost
from envcap.scan import scan_environment
from envcap.scan.editable import expand_editables
from envcap.scan.runner import Completed
from envcap.store import Store, open_store
from tests.lock.wheels import make_wheel, wheel_files
from tests.scan.env_builder import SITE, FakeRunner, add_dist, make_env, write

CODE = {
    "proj/__init__.py": b"x = 1\n",
    "proj/run.sh": b"#!/bin/sh\n",
    "proj/_fast.so": b"\x7fELF",
    "proj/__pycache__/a.cpython-311.pyc": b"bytecode",
    "proj-1.0.data/scripts/tool": b"#!python\n",
    "proj-1.0.data/data/share/proj.txt": b"data",
    "_hook.py": b"not the live one\n",
}


@dataclass
class Pip:
    """Builds what it is told, as `pip wheel` would, and notes how it was called."""

    wheels: Mapping[str, bytes] = field(default_factory=dict)
    status: int = 0
    calls: list[list[str]] = field(default_factory=list)
    seen: list[set[str]] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Completed:
        self.calls.append(list(argv))
        project, out = Path(argv[-1]), Path(argv[list(argv).index("--wheel-dir") + 1])
        self.seen.append({path.name for path in project.iterdir()})
        (project / "written-by-the-build").write_text("x")
        out.mkdir()
        for name, data in self.wheels.items():
            (out / name).write_bytes(data)
        return Completed(returncode=self.status, stdout=b"", stderr=b"error: in /home/somebody/proj")


def built() -> Pip:
    return Pip(wheels={"proj-1.0-py3-none-any.whl": make_wheel("proj", "1.0", wheel_files("proj", "1.0", CODE))})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "proj"
    write(root, {"meson.build": "", "proj/__init__.py": "x = 1\n"})
    return root


@pytest.fixture
def lost(tmp_path: Path, project: Path) -> Environment:
    prefix = make_env(tmp_path)
    url = f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}'
    files = {"hook.pth": "import _hook\n", "_hook.py": f"start('{project}/build/cp311')\n", "proj/plugin.py": "own\n"}
    add_dist(prefix, "proj", files, metadata={"direct_url.json": url})
    return expand_editables(scan_environment(prefix, run=FakeRunner(prefix)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def quiet(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


def names(environment: Environment) -> dict[str, str]:
    (live,) = environment.distributions
    return {file.path.removeprefix(f"{SITE}/"): file.source for file in live.files if ".dist-info" not in file.path}


def test_the_wheel_s_files_take_the_place_of_the_hook(lost: Environment, store: Store) -> None:
    found = build_lost(lost, Builder(store=store, run=built()), quiet)
    assert set(names(found)) == {
        "_hook.py", "proj/__init__.py", "proj/_fast.so", "proj/plugin.py", "proj/run.sh", "share/proj.txt",
    }  # fmt: skip
    assert names(found)["proj/plugin.py"] == ""
    modes = {file.path.rpartition("/")[2]: file.mode for file in found.distributions[0].files if file.source}
    assert modes["run.sh"] == 0o755
    assert modes["__init__.py"] == 0o644
    for file in found.distributions[0].files:
        data = file.location(found.prefix).read_bytes()
        assert len(data) == file.size
    codes = {finding.code for finding in found.findings}
    assert "editable-built" in codes
    assert "editable-lost" not in codes


def test_the_project_is_built_in_a_copy_by_the_base_interpreter(lost: Environment, store: Store, project: Path) -> None:
    pip = built()
    build_lost(lost, Builder(store=store, run=pip), quiet)
    (call,) = pip.calls
    assert call[1:6] == ["-I", "-m", "pip", "--python", str(lost.interpreter.executable)]
    assert pip.seen == [{"meson.build", "proj"}]
    assert {path.name for path in project.iterdir()} == {"meson.build", "proj"}


def test_the_same_project_is_built_once_and_a_changed_one_again(lost: Environment, store: Store, project: Path) -> None:
    pip = built()
    builder = Builder(store=store, run=pip)
    first = build_lost(lost, builder, quiet)
    assert build_lost(lost, builder, quiet) == first
    assert len(pip.calls) == 1
    (project / "proj/__init__.py").write_text("x = 2\n")
    build_lost(lost, builder, quiet)
    assert len(pip.calls) == 2


def test_offline_pip_asks_nobody(lost: Environment, store: Store) -> None:
    pip = built()
    build_lost(lost, Builder(store=store, run=pip, offline=True), quiet)
    assert "--no-index" in pip.calls[0]


FAILURES = {
    "it does not build": (Pip(status=1), r"pip could not build it \(status 1\)"),
    "two wheels": (Pip(wheels={"a.whl": b"", "b.whl": b""}), r"pip built 2 wheels \(expected 1\)"),
    "no wheel at all": (Pip(), r"pip built 0 wheels"),
    "no zip": (Pip(wheels={"proj-1.0-py3-none-any.whl": b"PK"}), "The wheel that was built is refused"),
    "another project": (
        Pip(wheels={"a.whl": make_wheel("other", "1.0", wheel_files("other", "1.0", {"a.py": b""}))}),
        "The wheel that was built is refused",
    ),
    "no code": (Pip(wheels={"a.whl": make_wheel("proj", "1.0", wheel_files("proj", "1.0", {}))}), "holds no code"),
}


@pytest.mark.parametrize(("pip", "reason"), FAILURES.values(), ids=FAILURES)
def test_what_can_not_be_built_is_one_warning_that_names_no_place(
    lost: Environment, store: Store, pip: Pip, reason: str
) -> None:
    found = build_lost(lost, Builder(store=store, run=pip), quiet)
    assert found.distributions == lost.distributions
    (warning,) = [finding for finding in found.findings if finding.code == "editable-lost"]
    assert re.search(reason, warning.message)
    assert "/home" not in warning.message
    assert str(found.prefix.parent) not in warning.message


def test_a_project_that_is_gone_is_not_built(lost: Environment, store: Store, project: Path) -> None:
    shutil.rmtree(project)
    pip = built()
    found = build_lost(lost, Builder(store=store, run=pip), quiet)
    assert not pip.calls
    assert any("its project folder is gone" in finding.message for finding in found.findings)


def test_an_environment_without_lost_editables_is_left_alone(tmp_path: Path, store: Store) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "plain", {"plain.py": ""})
    environment = scan_environment(prefix, run=FakeRunner(prefix))
    pip = built()
    assert build_lost(environment, Builder(store=store, run=pip), quiet) == environment
    assert not pip.calls


def test_builds_agree_on_one_clock() -> None:
    assert build_environ({"A": "1", "SOURCE_DATE_EPOCH": "9"}) == {"A": "1", "SOURCE_DATE_EPOCH": "315532800"}
