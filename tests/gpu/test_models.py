"""GPU models: found by what people and drivers call them, or refused with the nearest names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import UsageError
from envcap.gpu.models import find_model, kind_of_device, model_of_device, representative
from tests.gpu.stacks import TABLE


@pytest.mark.parametrize("name", [model.name for model in TABLE.models])
def test_each_model_is_found_by_its_own_name(name: str) -> None:
    assert find_model(name, TABLE).name == name


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("H100", "H100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("h100-sxm5", "H100"),
        ("H100 NVL", "H100"),
        ("NVIDIA GH200 144G HBM3e", "GH200"),
        ("RTX 4090", "GeForce RTX 4090"),
        ("rtx4090", "GeForce RTX 4090"),
        ("4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "GeForce RTX 4090"),
        ("A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100"),
        ("Tesla V100-SXM2-32GB", "Tesla V100"),
        ("V100S-PCIE-32GB", "Tesla V100S"),
        ("MI300X", "Instinct MI300X"),
        ("AMD Instinct MI300X", "Instinct MI300X"),
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000 Blackwell"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("Quadro RTX 6000", "Quadro RTX 6000"),
        ("NVIDIA B300 SXM6 AC", "B300"),
    ],
)
def test_a_model_is_found_by_any_of_its_names(asked: str, name: str) -> None:
    assert find_model(asked, TABLE).name == name


def test_a_name_of_several_models_is_refused_with_all_of_them() -> None:
    with pytest.raises(UsageError) as caught:
        find_model("RTX 6000", TABLE)
    assert caught.value.message == "'RTX 6000' may be any of several GPUs"
    assert caught.value.hint == ("say which: `Quadro RTX 6000`, `RTX A6000`, `RTX 6000 Ada`, `RTX PRO 6000 Blackwell`")


def test_part_of_the_names_of_several_models_is_none_of_them() -> None:
    with pytest.raises(UsageError) as caught:
        find_model("3060", TABLE)
    assert caught.value.hint == "the nearest names: `GeForce RTX 3060`, `GeForce RTX 3060 Ti`"


def test_an_unknown_name_is_refused_in_one_line_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_model("H300\n" + "x" * 500, TABLE)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 120
    with pytest.raises(UsageError) as caught:
        find_model("H300", TABLE)
    assert caught.value.hint == "the nearest names: `H200`, `H100`, `B300`"


@given(st.text(max_size=200))
def test_any_name_is_a_model_or_a_usage_error(name: str) -> None:
    model = model_of_device(name, TABLE)
    assert model is None or model in TABLE.models


@pytest.mark.parametrize(
    ("name", "context", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "bare", "datacenter"),
        ("NVIDIA GeForce RTX 6090", "bare", "consumer"),
        ("Tesla X1000", "bare", "datacenter"),
        ("Quadro X1", "bare", "workstation"),
        ("NVIDIA Thor", "jetson", "jetson"),
        ("NVIDIA Something", "bare", ""),
    ],
)
def test_a_device_s_kind_is_its_model_s_or_its_brand_s(name: str, context: str, kind: str) -> None:
    assert kind_of_device(name, context, TABLE) == kind


def test_an_architecture_is_named_by_its_best_known_model() -> None:
    archs = ["9.0", "12.0", "8.7", "12.1", "99.0"]
    assert [representative("nvidia", arch, TABLE) for arch in archs] == [
        "H100",
        "GeForce RTX 5090",
        "Jetson AGX Orin",
        "GB10",
        "99.0",
    ]
