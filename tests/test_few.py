"""The first few of many names."""

import pytest

from envcap.few import few


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_at_most_so_many_are_named_and_the_others_counted(names: list[str], text: str) -> None:
    assert few(names, 3) == text
    assert few(tuple(names), 3) == text
