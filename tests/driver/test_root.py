"""A tree that stands for a system."""

import os
from pathlib import Path

import pytest

from envcap.driver.root import SystemRoot


def test_an_absolute_link_stays_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/a.so").symlink_to("/etc/alternatives/a.so")
    (tmp_path / "etc/alternatives/a.so").symlink_to("../../../../../usr/lib/b.so")
    (tmp_path / "usr/lib/b.so").write_text("b")

    root = SystemRoot(tmp_path)

    assert root.resolve("/lib/a.so") == "/usr/lib/b.so"
    assert root.read("/lib/a.so") == "b"


def test_links_in_a_circle_are_absent(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    root = SystemRoot(tmp_path)

    with pytest.raises(OSError, match="too many links"):
        root.resolve("/a")
    assert (root.read("/a"), root.exists("/a"), root.names("/a")) == ("", False, ())


def test_a_pipe_in_a_file_s_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert SystemRoot(tmp_path).read("/pipe") == ""


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    root = SystemRoot(tmp_path)

    assert (root.read("/"), root.names("/file"), root.names("/")) == ("", (), ("file",))


def test_what_is_no_text_reads_as_something_else_and_only_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 100_000)

    assert SystemRoot(tmp_path).read("/file") == "\ufffd" * 16 * 1024


def test_a_name_that_no_file_can_have_is_absent(tmp_path: Path) -> None:
    assert SystemRoot(tmp_path).read("/a\0b") == ""
