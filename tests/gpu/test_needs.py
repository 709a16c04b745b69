"""Needs: derived, minimal, with their reasons."""

from hypothesis import given
from hypothesis import strategies as st

from envcap.gpu.coverage import cover_capability
from envcap.gpu.model import CodeSet, GpuCode, GpuFramework, GpuLibrary, GpuNeed
from envcap.gpu.needs import capabilities_of, derive_needs
from envcap.gpu.runtimes import cuda_runtimes, wanted_vendors
from envcap.gpu.targets import TEGRA, format_capability, parse_capability
from tests.gpu.stacks import (
    BITS_126,
    BITS_130,
    BITS_ROCM,
    CUDART_12,
    CUDART_13,
    CUSOLVER,
    CUSPARSE,
    FAISS_STACK,
    HIP_STACK,
    LIBTORCH,
    TABLE,
    TORCH,
    TORCH_STACK,
    XFORMERS_STACK,
    XGBOOST_STACK,
    sets,
    stack,
)


def test_torch_needs_a_driver_of_its_cuda_s_major_and_the_gpus_of_its_code() -> None:
    assert stack(LIBTORCH, libraries=(CUDART_13,), frameworks=(TORCH,)).needs == (
        GpuNeed(
            subject="compute-capability",
            at_least="7.5",
            at_most="12.1",
            because=(
                "libtorch_cuda.so of torch has sm_75, sm_80, sm_86, sm_90, sm_100, sm_120, sm_90a, sm_100a, sm_103f",
            ),
        ),
        GpuNeed(subject="nvidia-driver", at_least="580.65.06", because=("cudart 13.2 of nvidia-cuda-runtime 13.2.75",)),
    )


def test_faiss_needs_an_old_driver_and_no_gpu_newer_than_ada() -> None:
    assert FAISS_STACK.needs == (
        GpuNeed(
            subject="compute-capability",
            at_least="7.0",
            at_most="8.9",
            because=("_swigfaiss.so of faiss-gpu-cu12 has sm_70, sm_80",),
        ),
        GpuNeed(
            subject="nvidia-driver",
            at_least="525.60.13",
            because=("cudart 12.9 of nvidia-cuda-runtime-cu12 12.9.79",),
        ),
    )


def test_xgboost_s_linked_runtime_is_told_by_its_ptx() -> None:
    driver = next(need for need in XGBOOST_STACK.needs if need.subject == "nvidia-driver")
    assert driver == GpuNeed(
        subject="nvidia-driver", at_least="580.65.06", because=("cudart (static) 13.3 of xgboost",)
    )


def test_ptx_asks_for_a_driver_on_the_gpus_that_need_it() -> None:
    assert [need for need in XFORMERS_STACK.needs if need.subject != "nvidia-driver"] == [
        GpuNeed(
            subject="compute-capability",
            at_least="7.5",
            because=("_C.so of xformers has sm_75, sm_80, sm_90a, compute_80@8.7",),
        ),
        GpuNeed(
            subject="nvidia-driver-jit",
            at_least="570.26",
            one_of=("9.0", "10.0", "10.3", "10.7", "12.0", "12.1"),
            because=("PTX of CUDA 12.8 in _C.so of xformers",),
        ),
    ]


def test_ptx_that_the_lowest_driver_compiles_asks_for_nothing() -> None:
    old = GpuCode(file="a.so", provider="a", sets=sets((1, ["sm_75", "compute_75@8.0"])))
    assert [need.subject for need in stack(old, libraries=(CUDART_13,)).needs] == [
        "compute-capability",
        "nvidia-driver",
    ]


def test_code_for_old_gpus_alone_has_a_ceiling() -> None:
    old = GpuCode(file="a.so", provider="a", sets=sets((1, ["sm_50", "sm_60"])))
    driver = next(need for need in stack(old, libraries=(CUDART_12,)).needs if need.subject == "nvidia-driver")
    assert (driver.at_least, driver.at_most) == ("525.60.13", "580")


def test_the_highest_major_decides_and_gives_the_only_reason() -> None:
    driver = next(
        need
        for need in derive_needs((CUDART_12, CUDART_13), (TORCH,), (LIBTORCH,), TABLE)
        if need.subject == "nvidia-driver"
    )
    assert driver.because == ("cudart 13.2 of nvidia-cuda-runtime 13.2.75",)


def test_a_framework_s_word_counts_where_no_runtime_is_seen() -> None:
    found = cuda_runtimes((), (TORCH, GpuFramework(name="jax", version="0.10", built_for="cuda 12")), (), TABLE)
    assert [(one.version, one.because) for one in found] == [
        ((13, 2), "torch 2.15.0 built for cuda 13.2"),
        ((12, 0), "jax 0.10 built for cuda 12"),
    ]


def test_a_toolkit_counts_where_its_runtime_is_not_seen() -> None:
    toolkit = GpuLibrary(name="cuda", version="12.6", provider="conda:cuda-version")
    assert [one.version for one in cuda_runtimes((toolkit,), (), (), TABLE)] == [(12, 6)]
    assert [one.version for one in cuda_runtimes((toolkit, CUDART_12), (), (), TABLE)] == [(12, 9)]


def test_libraries_that_share_no_gpu_leave_none_and_are_the_reasons() -> None:
    old = GpuCode(file="old.so", provider="old", sets=sets((1, ["sm_70"])))
    new = GpuCode(file="new.so", provider="new", sets=sets((1, ["sm_90"])))
    need = next(one for one in stack(old, new).needs if one.subject == "compute-capability")
    assert need == GpuNeed(subject="compute-capability", because=("new.so of new has sm_90", "old.so of old has sm_70"))


