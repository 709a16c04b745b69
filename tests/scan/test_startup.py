"""Code and paths that Python takes up at every start."""

import importlib.util
import py_compile
from pathlib import Path

import pytest

from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write
from tests.scan.test_distributions import codes


def test_path_file_with_code_is_noted(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "hook", {"hook.pth": "# comment\nimport os; os.system('true')\n"})
    write(prefix, {f"{SITE}/plain.pth": "subfolder\n"})

    environment = scan(prefix)

    assert [(one.code, one.path) for one in environment.findings] == [("startup-code", f"{SITE}/hook.pth")]


@pytest.mark.parametrize("path", ["sitecustomize.py", "usercustomize/__init__.py", "sitecustomize.cpython-311.so"])
def test_customize_modules_are_noted(tmp_path: Path, path: str) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/{path}": ""})

    assert codes(scan(prefix)) == ["startup-code"]


@pytest.mark.parametrize(
    ("owner", "edited", "level", "whose"),
    [
        ("hook", False, FindingLevel.NOTE, "of hook"),
        ("hook", True, FindingLevel.WARNING, "of hook that was edited"),
        ("", False, FindingLevel.WARNING, "that no package owns"),
    ],
)
@pytest.mark.parametrize("name", ["hook.pth", "sitecustomize.py", "usercustomize/__init__.py"])
def test_startup_code_that_nobody_owns_or_somebody_edited_is_a_warning(
    tmp_path: Path,
    name: str,
    owner: str,
    edited: bool,  # noqa: FBT001 - a parameter of the test
    level: FindingLevel,
    whose: str,
) -> None:
    prefix = make_env(tmp_path)
    if owner:
        add_dist(prefix, owner, {name: "import os\n"})
    if edited or not owner:
        write(prefix, {f"{SITE}/{name}": "import sys\n"})

    (finding,) = [one for one in scan(prefix).findings if one.code == "startup-code"]

    assert finding.level is level
    assert finding.message.endswith(f" at every start, a file {whose}")
    assert name.partition("/")[0] in finding.message


def test_the_hook_of_virtualenv_is_the_environments_own(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/_virtualenv.pth": "import _virtualenv\n", f"{SITE}/_virtualenv.py": ""})

    (finding,) = scan(prefix).findings

    assert (finding.level, finding.path) == (FindingLevel.NOTE, f"{SITE}/_virtualenv.pth")


def test_path_file_of_easy_install_that_names_an_editable_project_is_not_told_twice(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/old.egg-link": "/some/where\n.", f"{SITE}/easy-install.pth": "/some/where\n/else/where\n"})

    (finding,) = [one for one in scan(prefix).findings if one.code == "path-outside"]

    assert "adds 1 folder outside" in finding.message


def test_path_file_that_leads_outside_is_a_warning_without_the_path(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/mine.pth": f"/somebody/secret-place\n{prefix}/lib/more\n"})

    (finding,) = scan(prefix).findings

    assert finding.code == "path-outside"
    assert "adds 1 folder" in finding.message
    assert "secret-place" not in finding.message


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (py_compile.PycInvalidationMode.UNCHECKED_HASH, ["bytecode-unchecked"]),
        (py_compile.PycInvalidationMode.CHECKED_HASH, []),
        (py_compile.PycInvalidationMode.TIMESTAMP, []),
    ],
)
def test_bytecode_that_python_never_checks_is_a_finding(
    tmp_path: Path, mode: py_compile.PycInvalidationMode, expected: list[str]
) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", {"pkg.py": "x = 1\n"})
    source = prefix / SITE / "pkg.py"
    py_compile.compile(str(source), cfile=importlib.util.cache_from_source(str(source)), invalidation_mode=mode)

    assert codes(scan(prefix)) == expected


def test_truncated_bytecode_is_no_crash(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/__pycache__/a.cpython-311.pyc": b"\x01"})

    assert codes(scan(prefix)) == []
