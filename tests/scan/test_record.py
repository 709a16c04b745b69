"""Reading RECORD as installers write it, and as nobody should."""

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import RecordRow
from envcap.scan.files import Tree
from envcap.scan.record import Base, parse_hash, read_installed_files, read_record, resolve
from tests.scan.env_builder import SITE

HEX = hashlib.sha256(b"x").hexdigest()
BASE64 = base64.urlsafe_b64encode(bytes.fromhex(HEX)).decode()
BASE = Base(
    folder=SITE,
    roots=("/real/env", "/given/env"),
    tree=Tree(prefix="/real/env", files={}, folder_links={"lib64": "lib"}),
)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_rows_are_read_whatever_ends_the_lines(newline: str) -> None:
    text = newline.join([f"a/b.py,sha256={BASE64.rstrip('=')},12", "a/RECORD,,", ""])

    record = read_record(text.encode(), BASE)

    assert record.sorted_rows() == (
        RecordRow(path=f"{SITE}/a/RECORD", sha256="", size=-1),
        RecordRow(path=f"{SITE}/a/b.py", sha256=HEX, size=12),
    )


def test_quoted_path_may_hold_commas_and_quotes() -> None:
    record = read_record(b'"a,b/""c"".py",,\r\n', BASE)

    assert list(record.rows) == [f'{SITE}/a,b/"c".py']


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("../../../bin/x", "bin/x"),
        ("a/../b.py", f"{SITE}/b.py"),
        ("./a.py", f"{SITE}/a.py"),
        ("a//b.py", f"{SITE}/a/b.py"),
        ("../../../lib64/python3.11/site-packages/a.so", f"{SITE}/a.so"),
        ("/real/env/bin/x", "bin/x"),
        ("/given/env/share/x", "share/x"),
        ("/given/env/../env/share/x", "share/x"),
        ("//real/env/bin/x", "bin/x"),
        (".hidden", f"{SITE}/.hidden"),
        ("a/..b", f"{SITE}/a/..b"),
    ],
)
def test_path_inside_the_prefix_is_resolved(written: str, expected: str) -> None:
    assert resolve(written, BASE) == expected


@pytest.mark.parametrize(
    "written",
    [
        "../../../../x",
        "../../../..",
        "../../..",
        "/etc/passwd",
        "/real/environment/x",
        "/real/env/../x",
        "/real/env",
        "a/../../../../../../etc/passwd",
    ],
)
def test_path_that_leaves_the_prefix_is_none(written: str) -> None:
    assert resolve(written, BASE) is None


def test_odd_rows_are_counted_and_the_others_kept() -> None:
    rows = [
        b"a.py,,",
        b"/etc/passwd,,",
        b"../../../../x,,",
        b"bad\xff,,",
        b'"new\nline",,',
        b",sha256=x,1",
        b"",
        b"b.py",
    ]

    record = read_record(b"\n".join(rows), BASE)

    assert sorted(record.rows) == [f"{SITE}/a.py", f"{SITE}/b.py"]
    assert (record.escapes, record.odd, record.broken) == (2, 3, "")


def test_field_too_long_for_csv_stops_reading_and_says_so() -> None:
    record = read_record(b"a.py,,\n" + b"x" * 200_000 + b",,\nb.py,,\n", BASE)

    assert list(record.rows) == [f"{SITE}/a.py"]
    assert "field" in record.broken


def test_file_named_twice_with_another_hash_is_a_conflict() -> None:
    record = read_record(f"a.py,sha256={HEX},1\na.py,,\n./a.py,sha256={HEX},1\n".encode(), BASE)

    assert list(record.rows.values()) == [RecordRow(path=f"{SITE}/a.py", sha256=HEX, size=1)]
    assert record.conflicts == 1


@pytest.mark.parametrize(
    "text",
    [f"sha256={BASE64}", f"sha256={BASE64.rstrip('=')}", f"sha256={HEX}", f"sha256={HEX.upper()}", f" SHA256={HEX} "],
)
def test_hash_is_read_in_each_spelling(text: str) -> None:
    assert parse_hash(text) == HEX


@pytest.mark.parametrize(
    "text", ["", "md5=abc", "sha256=", "sha256=abc", "sha256=" + "!" * 43, "sha512=" + HEX, HEX, "sha256=é"]
)
def test_unusable_hash_is_empty(text: str) -> None:
    assert parse_hash(text) == ""


@pytest.mark.parametrize(
    ("written", "size"), [("12", 12), ("", -1), ("-5", -1), ("1e3", -1), ("٣", -1), ("9" * 30, -1)]
)
def test_size_is_a_plain_number_or_unknown(written: str, size: int) -> None:
    assert read_record(f"a.py,,{written}".encode(), BASE).rows[f"{SITE}/a.py"].size == size


def test_installed_files_are_relative_to_the_egg_info_folder() -> None:
    base = Base(folder=f"{SITE}/a.egg-info", roots=BASE.roots, tree=BASE.tree)

    record = read_installed_files(b"../a/b.py\r\nPKG-INFO\n../../../../bin/a\n../../../../../x\n", base)

    assert list(record.rows) == [f"{SITE}/a/b.py", f"{SITE}/a.egg-info/PKG-INFO", "bin/a"]
    assert record.escapes == 1


@given(st.binary(max_size=300))
def test_any_bytes_give_rows_inside_the_prefix(data: bytes) -> None:
    record = read_record(data, BASE)

    for path in record.rows:
        assert not Path(path).is_absolute()
        assert ".." not in path.split("/")


@given(st.binary(min_size=32, max_size=32))
def test_hash_written_as_installers_do_is_read_back(digest: bytes) -> None:
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    assert parse_hash(f"sha256={text}") == digest.hex()
