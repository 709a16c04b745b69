"""Names that a member may carry, and sets of names that may live together."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.archives.names import check_member_name, check_parents, check_text, check_unique, show_name
from envcap.errors import ArchiveError


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "an empty name"),
        ("/etc/passwd", "an absolute path"),
        ("//etc/passwd", "an absolute path"),
        ("..", "a `..` component"),
        ("../x", "a `..` component"),
        ("a/../../b", "a `..` component"),
        ("a/..", "a `..` component"),
        (".", "a `.` component"),
        ("./a", "a `.` component"),
        ("a/./b", "a `.` component"),
        ("a//b", "an empty component"),
        ("a/", "an empty component"),
        ("a\\b", "a backslash"),
        ("..\\b", "a backslash"),
        ("C:/x", "a drive letter"),
        ("c:x", "a drive letter"),
        ("a\0b", "a control character"),
        ("a\nb", "a control character"),
        ("a\rb", "a control character"),
        ("a\x1b[31mb", "a control character"),
        ("a\x7f", "a control character"),
        ("a\x85b", "a control character"),
        (".wh.a", "a `.wh.` component"),
        ("a/.wh..wh..opq", "a `.wh.` component"),
        (".wh.d/x", "a `.wh.` component"),
        ("a\udc80", "bytes that are not UTF-8"),
        ("a" * 256, "a component of 256 bytes"),
        ("é" * 128, "a component of 256 bytes"),
        ("/".join(["a"] * 2049), "4097 bytes"),
    ],
)
def test_hostile_name_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        check_member_name(name, archive="x.whl")
    assert f"has {reason}" in caught.value.message
    assert caught.value.message.startswith("x.whl: member ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "numpy/core/_multiarray.cpython-311-x86_64-linux-gnu.so",
        "pkg-1.0.data/scripts/run me.sh",
        "...",
        "..a/b..",
        ".hidden/.whx",
        "usr/share/man/man3/Foo::Bar.3pm.gz",
        "ca/NetLock_Arany_Főtanúsítvány.crt",
        "日本語/데이터",
        "a" * 255,
        "/".join(["a"] * 2048),
        "[a-z]^{x}~`$'\"#%&*+,;<=>?@!|",
    ],
)
def test_real_name_is_returned_as_it_is(name: str) -> None:
    assert check_member_name(name, archive="x.whl") == name


def test_backslash_is_accepted_where_the_caller_says_so() -> None:
    name = "lib/systemd/system/system-systemd\\x2dcryptsetup.slice"
    assert check_member_name(name, archive="systemd.deb", backslash=True) == name


@given(st.text(st.characters(), max_size=40))
def test_accepted_name_stays_below_the_root(name: str) -> None:
    try:
        check_member_name(name, archive="x")
    except ArchiveError:
        return
    parts = name.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not any(part.startswith(".wh.") for part in parts)
    assert not any(unicodedata.category(character) == "Cc" for character in name)
    assert "\\" not in name
    assert name.encode().decode() == name


@given(st.text("ab./\\:\0é\n", max_size=9))
def test_fast_and_careful_checks_agree(name: str) -> None:
    """A letter outside ASCII sends a name through the careful check; it must not change the verdict."""

    def verdict(text: str) -> bool:
        try:
            check_member_name(text, archive="x")
        except ArchiveError:
            return False
        return True

    assert verdict(name + "/a") == verdict(name + "/é")


def test_shown_name_has_no_control_characters_and_is_short() -> None:
    shown = show_name("a\x1b[31m\n\u202e" + "b" * 1000)
    assert shown.isprintable()
    assert len(shown) < 200


def test_text_of_a_link_is_refused_with_its_reason() -> None:
    with pytest.raises(ArchiveError, match="the target has a control character"):
        check_text("a\nb", what="the target", archive="x.deb")
    check_text("../ok", what="the target", archive="x.deb")


def never(_one: int, _other: int) -> bool:
    return False


def always(_one: int, _other: int) -> bool:
    return True


def test_distinct_names_cost_no_comparison() -> None:
    def unexpected(one: int, other: int) -> bool:
        raise AssertionError((one, other))

    assert check_unique(["a", "b", "a/b"], archive="x", same=unexpected) == frozenset()


def test_duplicate_with_different_content_is_refused() -> None:
    with pytest.raises(ArchiveError, match="two members are named 'a'"):
        check_unique(["a", "b", "a"], archive="x", same=never)


def test_duplicate_with_equal_content_is_to_be_dropped() -> None:
    assert check_unique(["a", "b", "a", "a"], archive="x", same=always) == {2, 3}


@pytest.mark.parametrize(
    ("one", "other"),
    [("README", "readme"), ("é", "e\N{COMBINING ACUTE ACCENT}"), ("straße", "STRASSE"), ("D/a", "d/A")],
)
def test_twins_are_refused_unless_their_content_is_equal(one: str, other: str) -> None:
    with pytest.raises(ArchiveError, match="only in case or Unicode form"):
        check_unique([one, other], archive="x", same=never)
    assert check_unique([one, other], archive="x", same=always) == frozenset()
    assert check_unique([one, other], archive="x", same=never, portable=False) == frozenset()


def test_duplicates_are_refused_even_where_twins_are_not() -> None:
    with pytest.raises(ArchiveError, match="two members are named 'a'"):
        check_unique(["a", "A", "a"], archive="x", same=never, portable=False)


@given(st.lists(st.sampled_from(["a", "A", "b", "é", "É", "c"]), max_size=8))
def test_dropping_repetitions_keeps_each_name_once_in_order(names: list[str]) -> None:
    dropped = check_unique(names, archive="x", same=always)
    kept = [name for position, name in enumerate(names) if position not in dropped]
    assert kept == list(dict.fromkeys(names))


@pytest.mark.parametrize("members", [[("a", False), ("a/b", False)], [("a/b/c", True), ("a", False)]])
def test_member_below_a_file_is_refused(members: list[tuple[str, bool]]) -> None:
    with pytest.raises(ArchiveError, match="lies below 'a', which is not a directory"):
        check_parents(members, archive="x")


def test_members_below_directories_named_or_not_are_accepted() -> None:
    check_parents([("a", True), ("a/b", False), ("c/d/e", False), ("ab", False)], archive="x")
