"""Where an environment runs: models by driver branches, and what excludes the others."""

from envcap.gpu.model import GpuStack
from envcap.gpu.preflight import RUNS, Level
from envcap.gpu.where import WhereRow, where
from tests.gpu.stacks import FAISS_STACK, HIP_STACK, TABLE, TORCH_STACK, XFORMERS_STACK


def row_of(stack: GpuStack, model: str) -> WhereRow:
    return next(row for row in where(stack, TABLE) if model in row.models)


def test_torch_runs_on_an_h100_from_its_major_s_floor_on() -> None:
    assert row_of(TORCH_STACK, "H100") == WhereRow(
        vendor="nvidia",
        arch="9.0",
        models=("H100", "H200", "GH200"),
        level=Level.OK,
        at_least="580.65.06",
        at_best="595.45.04",
        compat=(535, 570),
    )


def test_a_geforce_has_no_forward_compatibility() -> None:
    assert row_of(TORCH_STACK, "GeForce RTX 4090").compat == ()


def test_faiss_excludes_h100() -> None:
    row = row_of(FAISS_STACK, "H100")
    assert (row.level, row.excluded_by) == (Level.WILL_NOT_RUN, ("faiss-gpu-cu12",))
    assert row.why == "has no code for compute capability 9.0, only for sm_70, sm_80"


def test_a_v100_has_a_ceiling() -> None:
    row = row_of(FAISS_STACK, "Tesla V100")
    assert (row.at_least, row.at_most, row.at_best) == ("525.60.13", "580", "575.51.03")


def test_a_gpu_is_driven_by_no_branch_from_before_it() -> None:
    assert row_of(XFORMERS_STACK, "GeForce RTX 5090").at_least == "570"
    assert row_of(XFORMERS_STACK, "B300").at_least == "575"


def test_a_driver_that_runs_a_part_only_is_not_where_it_runs() -> None:
    row = row_of(XFORMERS_STACK, "H100")
    assert (row.level, row.at_least) == (Level.JIT, "570")


def test_jetson_has_no_branches() -> None:
    row = row_of(TORCH_STACK, "Jetson AGX Orin")
    assert (row.at_least, row.compat, row.excluded_by) == ("", (), ("nvidia-cublas", "torch"))
    assert row_of(TORCH_STACK, "Jetson T5000").excluded_by == ("nvidia-cublas", "torch")


def test_rocm_runs_by_its_processors() -> None:
    assert row_of(HIP_STACK, "Instinct MI300X").level == Level.OK
    assert row_of(HIP_STACK, "Radeon RX 9070").level == Level.OK
    assert row_of(HIP_STACK, "Radeon 8060S").excluded_by == ("torch",)


def test_every_model_of_the_wanted_vendor_has_one_row() -> None:
    shown = [model for row in where(TORCH_STACK, TABLE) for model in row.models]
    assert sorted(shown) == sorted(model.name for model in TABLE.models if model.vendor == "nvidia")


def test_a_row_that_runs_is_excluded_by_nothing_and_the_others_say_by_what() -> None:
    for row in (*where(TORCH_STACK, TABLE), *where(FAISS_STACK, TABLE), *where(HIP_STACK, TABLE)):
        assert (row.level in RUNS) == (row.excluded_by == ())


def test_an_environment_without_gpu_code_has_no_rows() -> None:
    assert where(GpuStack(), TABLE) == ()


def test_a_gpu_that_comes_with_an_arm_cpu_runs_no_image_for_another() -> None:
    rows = {model: row for row in where(TORCH_STACK, TABLE, {"linux/amd64"}) for model in row.models}
    said = "its arm64 CPU"
    assert [(rows[name].level, rows[name].why) for name in ("GH200", "GB10", "Jetson AGX Orin")] == [
        (Level.WILL_NOT_RUN, said)
    ] * 3
    assert [rows[name].level for name in ("H100", "B200")] == [Level.OK] * 2


def test_an_image_for_arm_runs_on_a_gh200_as_on_an_h100() -> None:
    rows = {model: row for row in where(TORCH_STACK, TABLE, {"linux/arm64"}) for model in row.models}
    assert rows["GH200"] == rows["H100"]
    assert rows["GB10"].level == Level.OK
