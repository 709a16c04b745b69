"""Editable installs become the files that they make importable."""

import os
from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.scan import scan_environment
from envcap.scan.editable import expand_editables
from tests.scan.env_builder import SITE, FakeRunner, add_dist, make_env

EDITABLE = '{"url": "file:///somewhere/proj", "dir_info": {"editable": true}}'


def scanned(prefix: Path) -> Environment:
    return expand_editables(scan_environment(prefix, run=FakeRunner(prefix)))


def project(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {file}\n")
    return root


def importable(environment: Environment) -> dict[str, str]:
    (live,) = environment.distributions
    return {file.path.removeprefix(f"{SITE}/"): file.source for file in live.files if file.source}


def test_all_of_a_source_folder_takes_its_place(tmp_path: Path) -> None:
    root = project(tmp_path / "proj", "pyproject.toml", "src/proj/__init__.py", "src/proj/data/x.txt", "src/one.py")
    project(root, "src/proj/__pycache__/a.cpython-311.pyc", "src/proj.egg-info/PKG-INFO", "src/.git/config")
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}/src\n"}, metadata={"direct_url.json": EDITABLE})
    environment = scanned(prefix)
    assert importable(environment) == {
        name: str(root / "src" / name) for name in ("one.py", "proj/__init__.py", "proj/data/x.txt")
    }
    assert not [file for file in environment.distributions[0].files if file.path.endswith(".pth")]
    assert "editable-captured" in {finding.code for finding in environment.findings}


def test_a_file_whose_name_no_image_can_hold_is_left_out_and_named(tmp_path: Path) -> None:
    root = project(tmp_path / "proj", "src/proj/__init__.py", "src/proj/a\\b.py", "src/proj/.wh.x", "src/proj/\x1b.txt")
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}/src\n"}, metadata={"direct_url.json": EDITABLE})
    environment = scanned(prefix)
    assert list(importable(environment)) == ["proj/__init__.py"]
    (message,) = [one.message for one in environment.findings if one.code == "editable-captured"]
    assert message.endswith("is not UTF-8 or holds control characters (and 1 more)")
    assert "\x1b" not in message


def test_of_a_project_s_root_only_packages_and_modules_are_taken(tmp_path: Path) -> None:
    root = project(tmp_path / "proj", "pyproject.toml", "proj/__init__.py", "mod.py", "setup.py", "notes/a.md")
    project(root, "tests/__init__.py", "README.md")
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}\n"}, metadata={"direct_url.json": EDITABLE})
    assert sorted(importable(scanned(prefix))) == ["mod.py", "proj/__init__.py"]


def test_the_finder_of_setuptools_is_read_and_never_run(tmp_path: Path) -> None:
    root = project(tmp_path / "proj", "lib/a/__init__.py", "lib/b.py")
    finder = f"raise SystemExit('run')\nMAPPING: dict[str, str] = {{'a': '{root}/lib/a', 'space.b': '{root}/lib/b'}}\n"
    prefix = make_env(tmp_path)
    files = {"__editable___proj_1_0_finder.py": finder, "__editable__.proj-1.0.pth": "import x; x.install()\n"}
    add_dist(prefix, "proj", files, metadata={"direct_url.json": EDITABLE})
    assert sorted(importable(scanned(prefix))) == ["a/__init__.py", "space/b.py"]


def test_a_pointer_to_a_folder_that_is_gone_names_a_place_of_this_machine_and_is_left_out(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    files = {
        "proj.pth": "/home/somebody/gone\nimport _hook\n",
        "_hook.py": "install('/home/somebody/build')\n",
        "a.py": "",
    }
    add_dist(prefix, "proj", files, metadata={"direct_url.json": EDITABLE})
    environment = scanned(prefix)
    names = {file.path.removeprefix(f"{SITE}/") for file in environment.distributions[0].files}
    assert {name for name in names if "/" not in name} == {"a.py"}
    assert "editable-lost" in {finding.code for finding in environment.findings}


@pytest.mark.parametrize("pointer", ["import os\n", "\x00\n", "relative\n"])
def test_code_that_is_not_found_is_a_finding_and_loses_nothing(tmp_path: Path, pointer: str) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": pointer}, metadata={"direct_url.json": EDITABLE})
    environment = scanned(prefix)
    assert importable(environment) == {}
    assert [file for file in environment.distributions[0].files if file.path.endswith("proj.pth")]
    assert "editable-lost" in {finding.code for finding in environment.findings}


@pytest.mark.parametrize("text", ["MAPPING = oops(", "MAPPING = call()", "MAPPING = ['a']", "x = 1"])
def test_a_finder_that_says_nothing_is_a_finding(tmp_path: Path, text: str) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"__editable___proj_finder.py": text}, metadata={"direct_url.json": EDITABLE})
    assert "editable-lost" in {finding.code for finding in scanned(prefix).findings}


