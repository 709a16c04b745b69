"""Sizes and tables for people."""

import pytest

from envcap.render import columns, human_size, table


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_900, "99.9 kB"),
        (123_456, "123 kB"),
        (2_300_000_000, "2.3 GB"),
        (7.5e12, "7.5 TB"),
        (1e15, "1000.0 TB"),
    ],
)
def test_sizes_are_in_powers_of_1000(size: float, text: str) -> None:
    assert human_size(size) == text


def test_table_aligns_two_columns_and_leaves_empty_rows_out() -> None:
    assert table([("image", "sha256:1"), ("GPU", ""), ("os", "debian")]) == "image  sha256:1\nos     debian"
    assert table([]) == ""


def test_columns_are_aligned_without_trailing_spaces() -> None:
    rows = [("numpy", "16 MB", "record"), ("six", "9 kB", "")]
    assert columns(rows, right=frozenset({1})) == "numpy  16 MB  record\nsix     9 kB"
    assert columns([]) == ""
