"""Reading HIP's offload bundles, plain and compressed, honest and damaged."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.errors import ScanError
from envcap.gpu.hip import find_bundles, read_bundles
from envcap.gpu.model import CodeSet
from envcap.gpu.tally import FoundCode
from tests.gpu.assemble import BUNDLE_MAGIC, bundle, compressed, hip, pages


def read(data: bytes) -> FoundCode:
    return read_bundles(memoryview(data))


def test_targets_of_each_bundle_are_counted() -> None:
    data = pages(hip("gfx942", "gfx90a"), hip("gfx942", "gfx90a"), hip("gfx1100"))

    assert read(data).sets == (
        CodeSet(count=1, targets=("gfx1100",)),
        CodeSet(count=2, targets=("gfx90a", "gfx942")),
    )


def test_features_and_generic_targets_keep_their_names() -> None:
    data = pages(hip("gfx90a:sramecc+:xnack-", "gfx9-4-generic"))

    assert read(data).sets == (CodeSet(count=1, targets=("gfx9-4-generic", "gfx90a:sramecc+:xnack-")),)


def test_identifiers_of_older_and_newer_compilers_are_known() -> None:
    data = bundle(
        ["hip-amdgcn-amd-amdhsa-gfx803", "hip-amdgcn-amd-amdhsa--gfx906", "hip-spirv64-amd-amdhsa--amdgcnspirv"]
    )

    assert read(data).sets == (CodeSet(count=1, targets=("amdgcnspirv", "gfx803", "gfx906")),)


def test_bundle_of_something_else_is_said() -> None:
    assert read(bundle(["host-x86_64--", "openmp-nvptx64-nvidia-cuda--sm_80"])) == FoundCode(jit=("unknown-bundle",))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_compressed_bundles_are_read_one_after_the_other(version: int, method: str) -> None:
    one = compressed(hip("gfx942"), version=version, method=method)
    other = compressed(hip("gfx1201"), version=version, method=method)

    assert read(pages(one, other, one)).sets == (
        CodeSet(count=1, targets=("gfx1201",)),
        CodeSet(count=2, targets=("gfx942",)),
    )


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_compressed_bundle_of_the_first_version_does_not_say_its_size(method: str) -> None:
    data = pages(compressed(hip("gfx90a"), version=1, method=method), hip("gfx942"))

    assert [row.targets for row in read(data).sets] == [("gfx90a",), ("gfx942",)]


def test_large_code_in_a_compressed_bundle_is_not_decompressed() -> None:
    data = compressed(bundle(["hipv4-amdgcn-amd-amdhsa--gfx942"], code=bytes(64 << 20)))

    assert read(data).sets == (CodeSet(count=1, targets=("gfx942",)),)


UNPACKABLE = struct.pack("<4sHHQQQ", b"CCOB", 3, 1, 64, 9, 0) + bytes(32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no bundle", "no offload bundle where one should start"),
        (BUNDLE_MAGIC, "an offload bundle cut off"),
        (BUNDLE_MAGIC + struct.pack("<Q", 10**9), "an offload bundle of 1000000000 entries"),
        (BUNDLE_MAGIC + struct.pack("<QQQQ", 1, 0, 0, 10**6), "an identifier of 1000000 bytes in an offload bundle"),
        (hip("gfx942")[:4098], "an offload bundle at 0 has code beyond the section's end"),
        (b"CCOB\x09\0\1\0" + bytes(60), "a compressed offload bundle of version 9, method 1"),
        (b"CCOB", "a compressed offload bundle of version 0, method 0"),
        (compressed(hip("gfx942"))[:-1], "a compressed offload bundle of 1"),
        (UNPACKABLE, "a compressed offload bundle that can't be decompressed"),
        (compressed(b"something else"), "no offload bundle in the compressed one at 0"),
    ],
)  # fmt: skip
def test_damaged_bundles_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ScanError) as caught:
        read(data)
    assert caught.value.message.startswith(f"Damaged GPU code ({message}")


def test_search_finds_bundles_at_pages_and_passes_over_damaged_ones() -> None:
    data = pages(b"x" * 5000, b"CCOB\x03\0\1\0", hip("gfx942"), compressed(hip("gfx90a")))

    assert [row.targets for row in find_bundles(memoryview(data)).sets] == [("gfx90a",), ("gfx942",)]


def test_more_bundles_than_any_compiler_writes_are_refused() -> None:
    with pytest.raises(ScanError, match="more than 20000 containers"):
        find_bundles(memoryview(pages(*[b"CCOB"] * 20_002)))


VALID = pages(hip("gfx942", "gfx90a"), compressed(hip("gfx1100")), compressed(hip("gfx1030"), version=2, method="zlib"))


def outcome(function: Callable[[memoryview], object], data: bytes) -> str:
    try:
        function(memoryview(data))
    except ScanError as error:
        return "refused" if error.message.startswith("Damaged GPU code (") else error.message
    return "read"


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, 200 * 8) | st.integers(0, len(VALID) * 8 - 1), min_size=1, max_size=4),
    st.integers(0, len(VALID)),
)
def test_flipped_bits_and_cut_ends_are_read_or_refused(flips: list[int], cut: int) -> None:
    data = bytearray(VALID)
    for bit in flips:
        data[bit // 8] ^= 1 << bit % 8
    for function in (read_bundles, find_bundles):
        for piece in (bytes(data), bytes(data[:cut])):
            assert outcome(function, piece) in {"read", "refused"}


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from([b"", b"CCOB\3\0\1\0", b"CCOB\2\0\0\0", BUNDLE_MAGIC]))
def test_any_bytes_are_read_or_refused(data: bytes, start: bytes) -> None:
    assert outcome(read_bundles, start + data) in {"read", "refused"}
    assert outcome(find_bundles, start + data) in {"read", "refused"}
