"""Reading METADATA, PKG-INFO and WHEEL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.scan.metadata import Identity, expand_tag, identity_of_folder, parse_identity, parse_wheel


def test_identity_is_read_from_the_header_only() -> None:
    text = "Metadata-Version: 2.1\r\nNAME: My-Pkg\r\nVersion: 1.0+cu118\r\n\r\nName: other\r\n"

    assert parse_identity(text) == Identity("My-Pkg", "1.0+cu118")


def test_continuation_lines_and_a_byte_order_mark_do_not_confuse() -> None:
    assert parse_identity("\ufeffName: a\nLicense: x\n Name: b\n\tVersion: 9\nVersion: 1\n") == Identity("a", "1")


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/../b", "a\x1b[2J", "ä", "a" * 200])
def test_invalid_name_counts_as_absent(name: str) -> None:
    assert parse_identity(f"Name: {name}\nVersion: 1\n").name == ""


@pytest.mark.parametrize("version", ["", "1 0", "../1", "1\x00", "v" * 200])
def test_invalid_version_counts_as_absent(version: str) -> None:
    assert parse_identity(f"Name: a\nVersion: {version}\n").version == ""


@pytest.mark.parametrize("version", ["1.0", "1!2.0.post1.dev3", "2004d", "0.1-beta", "1.0+local.2"])
def test_old_and_new_versions_are_kept_as_written(version: str) -> None:
    assert parse_identity(f"Name: a\nVersion: {version}\n").version == version


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("numpy-2.1.3.dist-info", Identity("numpy", "2.1.3")),
        ("my_pkg-1.0+cu118.dist-info", Identity("my_pkg", "1.0+cu118")),
        ("foo-1.0-py3.11.egg-info", Identity("foo", "1.0")),
        ("foo-1.0-py3.11-linux-x86_64.egg", Identity("foo", "1.0")),
        ("foo.egg-info", Identity("foo", "")),
        ("foo.egg-link", Identity("foo", "")),
        ("my-project.egg-link", Identity("my-project", "")),
        ("-.dist-info", Identity("unknown", "")),
        ("a b-1.dist-info", Identity("a-b", "1")),
    ],
)
def test_folder_name_tells_name_and_version(folder: str, expected: Identity) -> None:
    assert identity_of_folder(folder) == expected


@given(st.text(max_size=60))
def test_identity_of_any_folder_has_a_usable_name(stem: str) -> None:
    identity = identity_of_folder(f"{stem}.dist-info")

    assert parse_identity(f"Name: {identity.name}\nVersion: 1\n").name == identity.name != ""


def test_wheel_tags_are_expanded_sorted_and_deduplicated() -> None:
    facts = parse_wheel("Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\nTag: py2.py3-none-any\n")

    assert facts.tags == ("py2-none-any", "py3-none-any")
    assert not facts.root_is_purelib
    assert facts.bad_tags == 0


def test_compressed_tags_multiply() -> None:
    assert expand_tag("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64") == [
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
    ]


@pytest.mark.parametrize("tag", ["", "py3", "py3-none", "a-b-c-d", "py3-none-any ;", ".".join("a" * 999) + "-b.c-d"])
def test_tag_that_is_none_or_a_bomb_is_refused(tag: str) -> None:
    assert expand_tag(tag) == []


def test_bad_tag_lines_are_counted() -> None:
    assert parse_wheel("Tag: nonsense\nTag: py3-none-any\n").bad_tags == 1
