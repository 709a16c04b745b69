"""Levels of x86-64: of a note, of a machine, and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.cpu import LEVELS, highest_level, is_below, level_of_bits, level_of_machine

V2 = "fpu lm pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


def cpuinfo(flags: str) -> str:
    return f"processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {flags}\nbugs\t\t: none\n\n" * 2


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fpu lm", ""),
        (V2, "x86-64-v2"),
        (V3, "x86-64-v3"),
        (V4, "x86-64-v4"),
        (V4.replace("bmi2 ", ""), "x86-64-v2"),  # a level without a lower one is none
        ("fpu pni", None),  # 32 bits
    ],
)
def test_a_machine_has_the_level_whose_every_feature_it_has(flags: str, level: str | None) -> None:
    assert level_of_machine(cpuinfo(flags)) == level


def test_a_machine_of_another_kind_has_no_level() -> None:
    assert level_of_machine("processor : 0\nFeatures : fp asimd\n") is None


@pytest.mark.parametrize(
    ("bits", "level"), [(0, ""), (1, ""), (2, "x86-64-v2"), (7, "x86-64-v3"), (8, "x86-64-v4"), (1 << 30, "")]
)
def test_the_highest_bit_of_a_note_counts(bits: int, level: str) -> None:
    assert level_of_bits(bits) == level


@given(st.lists(st.sampled_from(["", *LEVELS, "x86-64-v9"])))
def test_the_highest_level_is_below_none_of_the_others(levels: list[str]) -> None:
    assert not any(is_below(highest_level(levels), level) for level in levels)


def test_a_machine_is_below_a_level_only_where_that_is_known() -> None:
    assert is_below("", "x86-64-v2")
    assert is_below("x86-64-v2", "x86-64-v3")
    assert not is_below("x86-64-v4", "x86-64-v3")
    assert not is_below(None, "x86-64-v4")
    assert not is_below("", "")
