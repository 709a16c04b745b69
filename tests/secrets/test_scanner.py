"""Credentials are found whatever lies around them and however the bytes come; what only looks like one is not."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.secrets.scanner import FoundSecret, find_secret
from envcap.secrets.shapes import LONGEST, SHAPES
from tests.secrets.samples import HARMLESS, PLACES, SECRETS

FILLING = st.sampled_from((b"", b" ", b"\n", b"x = 1\n", b"\x00\xff\n", b"lorem ipsum\n" * 900))


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes into chunks of the given sizes, again and again."""
    start = number = 0
    while start < len(data):
        size = sizes[number % len(sizes)]
        yield data[start : start + size]
        start, number = start + size, number + 1


@pytest.mark.parametrize("name", SECRETS)
def test_every_kind_is_found_with_its_line(name: str) -> None:
    data, kind = SECRETS[name]
    before = b"" if name == "json" else b"# one\n# two\n"
    line = 1 + before.count(b"\n")
    assert find_secret("some/file.txt", [before + data + b"\nmore\n"]) == FoundSecret(line, kind)


def test_every_shape_has_a_sample() -> None:
    assert {shape.kind for shape in SHAPES} == {kind for _, kind in SECRETS.values()}


@pytest.mark.parametrize("name", PLACES)
def test_passwords_of_any_form_are_found_where_tools_keep_them(name: str) -> None:
    data, line, kind = PLACES[name]
    assert find_secret(f"share/{name}", [data]) == FoundSecret(line, kind)
    assert find_secret("share/other.txt", [data]) is None


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_credential_is_not_one(name: str) -> None:
    assert find_secret(name, [HARMLESS[name]]) is None


@given(
    secret=st.sampled_from(sorted(SECRETS)),
    before=FILLING,
    after=FILLING,
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=4),
)
def test_what_is_found_does_not_depend_on_the_chunks(
    secret: str, before: bytes, after: bytes, sizes: list[int]
) -> None:
    data, kind = SECRETS[secret]
    # A separator: after a letter it would be a part of a longer word.
    whole = before + b"\n" + data + b"\n" + after
    expected = FoundSecret(before.count(b"\n") + 2, kind)
    assert find_secret("a.txt", cut(whole, sizes)) == find_secret("a.txt", [whole]) == expected


@pytest.mark.parametrize("name", SECRETS)
def test_a_credential_is_found_across_each_border_of_two_chunks(name: str) -> None:
    data, _ = SECRETS[name]
    whole = b"-" * (LONGEST - 1) + b"\n" + data + b"\n" + b"." * LONGEST
    expected = find_secret("a", [whole])
    assert expected is not None
    for border in range(LONGEST - 2, LONGEST + len(data) + 2):
        assert find_secret("a", [whole[:border], whole[border:]]) == expected


@given(
    secret=st.sampled_from(sorted(SECRETS)),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=3),
    left=st.sampled_from((b"A", b"_", b"9")),
)
def test_a_token_within_a_longer_word_is_none_however_it_comes(secret: str, sizes: list[int], left: bytes) -> None:
    data, kind = SECRETS[secret]
    if kind.startswith("a private key"):
        return
    whole = b" " * (LONGEST - 10) + left + data
    assert find_secret("a", cut(whole, sizes)) is None


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_any_bytes_are_read_alike_in_any_chunks(data: bytes, sizes: list[int]) -> None:
    for name in ("a", ".netrc", ".env"):
        assert find_secret(name, cut(data, sizes)) == find_secret(name, [data])


def test_a_place_counts_across_chunks() -> None:
    data, line, kind = PLACES[".netrc"]
    assert find_secret(".netrc", cut(data, [1])) == FoundSecret(line, kind)


def test_nothing_that_is_found_holds_the_credential() -> None:
    for data, _ in SECRETS.values():
        assert data.decode() not in repr(find_secret("a", [data]))
