"""Finding the environment that the user means."""

import sys
from pathlib import Path

import pytest

from envcap.errors import ScanError
from envcap.scan.prefix import find_prefix, open_prefix, parse_config
from tests.scan.env_builder import make_env, write


def test_folder_interpreter_and_active_environment_are_one(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)

    by_folder = find_prefix(prefix, {})

    assert by_folder.prefix == prefix
    assert by_folder.executable == prefix / "bin/python"
    assert find_prefix(prefix / "bin/python", {}) == by_folder
    assert find_prefix(prefix / "bin/python3", {}) == by_folder
    assert find_prefix(None, {"VIRTUAL_ENV": str(prefix), "CONDA_PREFIX": "/elsewhere"}) == by_folder


def test_prefix_behind_a_symlink_is_resolved(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (tmp_path / "link").symlink_to(prefix)

    assert find_prefix(tmp_path / "link", {}).prefix == prefix


def test_relative_path_is_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = make_env(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert find_prefix(Path("env"), {}).prefix == prefix


def test_config_is_read_as_site_reads_it() -> None:
    text = "Home = /a = b\r\nINCLUDE-system-site-packages=TRUE\nnonsense\n\n"

    assert parse_config(text) == {"home": "/a = b", "include-system-site-packages": "TRUE"}


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("True", True), ("false", False), ("yes", False)])
def test_system_site_packages_is_the_word_true(tmp_path: Path, value: str, expected: bool) -> None:  # noqa: FBT001 - parametrized
    prefix = make_env(tmp_path)
    (prefix / "pyvenv.cfg").write_text(f"include-system-site-packages = {value}\n")

    assert open_prefix(prefix).system_site_packages is expected


def test_nothing_named_and_nothing_active_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScanError, match="none is active") as caught:
        find_prefix(None, {})
    assert "name a virtual environment" in caught.value.hint


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="gone does not exist"):
        find_prefix(tmp_path / "gone", {})


def test_folder_without_config_is_no_environment(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"expected pyvenv\.cfg in it"):
        find_prefix(tmp_path, {})


def test_project_folder_is_answered_with_its_environment(tmp_path: Path) -> None:
    make_env(tmp_path).rename(tmp_path / ".venv")

    with pytest.raises(ScanError) as caught:
        find_prefix(tmp_path, {})
    assert caught.value.hint == f"name {tmp_path / '.venv'}, which is one"


@pytest.mark.parametrize("name", [".venv", "venv"])
def test_without_an_active_environment_the_folder_s_own_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_env(tmp_path).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ScanError, match="none is active") as caught:
        find_prefix(None, {})
    assert caught.value.hint == f"name {name}, which is one in this folder"


def test_other_file_is_no_environment(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": ""})

    with pytest.raises(ScanError, match="is a file"):
        find_prefix(tmp_path / "requirements.txt", {})


def test_conda_environment_is_found_by_its_records(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / "conda-meta").mkdir()

    found = find_prefix(None, {"CONDA_PREFIX": str(prefix)})

    assert (found.kind, found.prefix, found.executable) == ("conda", prefix, prefix / "bin/python")


def test_a_conda_environment_without_python_has_no_interpreter(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()

    found = find_prefix(tmp_path, {})

    assert (found.kind, found.prefix, found.executable) == ("conda", tmp_path.resolve(), None)


def test_a_whole_python_is_found_by_its_folder_and_by_its_interpreter(tmp_path: Path) -> None:
    write(tmp_path, {"bin/python3": "#!/bin/sh\n", "bin/python3.12": "#!/bin/sh\n", "lib/python3.12/os.py": ""})
    for name in ("python3", "python3.12"):
        (tmp_path / "bin" / name).chmod(0o755)

    by_folder = find_prefix(tmp_path, {})

    assert (by_folder.kind, by_folder.prefix) == ("system", tmp_path.resolve())
    assert by_folder.system_site_packages
    assert find_prefix(tmp_path / "bin/python3", {}) == by_folder
    assert find_prefix(tmp_path / "bin/python3.12", {}).executable == tmp_path / "bin/python3.12"


@pytest.mark.parametrize("named", [".", "bin/python"])
def test_an_environment_that_lost_its_pyvenv_cfg_is_not_taken_for_a_whole_python(tmp_path: Path, named: str) -> None:
    prefix = make_env(tmp_path)
    (prefix / "pyvenv.cfg").unlink()

    with pytest.raises(ScanError, match=r"is not an environment \(expected pyvenv.cfg in it\)"):
        find_prefix(prefix / named, {})


def test_a_link_to_an_interpreter_elsewhere_names_that_interpreter(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)

    assert find_prefix(tmp_path / "bin/python3", {}).kind == "system"


def test_a_whole_python_that_may_not_be_run_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"bin/python3": "#!/bin/sh\n"})

    with pytest.raises(ScanError, match="not executable"):
        find_prefix(tmp_path / "bin/python3", {})


@pytest.mark.parametrize("named", [".", "bin/python"])
def test_dangling_interpreter_says_where_it_pointed(tmp_path: Path, named: str) -> None:
    prefix = make_env(tmp_path)
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("python3.11")
    (prefix / "bin/python3.11").symlink_to("/nonexistent/bin/python3.11")

    with pytest.raises(ScanError, match=r"points to /nonexistent/bin/python3\.11, which does not exist"):
        find_prefix(prefix / named, {})


def test_interpreter_that_links_to_itself_is_an_error(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("python")

    with pytest.raises(ScanError):
        find_prefix(prefix, {})


def test_environment_without_interpreter_is_an_error(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / "bin/python").unlink()
    (prefix / "bin/python3").unlink()

    with pytest.raises(ScanError, match="has no interpreter"):
        find_prefix(prefix, {})


def test_interpreter_must_be_executable(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / "bin/python").unlink()
    write(prefix, {"bin/python": "text"})

    with pytest.raises(ScanError, match="not executable"):
        find_prefix(prefix, {})


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_that_is_gone_is_named_with_the_variable(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ScanError, match=rf"gone does not exist \({variable} names it\)"):
        find_prefix(None, {variable: str(tmp_path / "gone")})
