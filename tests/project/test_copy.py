"""A project is copied whole and within bounds, and named by its content."""

import os
from pathlib import Path

import pytest

from envcap.errors import ScanError
from envcap.project import copy
from envcap.project.copy import copy_project
from tests.scan.env_builder import write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "proj"
    write(
        root,
        {
            "pyproject.toml": "[project]\n",
            "proj/__init__.py": "x = 1\n",
            "proj/build/inner.py": "y = 1\n",
            "proj/__pycache__/a.pyc": "z",
            "build/lib/old.py": "old",
            "dist/old.whl": "old",
            "proj.egg-info/PKG-INFO": "old",
            "env/pyvenv.cfg": "home = /usr\n",
            "env/lib/large.bin": "large",
            ".git/HEAD": "ref: refs/heads/main\n",
            ".git/objects/ab/cd": "object",
        },
    )
    return root


def paths(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_all_but_left_overs_and_environments_is_copied(project: Path, tmp_path: Path) -> None:
    (project / "link").symlink_to("proj/__init__.py")
    os.mkfifo(project / "pipe")
    copy_project(project, tmp_path / "copy")
    assert paths(tmp_path / "copy") == {
        "pyproject.toml", "proj/__init__.py", "proj/build/inner.py", ".git/HEAD", ".git/objects/ab/cd", "link",
    }  # fmt: skip
    assert (tmp_path / "copy/link").readlink() == Path("proj/__init__.py")


def test_the_same_content_has_the_same_name_whatever_its_place_and_times(project: Path, tmp_path: Path) -> None:
    first = copy_project(project, tmp_path / "one")
    (project / ".git/objects/ab/ce").write_text("another object")
    os.utime(project / "proj/__init__.py", (1, 1))
    project = project.rename(tmp_path / "moved")
    assert copy_project(project, tmp_path / "two") == first


@pytest.mark.parametrize("change", ["edit", "add", "mode", "rename", "head", "link"])
def test_any_change_gives_another_name(project: Path, tmp_path: Path, change: str) -> None:
    first = copy_project(project, tmp_path / "one")
    code = project / "proj/__init__.py"
    match change:
        case "edit":
            code.write_text("x = 2\n")
        case "add":
            (project / "untracked.txt").write_text("")
        case "mode":
            code.chmod(0o755)
        case "rename":
            code.rename(project / "proj/other.py")
        case "head":
            (project / ".git/HEAD").write_text("ref: refs/heads/other\n")
        case _:
            (project / "link").symlink_to("nowhere")
    assert copy_project(project, tmp_path / "two") != first


@pytest.mark.parametrize(("limit", "value"), [("MOST_FILES", 3), ("MOST_BYTES", 20)])
def test_a_project_that_is_too_large_is_refused_before_anything_is_copied(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(copy, limit, value)
    with pytest.raises(ScanError, match="'proj' is too large to be built"):
        copy_project(project, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
