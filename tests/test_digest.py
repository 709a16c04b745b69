"""A digest is sha256 in OCI's spelling, and nothing else."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.digest import CHUNK_SIZE, Digest, is_sha256
from envcap.errors import DigestError

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_digest_is_written_as_oci_does() -> None:
    assert str(Digest.of(b"")) == f"sha256:{EMPTY}"


@given(st.binary())
def test_text_round_trips(data: bytes) -> None:
    digest = Digest.of(data)
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY,
        f"md5:{EMPTY}",
        f"sha512:{EMPTY}",
        f"sha256:{EMPTY.upper()}",
        f"sha256:{EMPTY[:-1]}",
        f"sha256:{EMPTY}0",
        f"sha256:{EMPTY}\n",
        f"SHA256:{EMPTY}",
        f"sha256: {EMPTY[1:]}",
        "sha256:" + "٣" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DigestError, match="Unexpected digest"):
        Digest.parse(text)


def test_a_hostile_digest_is_shown_cut() -> None:
    with pytest.raises(DigestError) as caught:
        Digest.parse("x" * 10_000)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_file_is_hashed_from_its_position_to_its_end(size: int) -> None:
    file = io.BytesIO(b"head" + bytes(size))
    file.seek(4)
    assert Digest.of_file(file) == Digest.of(bytes(size))


@pytest.mark.parametrize("value", [None, 0, b"a" * 64, "", "g" * 64, EMPTY + "\n"])
def test_is_sha256_wants_64_hex_digits(value: object) -> None:
    assert not is_sha256(value)
    assert is_sha256(EMPTY)


def test_digests_sort_by_their_digits() -> None:
    assert sorted([Digest("b" * 64), Digest("a" * 64)]) == [Digest("a" * 64), Digest("b" * 64)]


@given(st.lists(st.binary()))
def test_how_bytes_are_cut_does_not_matter(chunks: list[bytes]) -> None:
    assert Digest.of_chunks(chunks) == Digest.of(b"".join(chunks))
