"""The table's driver floors, derived anew from real libraries; and that a wrong floor would be seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from envcap.gpu.table import gpu_table
from tests.gpu.floors import DEFAULT, Derived, agrees, derive_floor, fetch_wheels, has_compiler

TABLE = gpu_table()
SEEN = Derived(name="a.whl", major=13, refuses=(12, 9), starts=(13, 0))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(not has_compiler(), reason="gcc builds the stub libcuda")
@pytest.mark.parametrize("wanted", DEFAULT)
def test_a_real_libcudart_starts_where_the_table_says(wanted: str, tmp_path: Path) -> None:
    wheels = fetch_wheels((wanted,), tmp_path)
    assert len(wheels) == 1
    derived = derive_floor(wheels[0], TABLE, tmp_path)
    assert derived.starts == (derived.major, 0)
    assert agrees(derived, TABLE)


def test_what_was_seen_agrees_with_the_table() -> None:
    assert agrees(SEEN, TABLE)


@pytest.mark.parametrize(
    "other",
    [
        replace(SEEN, starts=(13, 1)),
        replace(SEEN, starts=(12, 8)),
        replace(SEEN, starts=None),
        replace(SEEN, refuses=None),
        replace(SEEN, refuses=(13, 2)),
        replace(SEEN, major=14),
    ],
)
def test_a_library_that_does_otherwise_is_a_difference(other: Derived) -> None:
    assert not agrees(other, TABLE)
