"""A stack in brief fares as the whole one does: with the same levels, and the same packages in the way."""

from hypothesis import given
from hypothesis import strategies as st

from envcap.gpu.brief import abridge
from envcap.gpu.judge import judge_machine
from envcap.gpu.model import GpuCode, GpuLibrary, GpuStack
from envcap.gpu.needs import capabilities_of, required_groups
from envcap.gpu.preflight import Level
from envcap.gpu.targets import TEGRA
from envcap.gpu.words import exclusions
from tests.gpu.stacks import CUDART_12, CUDART_13, TABLE, TORCH, device, machine, sets

TARGETS = st.sets(
    st.sampled_from(["sm_70", "sm_80", "sm_86", "sm_90", "sm_90a", "sm_120", "compute_80@8.7", "compute_90@9.9"]),
    max_size=4,
)
NAMES = ["liba.so", "libb.so", "libcublas.so.12", "libcusparseLt.so.0", "lib_cuda126.so", "lib_cuda130.so"]
CODES = st.lists(
    st.builds(
        GpuCode,
        file=st.builds("{}/{}".format, st.integers(0, 9), st.sampled_from(NAMES)),
        provider=st.sampled_from(["", "a", "b", "c"]),
        sets=st.lists(st.tuples(st.integers(1, 3), TARGETS), max_size=2).map(lambda rows: sets(*rows)),
        jit=st.sampled_from([(), ("lto",)]),
    ),
    max_size=8,
    unique_by=lambda code: code.file,
).map(tuple)
LINKED = GpuLibrary(name="cudart (static)", version="", provider="a")
STACKS = st.builds(
    GpuStack,
    libraries=st.sampled_from([(), (CUDART_12,), (CUDART_13,), (LINKED,), (CUDART_12, LINKED)]),
    frameworks=st.sampled_from([(), (TORCH,)]),
    code=CODES,
)


@given(STACKS, st.sampled_from(["8.0", "8.6", "9.0", "12.0"]), st.sampled_from(["470.82.01", "550.54.14", "595.45.04"]))
def test_a_stack_in_brief_has_the_verdict_of_the_whole_and_the_same_packages_in_its_way(
    whole: GpuStack, arch: str, driver: str
) -> None:
    brief = abridge(whole, arch, TABLE)
    here = machine(driver, device("NVIDIA H100 80GB HBM3", arch))

    full, short = (judge_machine(stack, here, TABLE) for stack in (whole, brief.stack))

    assert [one.level for one in short.devices] == [one.level for one in full.devices]
    for one, other in zip(full.devices, short.devices, strict=True):
        assert brief.excluding(other) == tuple(sorted({row.name for row in one.libraries if row.level == one.level}))
        assert other.findings == one.findings


def test_libraries_that_fare_alike_are_judged_once() -> None:
    code = tuple(
        GpuCode(file=f"{index}.so", provider=f"p{index}", sets=sets((index + 1, ["sm_80", "compute_80@8.7"])))
        for index in range(300)
    )
    brief = abridge(GpuStack(libraries=(CUDART_12,), code=code), "9.0", TABLE)
    (verdict,) = judge_machine(brief.stack, machine("550.54.14", device("H100", "9.0")), TABLE).devices

    assert [row.file for row in brief.stack.code] == ["0.so"]
    assert verdict.level == Level.WILL_NOT_RUN
    assert len(brief.excluding(verdict)) == 300


@given(CODES)
def test_a_package_excludes_what_the_others_run_on_and_all_together_don_t(code: tuple[GpuCode, ...]) -> None:
    whole = _runs(code)
    alone = {}
    for name in {row.provider or row.file.rpartition("/")[2] for row in code}:
        rest = tuple(row for row in code if (row.provider or row.file.rpartition("/")[2]) != name)
        newer = [one for one in _runs(rest) if one not in TEGRA and (not whole or one > whole[-1])]
        if newer and required_groups(rest, TABLE):
            alone[name] = newer

    assert {name for name, _ in exclusions(GpuStack(code=code), TABLE)} == set(alone)


def _runs(code: tuple[GpuCode, ...]) -> tuple[tuple[int, ...], ...]:
    return capabilities_of(required_groups(code, TABLE), TABLE)
