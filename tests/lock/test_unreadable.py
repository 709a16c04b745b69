"""A part of an environment that nobody may look at is not taken for a deleted one."""

from dataclasses import replace
from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.errors import ScanError
from envcap.finding import Finding
from envcap.lock.unreadable import hidden_by, refuse_unreadable
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    prefix = make_env(tmp_path)
    add_dist(prefix, "demo", {"demo/__init__.py": "", "demo/deep/a.py": ""}, rows=["demo/__pycache__/a.pyc,,"])
    write(prefix, {"share/mine": "x"})
    return scan(prefix)


def without(environment: Environment, path: str) -> Environment:
    """What a scan gives where a file or folder can't be read."""
    finding = Finding(code="file-unreadable", message="The file can't be read: Permission denied", path=path)
    return replace(environment, findings=(finding,))


@pytest.mark.parametrize(
    "path", [f"{SITE}/demo/deep/a.py", f"{SITE}/demo/deep", SITE, "lib", f"{SITE}/demo-1.0.dist-info/RECORD"]
)
def test_a_package_with_a_file_that_cannot_be_read_is_refused(environment: Environment, path: str) -> None:
    with pytest.raises(ScanError) as caught:
        refuse_unreadable(without(environment, path))

    assert f": {path}: the file can't be read: Permission denied (expected every file to be readable)" in str(
        caught.value
    )
    assert "as the user whose environment it is" in caught.value.hint


def test_the_packages_are_named(environment: Environment) -> None:
    with pytest.raises(ScanError, match="Unable to lock files of demo: "):
        refuse_unreadable(without(environment, f"{SITE}/demo/deep"))


def test_an_environment_that_cannot_be_listed_is_refused(environment: Environment) -> None:
    with pytest.raises(ScanError, match="can't be read"):
        refuse_unreadable(without(environment, ""))


@pytest.mark.parametrize("path", ["share/mine", "share", f"{SITE}/demo/__pycache__", f"{SITE}/dem"])
def test_what_no_package_owns_and_bytecode_may_be_unreadable(environment: Environment, path: str) -> None:
    refuse_unreadable(without(environment, path))
    refuse_unreadable(environment)


def test_what_hides_a_file_is_itself_or_a_folder_above_it() -> None:
    assert hidden_by("a/b/c", {"a/b"}) == "a/b"
    assert hidden_by("a/b/c", {"a/b/c", "a"}) == "a/b/c"
    assert hidden_by("a/b/c", {""}) == ""
    assert hidden_by("a/b/c", {"a/b/d", "b", "a/b/c/d"}) is None
