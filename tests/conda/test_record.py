"""The JSON of a record is the standard library's, byte for byte."""

import json

from hypothesis import given
from hypothesis import strategies as st

from envcap.build.conda_record import indented

VALUES = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_it_is_what_the_standard_library_writes(value: object) -> None:
    assert indented(value) == json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
