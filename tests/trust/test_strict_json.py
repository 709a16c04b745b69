"""JSON of strangers: what is not strictly one object is refused, and says why."""

import pytest

from envcap.errors import TrustError
from envcap.trust.strict_json import MAX_BYTES, check_kind, member, read_object, refuse_others


def test_an_object_is_read() -> None:
    assert read_object(b' {"a": [1, {"b": "\xc3\xa9"}], "c": null} ', "text") == {"a": [1, {"b": "é"}], "c": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not strict JSON"),
        (b"[]", "expected an object, found list"),
        (b'{"a": 1', "not strict JSON"),
        (b'{"a": 1} {"a": 2}', "Extra data"),
        (b'{"a": 1, "a": 1}', "the name 'a' is there twice"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "the name 'a' is there twice"),
        (b'{"a": 1.5}', "unexpected number 1.5"),
        (b'{"a": 1e400}', "unexpected number 1e400"),
        (b'{"a": NaN}', "unexpected number NaN"),
        (b'{"a": -Infinity}', "unexpected number -Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not strict JSON"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'{"\\udc00": 1}', "half a character"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": ' * 9000 + b"1" + b"}" * 9000, "too deeply|not strict JSON"),
        (b"[" * MAX_BYTES, "too deeply"),
        (b" " * (MAX_BYTES + 1), "too long"),
    ],
)
def test_anything_else_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TrustError, match=message):
        read_object(data, "text")


def test_members_are_there_and_of_their_kind() -> None:
    assert member({"a": 1}, "a", int, "table") == 1
    with pytest.raises(TrustError, match=r"^Missing 'b' in the table$"):
        member({"a": 1}, "b", int, "table")
    with pytest.raises(TrustError, match=r"^Unexpected str as table's 'a' \(expected int\)$"):
        member({"a": "1"}, "a", int, "table")


def test_a_boolean_is_no_integer() -> None:
    with pytest.raises(TrustError, match=r"^Unexpected bool as threshold \(expected int\)$"):
        check_kind(bool(1), int, "threshold")


def test_unknown_members_are_refused_by_name() -> None:
    refuse_others({"a": 1}, {"a", "b"}, "table")
    with pytest.raises(TrustError, match=r"^Unknown 'A' in the table \(expected a, b\)$"):
        refuse_others({"A": 1}, {"a", "b"}, "table")