def test_a_library_that_leaves_out_nothing_is_no_reason() -> None:
    wide = GpuCode(file="wide.so", provider="wide", sets=sets((1, ["sm_50", "compute_50@7.0"])))
    need = next(one for one in stack(wide, *FAISS_STACK.code).needs if one.subject == "compute-capability")
    assert need.because == ("_swigfaiss.so of faiss-gpu-cu12 has sm_70, sm_80",)


def test_jetson_s_capabilities_part_no_range_of_cards() -> None:
    """`sm_80` runs on every card of its major, and not on an Orin (8.7)."""
    ampere = GpuCode(file="a.so", provider="a", sets=sets((1, ["sm_80"])))
    orin = GpuCode(file="a.so", provider="a", sets=sets((1, ["sm_87"])))
    needs = [stack(code).needs[0] for code in (ampere, orin)]
    assert [(need.at_least, need.at_most, need.one_of) for need in needs] == [("8.0", "8.9", ()), ("8.7", "8.7", ())]
    assert [
        version in capabilities_of([(code,)], TABLE) for code in (ampere, orin) for version in ((8, 7), (8, 9))
    ] == [
        False,
        True,
        True,
        False,
    ]


def test_optional_libraries_narrow_nothing() -> None:
    need = next(one for one in TORCH_STACK.needs if one.subject == "compute-capability")
    assert (need.at_least, need.at_most) == ("7.5", "12.1")


def test_libraries_that_choose_kernels_by_device_narrow_nothing() -> None:
    need = next(one for one in stack(LIBTORCH, CUSOLVER, CUSPARSE).needs if one.subject == "compute-capability")
    assert (need.at_least, need.at_most) == ("7.5", "12.1")


def test_of_variants_the_widest_counts() -> None:
    need = next(one for one in stack(BITS_126, BITS_130).needs if one.subject == "compute-capability")
    assert (need.at_least, need.at_most) == ("6.0", "12.1")


def test_rocm_needs_a_tested_driver_and_the_gpus_of_its_code() -> None:
    assert HIP_STACK.needs == (
        GpuNeed(
            subject="amdgpu",
            one_of=("30.10", "30.20", "30.30"),
            because=("torch 2.15.0+rocm7.2 built for rocm 7.2",),
        ),
        GpuNeed(
            subject="gfx",
            one_of=("gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1200", "gfx1201"),
            because=("libtorch_hip.so of torch has gfx908, gfx90a, gfx942, gfx1030, gfx1100, gfx12-generic",),
        ),
    )


def test_code_for_amd_beside_a_runtime_of_cuda_needs_nothing_of_amd() -> None:
    found = stack(BITS_130, BITS_ROCM, libraries=(CUDART_13,))
    assert {need.subject for need in found.needs} == {"compute-capability", "nvidia-driver"}
    assert wanted_vendors(found) == ("nvidia",)


def test_an_environment_without_gpu_code_needs_nothing() -> None:
    assert derive_needs((), (), (), TABLE) == ()
    cpu = GpuFramework(name="torch", version="2.15.0+cpu", built_for="cpu")
    assert derive_needs((), (cpu,), (), TABLE) == ()


TARGETS = st.sampled_from(
    ["sm_50", "sm_70", "sm_75", "sm_80", "sm_90", "sm_90a", "sm_100f", "sm_120", "compute_80@8.7", "compute_90@9.9",
     "gfx90a", "spir64", "nonsense"],
)  # fmt: skip
CODE = st.builds(
    GpuCode,
    file=st.sampled_from(
        ["a/liba.so", "b/libcublas.so.12", "c/libcusparseLt.so.0", "d/d_cuda126.so", "d/d_cuda130.so"]
    ),
    provider=st.sampled_from(["", "a", "b"]),
    sets=st.lists(
        st.builds(CodeSet, count=st.integers(1, 9), targets=st.lists(TARGETS, max_size=4).map(tuple)), max_size=3
    ).map(tuple),
)


@given(st.lists(CODE, max_size=4))
def test_needs_do_not_depend_on_the_order_of_the_code(code: list[GpuCode]) -> None:
    found = derive_needs((CUDART_12,), (), code, TABLE)
    assert derive_needs((CUDART_12,), (), code[::-1], TABLE) == found


@given(st.lists(CODE, max_size=4))
def test_every_container_is_counted_once_or_is_for_one_architecture_on_purpose(code: list[GpuCode]) -> None:
    for one in code:
        whole = sum(row.count for row in one.sets if any(text.startswith(("sm_", "compute_")) for text in row.targets))
        for row in TABLE.capabilities:
            assert cover_capability(one, row.version).total <= whole


@given(st.lists(CODE, max_size=3), CODE)
def test_more_code_never_widens_the_gpus_that_run_it(code: list[GpuCode], more: GpuCode) -> None:
    fewer, wider = (_capabilities(derive_needs((), (), rows, TABLE)) for rows in ([*code, _own(more)], code))
    assert fewer <= wider


def _own(code: GpuCode) -> GpuCode:
    """Give a library a place of its own, so that it is no variant of another."""
    return GpuCode(file="own/libown.so", provider="own", sets=code.sets)


def _capabilities(needs: tuple[GpuNeed, ...]) -> set[str]:
    """Give the capabilities of cards: a range says nothing of Jetson's, which lie between them."""
    known = [format_capability(row.version) for row in TABLE.capabilities if row.version not in TEGRA]
    need = next((one for one in needs if one.subject == "compute-capability"), None)
    if need is None:
        return set(known)
    if need.at_least:
        bounds = (parse_capability(need.at_least) or (), parse_capability(need.at_most) or (99, 0))
        return {one for one in known if bounds[0] <= (parse_capability(one) or ()) <= bounds[1]}
    return set(need.one_of) & set(known)
