"""The walk over an environment's prefix."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcap.scan.files import Tree, is_plain, shown, walk_tree
from tests.scan.env_builder import write


def test_walk_lists_every_file_with_mode_size_and_links(tmp_path: Path) -> None:
    write(tmp_path, {"a/b": "xyz", "c": ""})
    (tmp_path / "a/b").chmod(0o750)
    os.link(tmp_path / "a/b", tmp_path / "hard")

    tree = walk_tree(str(tmp_path))

    assert list(tree.files) == ["a/b", "c", "hard"]
    assert tree.files["a/b"].mode == 0o750
    assert tree.files["a/b"].size == 3
    assert tree.files["hard"].links == 2
    assert tree.folders == {"a"}
    assert tree.findings == ()


def test_walk_never_follows_a_symlink(tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret": "s", "env/file": "f"})
    (tmp_path / "env/away").symlink_to(tmp_path / "outside")
    (tmp_path / "env/loop").symlink_to(".")

    tree = walk_tree(str(tmp_path / "env"))

    assert list(tree.files) == ["away", "file", "loop"]
    assert tree.files["away"].target == str(tmp_path / "outside")
    assert tree.leaves_prefix("away")
    assert not tree.leaves_prefix("loop")


def test_symlink_that_climbs_out_by_dots_leaves_the_prefix(tmp_path: Path) -> None:
    write(tmp_path, {"env/a/file": "f"})
    (tmp_path / "env/a/up").symlink_to("../../elsewhere")
    (tmp_path / "env/a/near").symlink_to("../a/file")

    tree = walk_tree(str(tmp_path / "env"))

    assert tree.leaves_prefix("a/up")
    assert not tree.leaves_prefix("a/near")


@pytest.mark.parametrize("target", ["lib", "./lib", "lib/"])
def test_paths_through_a_symlinked_folder_are_written_via_the_real_one(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"lib/x/file": "f"})
    (tmp_path / "lib64").symlink_to(target)

    tree = walk_tree(str(tmp_path))

    assert tree.real_path("lib64/x/file") == "lib/x/file"
    assert tree.real_path("lib64") == "lib64"
    assert tree.real_path("lib6/x") == "lib6/x"


def test_a_path_is_looked_up_and_not_compared_with_each_of_thousands_of_links() -> None:
    class OnlyLookedUp(dict[str, str]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("every link was asked")

        items = keys = values = __iter__  # type: ignore[assignment]

    tree = Tree(prefix="/env", files={}, folder_links=OnlyLookedUp({"lib64": "lib", "lib/a/one": "lib/a/real"}))
    assert tree.real_path("lib64/a/one/file") == "lib/a/real/file"
    assert tree.real_path("lib/a/two/file") == "lib/a/two/file"


def test_real_path_ends_where_two_links_lead_to_each_other(tmp_path: Path) -> None:
    write(tmp_path, {"a/b/file": "f", "c/file": "f"})
    (tmp_path / "a/to_c").symlink_to("../c")
    (tmp_path / "c/to_a").symlink_to("../a")

    tree = walk_tree(str(tmp_path))

    assert tree.real_path("a/to_c/to_a/b/file") == "a/b/file"
    assert isinstance(tree.real_path("a/to_c/to_a/" * 20), str)


def test_fifo_is_left_out_with_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    tree = walk_tree(str(tmp_path))

    assert tree.files == {}
    assert tree.skipped == {"special": 1}
    assert [(one.code, one.path) for one in tree.findings] == [("file-special", "pipe")]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (b"bad\xff", "bad\\\\xff"),
        (b"new\nline", "new\\nline"),
        (b"esc\x1b[2J", "esc\\x1b[2J"),
        (b"a\\b", "a\\b"),
        (b".wh.a", ".wh.a"),
    ],
)
def test_name_that_no_image_can_hold_is_left_out_with_a_finding(tmp_path: Path, name: bytes, seen: str) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")

    tree = walk_tree(str(tmp_path))

    assert tree.files == {}
    assert tree.skipped == {"name": 1}
    assert [(one.code, one.path) for one in tree.findings] == [("file-name", seen)]


@pytest.mark.parametrize("name", ["ünï", "日本", "with space", "no\u00a0break", "\U0001fae8"])
def test_honest_unicode_names_are_plain(name: str) -> None:
    assert is_plain(name)
    assert shown(name) == name


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, {"closed/file": "f"})
    (tmp_path / "closed").chmod(0)
    try:
        tree = walk_tree(str(tmp_path))
    finally:
        (tmp_path / "closed").chmod(0o700)

    assert tree.skipped == {"unreadable": 1}
    assert [one.code for one in tree.findings] == ["file-unreadable"]


def test_folder_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    tree = walk_tree(str(tmp_path / "gone"))

    assert [one.code for one in tree.findings] == ["file-unreadable"]
