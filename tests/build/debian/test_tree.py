"""Links in a tree are followed as inside a container."""

import pytest

from envcap.build.debian.merge import directory, symlink
from envcap.build.debian.tree import SMALL_FILE_LIMIT, tree_of
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError

TREE = tree_of(
    [
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        Entry("usr/lib/a.so", EntryKind.FILE, 0o644, content=LiteralContent(b"a")),
        Entry("usr/lib/hard.so", EntryKind.HARDLINK, 0o644, target="usr/lib/a.so"),
        symlink("usr/lib/b.so", "a.so"),
        symlink("usr/lib/c.so", "/lib/b.so"),
        symlink("usr/lib/up.so", "../../../../usr/lib/a.so"),
        symlink("loop", "loop"),
        symlink("one", "two"),
        symlink("two", "one"),
        symlink("gone", "nowhere"),
    ]
)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/lib/a.so", "usr/lib/a.so"),
        ("lib//./a.so", "usr/lib/a.so"),
        ("/lib/c.so", "usr/lib/a.so"),
        ("/lib/up.so", "usr/lib/a.so"),
        ("/lib/../etc/../lib/a.so", None),
        ("/lib/../lib/a.so", "usr/lib/a.so"),
        ("/../lib", "usr/lib"),
        ("usr", "usr"),
        ("/", ""),
        ("lib/a.so/x", None),
        ("lib/a.so/..", None),
        ("loop", None),
        ("one", None),
        ("gone", None),
        ("nowhere", None),
    ],
)
def test_paths_are_resolved(path: str, real: str | None) -> None:
    assert TREE.resolve(path) == real


def test_a_hard_link_reads_its_target() -> None:
    assert TREE.read("lib/hard.so") == b"a"


def test_a_directory_has_no_bytes() -> None:
    assert TREE.read("lib") is None


def test_a_huge_file_is_not_read() -> None:
    content = LiteralContent(bytes(SMALL_FILE_LIMIT + 1))
    tree = tree_of([Entry("etc/x", EntryKind.FILE, 0o644, content=content, owner="evil")])
    with pytest.raises(BuildError, match="evil"):
        tree.read("etc/x")
