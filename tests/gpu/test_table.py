"""The compatibility table: strict, complete, and what it answers."""

from importlib.resources import files

import pytest

from envcap.errors import EnvcapError
from envcap.gpu.lookup import (
    api_of_driver,
    capability_of,
    compat_package,
    cuda_of_ptx,
    floor_of,
    is_tested_pair,
    kernel_drivers_for,
    known_library,
    native_driver,
)
from envcap.gpu.table import gpu_table, parse_table
from envcap.gpu.targets import parse_capability
from envcap.gpu.versions import dotted, parse_version

TABLE = gpu_table()
TEXT = (files("envcap.gpu") / "table.toml").read_text(encoding="utf-8")


def test_the_table_has_a_version_that_locks_can_name() -> None:
    assert TABLE.rules == "2026.11.2"
    assert parse_version(TABLE.rules) is not None


def test_the_table_is_read_once() -> None:
    assert gpu_table() is TABLE


def test_every_model_of_nvidia_has_a_capability_that_the_table_knows() -> None:
    known = {row.version for row in TABLE.capabilities}
    assert [
        one.name for one in TABLE.models if one.vendor == "nvidia" and parse_capability(one.arch) not in known
    ] == []


def test_every_model_has_a_kind_of_which_forward_compatibility_is_known() -> None:
    assert {model.kind for model in TABLE.models} <= TABLE.compat_kinds.keys()


def test_no_two_models_have_one_name() -> None:
    names = [model.name.lower() for model in TABLE.models]
    assert sorted(set(names)) == sorted(names)


def test_a_toolkit_s_driver_speaks_the_toolkit_s_api() -> None:
    found = {dotted(row.cuda): api_of_driver(parse_version(row.driver) or (), TABLE) for row in TABLE.toolkits}
    assert found == {dotted(row.cuda): row.cuda for row in TABLE.toolkits}


def test_a_floor_speaks_its_major() -> None:
    assert {row.major: (api_of_driver(parse_version(row.driver) or (), TABLE) or ())[0] for row in TABLE.floors} == {
        11: 11,
        12: 12,
        13: 13,
    }


def test_newer_branches_speak_no_older_cuda() -> None:
    spoken = [row.cuda for row in TABLE.branches]
    assert spoken == sorted(spoken)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (TEXT + "\n[extra]\nkey = 1\n", "'extra'"),
        (TEXT.replace("major = 12", 'major = "12"'), "expects a number, found '12'"),
        (TEXT.replace("major = 12", "major = 14"), "'floor' are out of order"),
        (TEXT.replace('isa = "8.7"', 'isa = "8.6"'), "'ptx' are out of order"),
        (TEXT.replace('driver = "580.65.06"', 'driver = "R580"', 1), "expects a version, found 'R580'"),
        (TEXT.replace("last-branch = 580", "last_branche = 580", 1), r"unknown key 'last_branche' in capability\[0\]"),
        (TEXT.replace('source = "cuda-gpus"', 'source = "hearsay"', 1), "names no source 'hearsay'"),
        (TEXT.replace("dispatches = true", 'dispatches = "yes"', 1), "expects true or false"),
        (TEXT.replace('source = "hip-generic"', "", 1), r"lacks 'source' in generic\[0\]"),
        (TEXT.replace(f'rules = "{TABLE.rules}"', "rules = 2026"), "expects text"),
        ("rules = ", "is no TOML"),
        ('rules = "1"\n', "'branch'"),
        (TEXT.replace("branches = [470, 535, 550]", "branches = 470"), "expects a list"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(broken: str, message: str) -> None:
    assert broken != TEXT
    with pytest.raises(EnvcapError, match=message):
        parse_table(broken)


def test_floors_are_by_major() -> None:
    floors = [floor_of(major, TABLE) for major in (10, 11, 12, 13, 14)]
    assert [floor and floor.driver for floor in floors] == [None, "450.80.02", "525.60.13", "580.65.06", None]


@pytest.mark.parametrize(
    ("cuda", "driver"), [((12, 8), "570.26"), ((12, 7), "570.26"), ((13, 2), "595.45.04"), ((13, 5), "")]
)
def test_the_native_driver_is_that_of_the_first_toolkit_which_is_new_enough(cuda: tuple[int, int], driver: str) -> None:
    assert native_driver(cuda, TABLE) == driver


@pytest.mark.parametrize(
    ("driver", "api"), [((449, 1), None), ((580, 95, 5), (13, 0)), ((572,), (12, 8)), ((999,), (13, 4))]
)
def test_a_driver_between_known_branches_speaks_what_the_lower_one_does(
    driver: tuple[int, ...], api: tuple[int, int] | None
) -> None:
    assert api_of_driver(driver, TABLE) == api


def test_ptx_is_compiled_from_its_cuda_on() -> None:
    found = [cuda_of_ptx(isa, TABLE) for isa in ((6, 5), (7, 8), (8, 5), (9, 4), (10, 0))]
    assert found == [(10, 2), (11, 8), (12, 5), (13, 4), None]


def test_volta_is_driven_up_to_r580_and_turing_by_every_later_branch() -> None:
    assert [(row and row.last_branch) for row in (capability_of((7, 0), TABLE), capability_of((7, 5), TABLE))] == [
        580,
        0,
    ]
    assert capability_of((7, 1), TABLE) is None


@pytest.mark.parametrize(
    ("cuda", "package"),
    [((13, 1), (13, 1)), ((13, 5), (13, 3)), ((12, 3), (12, 5)), ((12, 9), (12, 9)), ((10, 2), None)],
)
def test_a_compat_package_is_the_next_of_its_major(cuda: tuple[int, int], package: tuple[int, int] | None) -> None:
    found = compat_package(cuda, TABLE)
    assert (found and found.cuda) == package


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("nvidia/cublas/lib/libcublasLt.so.12", "libcublasLt.so"),
        ("nvidia/cudnn/lib/libcudnn_ops.so.9.26.0", "libcudnn*.so"),
        ("torch/lib/libtorch_cuda.so", None),
        ("x/libnccl.so.2", "libnccl.so"),
        ("x/libnccl-net.so", None),
    ],
)
def test_self_dispatching_libraries_are_known_by_their_soname(file: str, known: str | None) -> None:
    library = known_library(file, TABLE)
    assert (library and library.name) == known


def test_rocm_pairs_are_tested_not_tested_or_not_told_of() -> None:
    pairs = [("30.30.3", "7.1"), ("6.3", "7.2"), ("29.1", "7.2"), ("in-tree", "7.2")]
    assert [is_tested_pair(*pair, TABLE) for pair in pairs] == [True, False, None, None]
    assert kernel_drivers_for("7.2", TABLE) == ("30.10", "30.20", "30.30")
