"""Putting a prefix into a file and taking it out again."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.placeholder import original_candidates, plain_shebang, put_prefix, take_prefix
from envcap.errors import ArchiveError

PLACEHOLDER = b"/croot/" + b"_placehold" * 10
PREFIXES = st.sampled_from([b"/opt/conda", b"/home/u/my env", b"/a", b"/data/" + b"x" * 80])
# Pieces that hold no prefix by themselves.
TEXTS = st.lists(st.sampled_from([PLACEHOLDER, b"/bin", b"\n", b"lib:", b" ", b"-L"]), max_size=8).map(b"".join)
STRINGS = st.lists(TEXTS, max_size=5).map(b"\0".join).map(lambda data: b"\x7fELF\0" + data + b"\0end")


@given(TEXTS, PREFIXES)
def test_a_text_comes_back_from_any_prefix(original: bytes, prefix: bytes) -> None:
    live = put_prefix(original, PLACEHOLDER, prefix, binary=False, where="x")

    assert PLACEHOLDER not in live
    assert take_prefix(live, prefix, PLACEHOLDER, binary=False) == original


@given(STRINGS, PREFIXES)
def test_a_binary_keeps_its_length_and_comes_back_from_any_prefix(original: bytes, prefix: bytes) -> None:
    live = put_prefix(original, PLACEHOLDER, prefix, binary=True, where="x")

    assert len(live) == len(original)
    assert PLACEHOLDER not in live
    assert take_prefix(live, prefix, PLACEHOLDER, binary=True) == original


def test_the_nuls_come_after_the_string_as_conda_writes_them() -> None:
    original = b"\0" + PLACEHOLDER + b"/lib:" + PLACEHOLDER + b"/x\0next\0"

    live = put_prefix(original, PLACEHOLDER, b"/opt/conda", binary=True, where="x")

    assert live == b"\0/opt/conda/lib:/opt/conda/x" + bytes(2 * (len(PLACEHOLDER) - 10)) + b"\0next\0"


def test_a_string_without_room_for_the_placeholder_is_not_restored() -> None:
    assert take_prefix(b"\0/opt/conda/x\0next", b"/opt/conda", PLACEHOLDER, binary=True) is None


def test_a_binary_whose_placeholder_is_too_short_is_refused() -> None:
    with pytest.raises(ArchiveError, match=r"lib/x\.so: its placeholder has 4 bytes \(expected 10 or more"):
        put_prefix(b"\0/old/x\0", b"/old", b"/opt/conda", binary=True, where="lib/x.so")


@pytest.mark.parametrize(
    "live",
    [
        b"#!/usr/bin/env python -x\nprint()\n",
        b"#!/bin/sh\n'''exec' \"/my env/bin/python\" -x \"$0\" \"$@\" #'''\nprint()\n",
        b"#!/my env/bin/python -x\nprint()\n",
    ],
)
def test_a_first_line_that_was_too_long_is_restored(live: bytes) -> None:
    original = b"#!" + PLACEHOLDER + b"/bin/python -x\nprint()\n"

    assert original in list(original_candidates(live, (b"/my env",), PLACEHOLDER, binary=False))


def test_a_shell_that_starts_another_file_is_left_alone() -> None:
    script = b"#!/bin/sh\n'''exec' \"/x/bin/python\" \"other.py\"\n"

    assert plain_shebang(script) == script


def by_expression(data: bytes, prefix: bytes, placeholder: bytes) -> bytes | None:
    """Take a prefix out of a binary as the definition says it, with a regular expression."""
    spare, cramped = len(placeholder) - len(prefix), False

    def restored(match: re.Match[bytes]) -> bytes:
        nonlocal cramped
        needed = spare * match[1].count(prefix)
        cramped = cramped or needed > len(match[2])
        return match[1].replace(prefix, placeholder) + match[2][needed:]

    found = re.sub(rb"(" + re.escape(prefix) + rb"[^\0]*)(\0*)", restored, data)
    return None if cramped else found


@given(st.lists(st.sampled_from([b"/p", b"/pq", b"\0", b"\0" * 7, b"x", b"\n"]), max_size=14).map(b"".join))
def test_strings_are_found_as_the_definition_says(data: bytes) -> None:
    assert take_prefix(data, b"/p", b"/place", binary=True) == by_expression(data, b"/p", b"/place")


def test_a_placeholder_longer_than_the_file_is_not_restored() -> None:
    assert take_prefix(b"/p/p/p\0", b"/p", b"/" * (1 << 20), binary=True) is None
