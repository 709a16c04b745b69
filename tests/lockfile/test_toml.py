"""The canonical TOML writer alone."""

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import LockfileError
from envcap.lockfile.toml import dump_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALAR = TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans()
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_what_is_written_parses_back(table: dict[str, object]) -> None:
    assert tomllib.loads(dump_toml(table)) == table


def test_scalars_come_first_then_tables_then_rows() -> None:
    table = {"rows": [{"a": 1}, {"a": 2}], "table": {"b": [1, 2]}, "c": True, "d e": "x\n"}
    assert dump_toml(table) == (
        'c = true\n"d e" = "x\\n"\n\n[table]\nb = [1, 2]\n\n[[rows]]\na = 1\n\n[[rows]]\na = 2\n'
    )


def test_an_element_of_a_long_array_has_its_own_line() -> None:
    long = ["x" * 60, "y" * 60]
    assert dump_toml({"a": long}) == f'a = [\n    "{long[0]}",\n    "{long[1]}",\n]\n'


@pytest.mark.parametrize("value", [1.5, None, date(2024, 1, 1), b"x"])
def test_what_a_lock_never_holds_is_refused(value: object) -> None:
    with pytest.raises(LockfileError) as caught:
        dump_toml({"a": value})
    assert caught.value.message == f"Unexpected {type(value).__name__} (expected what TOML can hold)"


def test_a_string_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(LockfileError) as caught:
        dump_toml({"a": "\udc80"})
    assert caught.value.message == r"Unexpected string '\udc80' (expected valid Unicode)"
