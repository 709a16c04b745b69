"""Telling kernels of SYCL by the sections of a library."""

from hypothesis import given
from hypothesis import strategies as st

from envcap.gpu.model import CodeSet
from envcap.gpu.sycl import SECTION, read_images
from envcap.gpu.tally import FoundCode
from tests.gpu.assemble import spirv

ENTRY_POINT, CAPABILITY = (15, 4), (17, 2)
KERNEL = spirv(CAPABILITY, ENTRY_POINT)


def read(**sections: bytes) -> FoundCode:
    return read_images((SECTION + name, memoryview(data)) for name, data in sections.items())


def test_code_for_a_driver_and_code_compiled_ahead_are_one_container() -> None:
    assert read(spir64=KERNEL, spir64_gen=b"zebin").sets == (CodeSet(count=1, targets=("spir64", "spir64_gen")),)


def test_module_without_an_entry_point_holds_nothing() -> None:
    assert read(spir64=spirv(CAPABILITY, CAPABILITY)) == FoundCode()


def test_entry_point_of_the_second_module_counts() -> None:
    assert read(spir64=spirv(CAPABILITY) + KERNEL).sets == (CodeSet(count=1, targets=("spir64",)),)


def test_large_section_counts_without_being_looked_into() -> None:
    assert read(spir64=spirv(*[CAPABILITY] * 1000)).sets == (CodeSet(count=1, targets=("spir64",)),)


def test_other_makers_and_odd_names_are_said() -> None:
    assert read(nvptx64=b"x", **{"x y": b"x"}) == FoundCode(jit=("sycl-nvptx64", "unknown-sycl"))


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    assert read(spir64=spirv()[:4] + data).jit == ()
