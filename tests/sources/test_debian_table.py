"""The sorted table finds what a dictionary finds."""

from hypothesis import given
from hypothesis import strategies as st

from envcap.sources.debian_table import Table, write_table

KEYS = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]), max_size=6)
VALUES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(KEYS, VALUES)), KEYS)
def test_a_table_finds_all_values_of_a_key_and_no_others(rows: list[tuple[str, str]], other: str) -> None:
    table = Table(write_table(rows))
    for key in {other, *(key for key, _ in rows)}:
        expected = sorted((value for name, value in rows if name == key), key=str.encode)
        assert sorted(table.find(key), key=str.encode) == expected


@given(st.lists(st.tuples(KEYS, VALUES)))
def test_a_tables_bytes_do_not_depend_on_the_order_of_rows(rows: list[tuple[str, str]]) -> None:
    assert write_table(rows) == write_table(reversed(rows))
