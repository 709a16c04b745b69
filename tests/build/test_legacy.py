"""Every legacy form, from the scan to the rebuilt files: both sides equal, nothing lost without a word."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.lockfile.check import check_lockfile
from envcap.lockfile.document import read_lockfile, write_lockfile
from envcap.scan.files import shown
from envcap.wheel.layout import is_bytecode, is_installer_file
from tests.legacy_forms import FORMS
from tests.lock.wheels import SITE
from tests.lockfile.small import SMALL
from tests.scan.env_builder import add_dist, scan, write
from tests.wheel.installs import Both, both_sides, facts, new_env

GENERATED = {"pyvenv.cfg", "bin/python", "bin/python3", "bin/activate"}


def rebuild(prefix: Path, folder: Path) -> Both:
    """Lock an environment without any proof, so that the lock and its blobs are all that a rebuild has."""
    both = both_sides(prefix, [], folder, prove=False)
    assert facts(both.rebuilt) == facts(both.live)
    return both


def on_disk(prefix: Path) -> set[str]:
    files = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file() or path.is_symlink()}
    dropped = {path for path in files if is_bytecode(path) or is_installer_file(path) or path.startswith("lib64")}
    return files - dropped - GENERATED


@pytest.mark.parametrize("name", FORMS)
def test_a_legacy_form_is_rebuilt_from_the_lock_and_nothing_is_lost_without_a_word(tmp_path: Path, name: str) -> None:
    prefix = new_env(tmp_path)
    FORMS[name](prefix, SITE)
    both = rebuild(prefix, tmp_path / "kept")
    environment = scan(prefix)
    told = {finding.path for finding in environment.findings if finding.code == "file-name"}
    there = {*both.paths(), *(file.path for file in environment.unowned)}
    lost = {shown(path) for path in on_disk(prefix) - there}
    assert {path for path in lost if not any(path == one or path.startswith(f"{one}/") for one in told)} == set()


@pytest.mark.parametrize("name", FORMS)
def test_the_lock_of_a_legacy_form_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    prefix = new_env(tmp_path)
    FORMS[name](prefix, SITE)
    lockfile = replace(SMALL, packages=rebuild(prefix, tmp_path / "kept").packages)
    check_lockfile(lockfile)
    assert read_lockfile(write_lockfile(lockfile)) == lockfile


def test_names_that_only_meet_elsewhere_are_all_kept(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    FORMS["names that meet without case or unicode form"](prefix, SITE)
    both = rebuild(prefix, tmp_path / "kept")
    bodies = {Path(entry.path).name: b"".join(entry.content.chunks()).decode() for entry in both.rebuilt}
    assert all(bodies[name] == name for name in ("README", "readme", "Readme", "e\u0301.txt", "\u00e9.txt"))
    # The first of each pair lies in the archive, and of equal ones both.
    added = [Path(patch.path).name for patch in both.packages[0].patches]
    assert added == ["Readme", "readme", "x.py", "\u00e9.txt"]
    (finding,) = [row for row in both.locked.findings if row.code == "captured-loose"]
    assert finding.message.startswith("twin-names: Readme, readme, x.py, \u00e9.txt kept beside its archive")


def test_a_script_of_two_is_the_one_that_runs(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    FORMS["one script of two"](prefix, SITE)
    both = rebuild(prefix, tmp_path / "kept")
    assert [[(patch.path, patch.change) for patch in row.patches] for row in both.packages] == [
        [("bin/shared-tool", "deleted")],
        [],
    ]
    (script,) = [entry for entry in both.rebuilt if entry.path.endswith("shared-tool")]
    assert b"from tool_b import main" in b"".join(script.content.chunks())
    assert [row.message for row in both.locked.findings if row.code == "file-overwritten"] == [
        "tool-a and tool-b both own shared-tool, with different bytes: those of tool-b are live and kept"
    ]


def test_a_file_of_two_with_unequal_bytes_is_told(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    FORMS["one path of two with unequal bytes"](prefix, SITE)
    both = rebuild(prefix, tmp_path / "kept")
    assert [row.message for row in both.locked.findings if row.code == "file-overwritten"] == [
        "unequal-a and unequal-b both own __init__.py, with different bytes: those of unequal-b are live and kept"
    ]


def test_entry_points_that_a_rebuild_refuses_leave_a_tree_whose_scripts_are_kept(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    FORMS["entry points that a rebuild refuses"](prefix, SITE)
    both = rebuild(prefix, tmp_path / "kept")
    assert both.packages[0].artifacts[0].file == "odd_points-1.0.tree.zip"
    assert "bin/odd-tool" in both.paths()
    (finding,) = [row for row in both.locked.findings if row.code == "captured-entry-points"]
    assert "its scripts can't be made anew: odd_points-1.0.dist-info: unexpected entry point" in finding.message


NAMES = st.text(st.sampled_from("aAéÉ\u0301ß:.,-_ ~d"), min_size=1, max_size=4).filter(lambda name: name.strip("."))
PLACES = st.sampled_from(["", "demo/", "Demo/", "demo-1.0.data/data/", "x-1.dist-info/", "../../../share/", "C:"])


@settings(max_examples=60, deadline=None)
@given(files=st.dictionaries(st.tuples(PLACES, NAMES).map("".join), st.sampled_from(["", "x", "y"]), max_size=8))
def test_whatever_the_files_of_a_captured_package_are_called_all_are_rebuilt(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = new_env(Path(folder))
        rows = [f'"{path}",,' for path in files]
        add_dist(prefix, "demo", {"demo.py": ""}, rows=rows)
        write(prefix / SITE, files)
        both = rebuild(prefix, Path(folder, "kept"))
        owned = {*both.paths(), *(file.path for file in scan(prefix).unowned)}
        assert on_disk(prefix) - owned == set()
