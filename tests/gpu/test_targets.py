"""Targets: their spelling round-trips, and the rules of which device runs which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import EnvcapError
from envcap.gpu.targets import (
    TEGRA,
    AmdTarget,
    CudaTarget,
    can_compile,
    format_capability,
    is_native,
    parse_capability,
    parse_target,
    runs_on_processor,
    target_or_none,
    vendor_of_target,
)

CAPABILITIES = st.tuples(st.integers(1, 40), st.integers(0, 9))
CUDA = st.builds(
    CudaTarget,
    ptx=st.just(value=False),
    capability=CAPABILITIES,
    suffix=st.sampled_from(["", "a", "f"]),
)
PTX = st.builds(
    CudaTarget,
    ptx=st.just(value=True),
    capability=CAPABILITIES,
    suffix=st.sampled_from(["", "a", "f"]),
    isa=st.one_of(st.just(()), st.tuples(st.integers(1, 20), st.integers(0, 12))),
)
AMD = st.builds(
    AmdTarget,
    processor=st.sampled_from(["gfx900", "gfx90a", "gfx942", "gfx1201", "gfx9-generic", "gfx9-4-generic"]),
    features=st.lists(
        st.tuples(st.sampled_from(["xnack", "sramecc"]), st.sampled_from("+-")),
        max_size=2,
        unique_by=lambda one: one[0],
    ).map(tuple),
)
GENERICS = {"gfx9-4-generic": ("gfx942", "gfx950")}


def format_target(target: CudaTarget | AmdTarget) -> str:
    """Write a target as `parse_target` reads it."""
    if isinstance(target, AmdTarget):
        return target.processor + "".join(f":{name}{sign}" for name, sign in target.features)
    major, minor = target.capability
    version = "@" + ".".join(map(str, target.isa)) if target.isa else ""
    return f"{'compute' if target.ptx else 'sm'}_{major}{minor}{target.suffix}{version}"


@given(st.one_of(CUDA, PTX, AMD))
def test_a_target_reads_as_it_was_written(target: CudaTarget | AmdTarget) -> None:
    assert parse_target(format_target(target)) == target


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_is_refused(text: str) -> None:
    target = target_or_none(text)
    if target is not None:
        assert format_target(target) == text


@pytest.mark.parametrize(
    "text",
    ["", "sm_", "sm_9", "sm_90b", "sm_90@9.0", "sm_090", "SM_90", "compute_90@9", "compute_90@9.0.0", "gfx", "gfx9",
     "gfx90a:xnack", "gfx90a:XNACK+", "gfx9-4-5-generic", "sm_90\n", "sm_٩٠", "spir64", "gfx90a" + ":xnack+" * 5],
)  # fmt: skip
def test_what_no_compiler_writes_is_no_target(text: str) -> None:
    with pytest.raises(EnvcapError, match="is no target of GPU code: expected one such as sm_90a"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("sm_80", ["8.0", "8.6", "8.9"]),
        ("sm_86", ["8.6", "8.9"]),
        ("sm_87", ["8.7"]),
        ("sm_90", ["9.0"]),
        ("sm_90a", ["9.0"]),
        ("sm_100", ["10.0", "10.3", "10.7"]),
        ("sm_100a", ["10.0"]),
        ("sm_100f", ["10.0", "10.3", "10.7"]),
        ("sm_101", []),
        ("sm_103f", ["10.3", "10.7"]),
        ("sm_110", ["11.0"]),
        ("sm_120", ["12.0", "12.1"]),
        ("compute_80@8.7", []),
    ],
)
def test_machine_code_runs_on_its_major_from_its_minor_on(text: str, runs: list[str]) -> None:
    target = parse_target(text)
    assert isinstance(target, CudaTarget)
    every = ["7.0", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "10.3", "10.7", "11.0", "12.0", "12.1"]
    assert [one for one in every if is_native(target, parse_capability(one) or ())] == runs


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("compute_80", ["8.0", "8.7", "9.0", "10.0", "10.3", "12.0"]),
        ("compute_90a@8.0", ["9.0"]),
        ("compute_100f@8.8", ["10.0", "10.3"]),
        ("sm_80", []),
    ],
)
def test_ptx_can_be_compiled_for_all_that_came_later(text: str, runs: list[str]) -> None:
    target = parse_target(text)
    assert isinstance(target, CudaTarget)
    every = ["7.5", "8.0", "8.7", "9.0", "10.0", "10.3", "12.0"]
    assert [one for one in every if can_compile(target, parse_capability(one) or ())] == runs


@given(CUDA, CAPABILITIES, st.integers(0, 9))
def test_code_that_runs_on_a_minor_runs_on_the_later_ones(
    target: CudaTarget, capability: tuple[int, int], more: int
) -> None:
    later = (capability[0], min(9, capability[1] + more))
    if target.suffix != "a" and is_native(target, capability) and TEGRA.isdisjoint({target.capability, later}):
        assert is_native(target, later)


@given(PTX, CAPABILITIES, CAPABILITIES)
def test_plain_ptx_that_compiles_for_a_device_compiles_for_all_later_ones(
    target: CudaTarget, one: tuple[int, int], other: tuple[int, int]
) -> None:
    if not target.suffix and can_compile(target, min(one, other)):
        assert can_compile(target, max(one, other))


@given(st.one_of(CUDA, PTX), CAPABILITIES)
def test_a_suffix_only_narrows(target: CudaTarget, capability: tuple[int, int]) -> None:
    plain = CudaTarget(ptx=target.ptx, capability=target.capability, isa=target.isa)
    if is_native(target, capability) or can_compile(target, capability):
        assert is_native(plain, capability) or can_compile(plain, capability)


@pytest.mark.parametrize(
    ("text", "processor", "traits", "runs"),
    [
        ("gfx942", "gfx942", {}, True),
        ("gfx942", "gfx90a", {}, False),
        ("gfx9-4-generic", "gfx942", {}, True),
        ("gfx9-4-generic", "gfx90a", {}, False),
        ("gfx90a:xnack+", "gfx90a", {}, True),
        ("gfx90a:xnack+", "gfx90a", {"xnack": "-"}, False),
        ("gfx90a:xnack+", "gfx90a", {"xnack": "on"}, True),
        ("gfx90a:sramecc+:xnack-", "gfx90a", {"xnack": "off", "sramecc": "on"}, True),
    ],
)
def test_amd_code_runs_on_its_processor_with_its_features(
    text: str, processor: str, traits: dict[str, str], *, runs: bool
) -> None:
    target = parse_target(text)
    assert isinstance(target, AmdTarget)
    assert runs_on_processor(target, processor, traits, GENERICS) is runs


def test_a_target_tells_whose_devices_it_is_for() -> None:
    targets = ["sm_90", "compute_90@9.0", "gfx90a", "spir64"]
    assert [vendor_of_target(text) for text in targets] == ["nvidia", "nvidia", "amd", ""]


@given(CAPABILITIES)
def test_a_capability_reads_as_it_was_written(capability: tuple[int, int]) -> None:
    assert parse_capability(format_capability(capability)) == capability


@pytest.mark.parametrize("text", ["", "9", "9.", "09.0", "9.10", "9.0a", "gfx942", "\N{ARABIC-INDIC DIGIT ONE}.0"])
def test_what_is_no_capability_is_none(text: str) -> None:
    assert parse_capability(text) is None
