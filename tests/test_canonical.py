"""Canonical JSON is one sequence of bytes for one value."""

import json

from hypothesis import given
from hypothesis import strategies as st

from envcap.canonical import canonical_json, rows_hash

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def test_keys_are_sorted_without_spaces_in_utf8() -> None:
    value = {"b": [1, True, None], "a": "é\n", "A": {}}
    assert canonical_json(value) == b'{"A":{},"a":"\xc3\xa9\\n","b":[1,true,null]}'


@given(VALUES)
def test_value_round_trips(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.integers(0, 9), min_size=2))
def test_order_of_insertion_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(list(value.items()))))


ROWS = st.lists(st.lists(st.text(max_size=3) | st.integers(), max_size=3), max_size=4)


@given(ROWS, ROWS)
def test_rows_have_one_hash_each(one: list[list[object]], other: list[list[object]]) -> None:
    assert (rows_hash(one) == rows_hash(other)) is (one == other)