def test_special_files_of_a_project_are_left_out(tmp_path: Path) -> None:
    root = project(tmp_path / "proj", "src/proj/__init__.py")
    os.mkfifo(root / "src/proj/pipe")
    (root / "src/proj/dangling").symlink_to("nowhere")
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}/src\n"}, metadata={"direct_url.json": EDITABLE})
    assert sorted(importable(scanned(prefix))) == ["proj/__init__.py"]


@pytest.mark.parametrize("module", ["lib/__init__.py", "lib", "lib.py"])
def test_the_finder_of_the_editables_library_is_read(tmp_path: Path, module: str) -> None:
    root = project(tmp_path / "proj", *(["lib.py"] if module == "lib.py" else ["lib/__init__.py", "lib/x/data.txt"]))
    finder = f"from editables.redirector import RedirectingFinder as F\nF.map_module('a', '{root}/{module}')\n"
    prefix = make_env(tmp_path)
    files = {"_proj.py": finder, "_proj.pth": "import _proj\n", "own.py": "x = 1\n"}
    add_dist(prefix, "proj", files, metadata={"direct_url.json": EDITABLE})
    environment = scanned(prefix)
    expected = ["a.py"] if module == "lib.py" else ["a/__init__.py", "a/x/data.txt"]
    assert sorted(importable(environment)) == expected
    names = {file.path.removeprefix(f"{SITE}/") for file in environment.distributions[0].files}
    assert {name for name in names if "/" not in name and "a" not in name.partition(".")[0]} == {"own.py"}


@pytest.mark.parametrize(("name", "found"), [("ns-pkg", True), ("ns", True), ("other", False), ("nsx", False)])
def test_a_namespace_package_in_a_project_s_root_is_taken_by_its_name(
    tmp_path: Path, name: str, *, found: bool
) -> None:
    root = project(tmp_path / "proj", "pyproject.toml", "ns/pkg/__init__.py", "data/a.csv")
    prefix = make_env(tmp_path)
    add_dist(prefix, name, {"proj.pth": f"{root}\n"}, metadata={"direct_url.json": EDITABLE})
    assert sorted(importable(scanned(prefix))) == (["ns/pkg/__init__.py"] if found else [])


def test_a_project_inside_the_environment_is_not_captured_a_second_time(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    root = project(prefix / "src/proj", "pyproject.toml", "proj/__init__.py", ".git/HEAD", "docs/a.md")
    project(prefix, "src/proj-notes.txt")
    add_dist(
        prefix,
        "proj",
        {"proj.pth": f"{root}\n"},
        metadata={"direct_url.json": EDITABLE.replace("file:///somewhere/proj", root.as_uri())},
    )
    environment = scanned(prefix)
    assert sorted(importable(environment)) == ["proj/__init__.py"]
    assert [file.path for file in environment.unowned] == ["src/proj-notes.txt"]


def test_an_environment_in_a_source_folder_is_not_code(tmp_path: Path) -> None:
    root = project(tmp_path / "code", "mod.py", "myenv/pyvenv.cfg", "myenv/lib/a.py", "pkg/a.py", "pkg/env/pyvenv.cfg")
    prefix = make_env(tmp_path)
    add_dist(prefix, "proj", {"proj.pth": f"{root}\n"}, metadata={"direct_url.json": EDITABLE})
    assert sorted(importable(scanned(prefix))) == ["mod.py", "pkg/a.py"]
