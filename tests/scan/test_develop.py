"""`setup.py develop`: code, metadata and scripts of the project become the distribution's own."""

from pathlib import Path

import pytest

from envcap.environment import Distribution, EntryPoint, Environment
from envcap.scan import scan_environment
from envcap.scan.editable import expand_editables
from tests.scan.env_builder import SITE, FakeRunner, make_env, write

ENTRY = "#!/env/bin/python\n# EASY-INSTALL-ENTRY-SCRIPT: 'proj','console_scripts','run'\n__requires__ = 'proj'\n"
DEV = "#!/env/bin/python\n# EASY-INSTALL-DEV-SCRIPT: 'proj==1.2','tool'\n__requires__ = 'proj==1.2'\n__file__ = '{}'\n"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with a project in development mode, as setuptools 59 leaves it."""
    root = tmp_path / "proj"
    write(
        root,
        {
            "setup.py": "",
            "src/proj/__init__.py": "x = 1\n",
            "src/proj/data.txt": "data",
            "tool": "#!/usr/bin/env python\nprint('tool')\n",
            "src/proj.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: proj\nVersion: 1.2\n",
            "src/proj.egg-info/entry_points.txt": "[console_scripts]\nrun = proj:main\n",
            "src/proj.egg-info/top_level.txt": "proj\n",
            "src/other.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: other\nVersion: 9\n",
        },
    )
    prefix = make_env(tmp_path)
    write(
        prefix,
        {
            f"{SITE}/proj.egg-link": f"{root}/src\n../",
            f"{SITE}/easy-install.pth": f"import sys; sys.__plen = len(sys.path)\n{root}/src\nimport sys\n",
            "bin/run": ENTRY,
            "bin/tool": DEV.format(root / "tool"),
        },
    )
    return prefix


def scanned(prefix: Path) -> Environment:
    return expand_editables(scan_environment(prefix, run=FakeRunner(prefix)))


def proj(environment: Environment) -> Distribution:
    (found,) = (one for one in environment.distributions if one.name == "proj")
    return found


def test_code_metadata_and_scripts_are_files_of_the_distribution(prefix: Path, tmp_path: Path) -> None:
    environment = scanned(prefix)
    found = proj(environment)
    assert (found.version, found.form, found.directory) == ("1.2", "egg-link", f"{SITE}/proj.egg-info")
    assert found.entry_points == (EntryPoint(name="run", value="proj:main"),)
    root = tmp_path / "proj"
    assert {file.path: file.source for file in found.files} == {
        "bin/run": "",
        "bin/tool": str(root / "tool"),
        **{
            f"{SITE}/{name}": str(root / "src" / name)
            for name in (
                "proj/__init__.py",
                "proj/data.txt",
                "proj.egg-info/PKG-INFO",
                "proj.egg-info/entry_points.txt",
                "proj.egg-info/top_level.txt",
            )
        },
    }
    assert environment.unowned == ()


def test_what_the_files_settle_is_no_finding_any_more(prefix: Path) -> None:
    codes = {finding.code for finding in scanned(prefix).findings}
    assert codes.isdisjoint({"version-unknown", "path-outside", "editable-lost"})


def test_a_path_file_that_names_more_stays(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with (prefix / SITE / "easy-install.pth").open("a") as file:
        file.write(f"{tmp_path}/elsewhere\n")
    environment = scanned(prefix)
    assert [file.path for file in environment.unowned] == [f"{SITE}/easy-install.pth"]
    assert "path-outside" in {finding.code for finding in environment.findings}


def test_a_script_of_another_distribution_stays_unowned(prefix: Path) -> None:
    (prefix / "bin/tool").write_text(DEV.replace("proj==1.2", "foreign==1.2").format("/nonexistent"))
    environment = scanned(prefix)
    assert [file.path for file in environment.unowned] == ["bin/tool"]


def test_a_project_that_is_gone_loses_nothing_but_the_pointer(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "proj").rename(tmp_path / "moved")
    environment = scanned(prefix)
    assert "editable-lost" in {finding.code for finding in environment.findings}
    assert not any(file.path.endswith(".egg-link") for file in proj(environment).files)
