"""Packages make one tree, whatever their order; what they disagree about is an error that names both."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.build.debian.merge import complete, directory, merge_packages, symlink
from envcap.build.debian.package import DebContents
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError


def package(name: str, *entries: Entry) -> DebContents:
    owned = tuple(
        Entry(entry.path, entry.kind, entry.mode, entry.content, entry.target, entry.uid, entry.gid, owner=name)
        for entry in entries
    )
    fields = {"Package": name, "Version": "1", "Architecture": "all"}
    return DebContents(fields=fields, control=b"", entries=owned)


def regular(path: str, data: bytes = b"x", mode: int = 0o644) -> Entry:
    return Entry(path, EntryKind.FILE, mode, content=LiteralContent(data))


def merged(*packages: DebContents) -> dict[str, Entry]:
    return {entry.path: entry for entry in merge_packages(packages)}


def test_links_of_merged_usr_and_missing_parents_are_added() -> None:
    found = merge_packages([package("a", regular("opt/a/b"))])
    assert [(entry.path, entry.kind.value, entry.mode, entry.target) for entry in found] == [
        ("bin", "symlink", 0o777, "usr/bin"),
        ("lib", "symlink", 0o777, "usr/lib"),
        ("opt", "directory", 0o755, ""),
        ("opt/a", "directory", 0o755, ""),
        ("opt/a/b", "file", 0o644, ""),
        ("sbin", "symlink", 0o777, "usr/sbin"),
        ("usr", "directory", 0o755, ""),
        ("usr/bin", "directory", 0o755, ""),
        ("usr/lib", "directory", 0o755, ""),
        ("usr/sbin", "directory", 0o755, ""),
    ]


@pytest.mark.parametrize("name", ["lib32", "lib64", "libx32"])
def test_a_link_for_other_libraries_exists_only_with_its_directory(name: str) -> None:
    assert merged(package("libc6", regular(f"usr/{name}/ld.so")))[name].target == f"usr/{name}"
    assert name not in merged(package("libc6", regular("usr/lib/ld.so")))


def test_the_links_that_base_files_brings_are_taken_as_they_are() -> None:
    found = merged(package("base-files", symlink("bin", "usr/bin"), directory("usr/bin")))
    assert found["bin"].owner == "base-files"


def test_equal_files_may_come_from_two_packages() -> None:
    found = merged(package("b", regular("etc/x")), package("a", regular("etc/x")))
    assert found["etc/x"].owner == "a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (regular("etc/x"), regular("etc/x", b"y")),
        (regular("etc/x"), regular("etc/x", b"xx")),
        (regular("etc/x"), regular("etc/x", mode=0o4755)),
        (regular("etc/x"), symlink("etc/x", "y")),
        (symlink("etc/x", "y"), symlink("etc/x", "z")),
        (regular("etc/x"), directory("etc/x")),
        (symlink("etc/x", "y"), regular("etc/x/below")),
        (regular("etc/x"), regular("etc/x/below")),
        (directory("etc/x", 0o1777), directory("etc/x", 0o700)),
        (directory("etc/x", 0o755, owner=7), directory("etc/x", 0o755, owner=8)),
        (regular("usr/bin"), directory("usr/bin")),
    ],
)
def test_packages_that_disagree_are_refused_by_name(one: Entry, other: Entry) -> None:
    for packages in ([package("aa", one), package("bb", other)], [package("bb", one), package("aa", other)]):
        with pytest.raises(BuildError, match=r"aa.*bb|bb.*aa"):
            merge_packages(packages)


def test_a_special_directory_mode_wins_over_the_default_in_any_order() -> None:
    plain, special = package("a", directory("tmp")), package("b", directory("tmp", 0o1777))
    assert merged(plain, special)["tmp"].mode == 0o1777
    assert merged(special, plain)["tmp"].mode == 0o1777


def test_one_package_twice_is_refused() -> None:
    with pytest.raises(BuildError, match="twice"):
        merge_packages([package("a"), package("a")])


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(["a", "b", "a/b", "c/d/e"]), unique=True))
def test_the_order_of_packages_does_not_matter(chance: random.Random, paths: Sequence[str]) -> None:
    packages = [package(f"p{at}", directory(path), directory("x", 0o1777)) for at, path in enumerate(paths)]
    shuffled = list(packages)
    chance.shuffle(shuffled)
    assert merge_packages(shuffled) == merge_packages(packages)


@given(st.lists(st.text("ab-/.", min_size=1).filter(lambda text: text.strip("/") == text and "//" not in text)))
def test_parents_come_first_and_are_complete(paths: list[str]) -> None:
    seen: set[str] = set()
    for entry in complete([directory(path) for path in paths if not set(path.split("/")) & {".", ".."}]):
        parent = entry.path.rpartition("/")[0]
        assert not parent or parent in seen
        seen.add(entry.path)
