"""A wheel's RECORD: the hashes of its files."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import ArchiveError
from envcap.wheel.record import base64_hash, parse_record

EMPTY = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
HEX = sha256(b"").hexdigest()


def test_a_hash_is_urlsafe_base64_without_padding() -> None:
    assert base64_hash(HEX) == EMPTY


@pytest.mark.parametrize("row", [f"a,sha256={EMPTY},0", f'"a",sha256={EMPTY}=,', f"a,sha256={EMPTY}\r"])
def test_a_row_gives_its_hash(row: str) -> None:
    assert parse_record(f"{row}\n".encode()) == {"a": HEX}


@pytest.mark.parametrize(
    "row",
    [
        "",
        "a",
        "a,,",
        f"a,md5={EMPTY},0",
        f"a,{EMPTY},0",
        "a,sha256=,0",
        "a,sha256=YQ,0",
        f"a,sha256={EMPTY}é,0",
        "a,sha256=A,",
    ],
)
def test_a_row_without_a_sha256_gives_none(row: str) -> None:
    assert parse_record(f"{row}\n".encode()) == {}


@pytest.mark.parametrize("data", [b"\xff,sha256=,\n", b"a" * 200_000])
def test_what_is_no_csv_in_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="RECORD is no CSV in UTF-8"):
        parse_record(data)


@given(st.dictionaries(st.text("abé, '/", min_size=1), st.binary()))
def test_what_was_written_is_read(files: dict[str, bytes]) -> None:
    hashes = {path: sha256(data).hexdigest() for path, data in files.items()}
    text = "".join(f'"{path}",sha256={base64_hash(found)},1\n' for path, found in hashes.items())
    assert parse_record(text.encode()) == hashes
