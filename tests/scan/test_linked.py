"""Files that uv linked from its cache are installed files; no other symlink is followed."""

import os
import shutil
from pathlib import Path

import pytest

from envcap.errors import ScanError
from envcap.finding import FindingLevel
from envcap.scan.files import walk_tree
from envcap.scan.linked import follow_installed_links
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write

CACHE = "cache/archive-v0/Abc"
INFO = "demo-1.0.dist-info"


def linked_env(folder: Path) -> Path:
    """An environment whose distribution is linked, file by file, as `uv --link-mode symlink` does."""
    prefix = make_env(folder)
    info = add_dist(
        prefix, "demo", {"demo/__init__.py": "x = 1\n"}, rows=["../../../bin/demo.sh,,", "../../../share/demo.txt,,"]
    )
    cache = folder.resolve() / CACHE
    for path in ("demo/__init__.py", f"{INFO}/METADATA", f"{INFO}/WHEEL"):
        (cache / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / SITE / path).rename(cache / path)
        (prefix / SITE / path).symlink_to(cache / path)
    write(cache, {"demo-1.0.data/scripts/demo.sh": "#!/bin/sh\n"})
    (prefix / "bin/demo.sh").symlink_to(cache / "demo-1.0.data/scripts/demo.sh")
    write(cache, {"demo-1.0.data/data/share/demo.txt": "text"})
    (prefix / "share").mkdir()
    (prefix / "share/demo.txt").symlink_to(cache / "demo-1.0.data/data/share/demo.txt")
    assert info == f"{SITE}/{INFO}"
    return prefix


def test_a_linked_distribution_is_scanned_as_a_copied_one_is(tmp_path: Path) -> None:
    prefix = linked_env(tmp_path)

    environment = scan(prefix)

    (demo,) = environment.distributions
    assert (demo.name, demo.version, demo.missing) == ("demo", "1.0", ())
    found = {file.path: file for file in demo.files}
    module = found[f"{SITE}/demo/__init__.py"]
    assert (module.target, module.size, module.source) == (
        "",
        6,
        str(tmp_path.resolve() / CACHE / "demo/__init__.py"),
    )
    assert module.sha256 == {row.path: row.sha256 for row in demo.record}[module.path]
    assert (found["bin/demo.sh"].size, found["share/demo.txt"].size) == (10, 4)
    assert environment.unowned == ()
    (finding,) = environment.findings
    assert (finding.code, finding.level) == ("linked-install", FindingLevel.NOTE)
    assert finding.message.startswith("5 installed files are links into an installer's cache")
    assert str(tmp_path) not in finding.message


def test_a_link_to_another_place_in_the_wheel_stays_a_link(tmp_path: Path) -> None:
    prefix = linked_env(tmp_path)
    cache = tmp_path.resolve() / CACHE
    write(cache, {"demo/other.py": "", "elsewhere/secret": "s"})
    (prefix / SITE / "demo/renamed.py").symlink_to(cache / "demo/other.py")
    (prefix / SITE / "demo/dotted.py").symlink_to(cache / "demo/../demo/dotted.py")
    (prefix / SITE / "demo/relative.py").symlink_to(os.path.relpath(cache / "demo/other.py", prefix / SITE / "demo"))
    (prefix / SITE / "demo/secret").symlink_to(tmp_path.resolve() / "elsewhere/secret")

    tree = follow_installed_links(walk_tree(str(prefix)))

    assert {path for path, file in tree.files.items() if path.startswith(f"{SITE}/demo/") and file.is_link} == {
        f"{SITE}/demo/{name}" for name in ("renamed.py", "dotted.py", "relative.py", "secret")
    }


def test_a_file_that_left_the_cache_and_one_that_is_a_link_there_are_not_followed(tmp_path: Path) -> None:
    prefix = linked_env(tmp_path)
    cache = tmp_path.resolve() / CACHE
    (cache / "demo/chain.py").symlink_to("/etc/passwd")
    for name in ("chain.py", "gone.py"):
        (prefix / SITE / "demo" / name).symlink_to(cache / "demo" / name)

    tree = follow_installed_links(walk_tree(str(prefix)))

    assert tree.files[f"{SITE}/demo/chain.py"].is_link
    assert tree.files[f"{SITE}/demo/gone.py"].is_link
    assert not tree.files[f"{SITE}/demo/__init__.py"].is_link


def test_without_linked_metadata_the_tree_is_as_walked(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / SITE / "data").symlink_to("/etc/passwd")
    tree = walk_tree(str(prefix))

    assert follow_installed_links(tree) is tree


def test_an_environment_whose_cache_was_cleaned_is_refused(tmp_path: Path) -> None:
    prefix = linked_env(tmp_path)
    shutil.rmtree(tmp_path / CACHE)

    with pytest.raises(ScanError, match="1 of 1 packages that are links into an installer's cache") as caught:
        scan(prefix)

    assert "--link-mode copy" in caught.value.hint
