"""The variables that may be recorded, and what of their values."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.variables import (
    OUTSIDE,
    PREFIX,
    VARIABLES,
    WITHHELD,
    Form,
    is_reduced,
    looks_random,
    reduce_value,
    reduce_variables,
)

ROOTS = ("/srv/env", "/home/ada/env")
TOKENS = (
    "ghp_0123456789abcdefghijABCDEFGHIJ123456",
    "glpat-A1b2C3d4E5f6G7h8I9j0",
    "AKIAIOSFODNN7EXAMPLE",
    "hf_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7",
    "0123456789abcdef0123456789abcdef",
)


@pytest.mark.parametrize(
    ("name", "value", "reduced"),
    [
        ("OMP_NUM_THREADS", "4,2", "4,2"),
        ("OMP_NUM_THREADS", "four", WITHHELD),
        ("CUDA_VISIBLE_DEVICES", "-1", "-1"),
        ("CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", WITHHELD),
        ("LANG", "de_DE.UTF-8", "de_DE.UTF-8"),
        ("LC_ALL", "ca_ES.utf8@valencia", "ca_ES.utf8@valencia"),
        ("LANG", "/usr/share/locale/x", WITHHELD),
        ("CUBLAS_WORKSPACE_CONFIG", ":4096:8", ":4096:8"),
        ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-ERMS", "glibc.cpu.hwcaps=-AVX2,-ERMS"),
        ("XLA_FLAGS", "--xla_dump_to=/home/ada/x  --xla_y=true", f"--xla_dump_to={WITHHELD} --xla_y=true"),
        ("PYTHONPATH", "/srv/env/src:/home/ada/lib::relative", f"{PREFIX}/src:{OUTSIDE}:{OUTSIDE}:{OUTSIDE}"),
        ("PYTHONPATH", "/srv/env/../secret", OUTSIDE),
        ("PYTHONPATH", "/srv/environment", OUTSIDE),
        ("LD_LIBRARY_PATH", "/home/ada/env/lib/:/srv/env", f"{PREFIX}/lib:{PREFIX}"),
        ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2 libm.so.6", f"{OUTSIDE}/libjemalloc.so.2:libm.so.6"),
        ("LD_PRELOAD", "/home/ada/notes.txt:/srv/env/lib/liba.so", f"{OUTSIDE}:{PREFIX}/lib/liba.so"),
        ("OMP_SCHEDULE", "x" * 3000, WITHHELD),
    ],
)
def test_a_value_is_reduced_to_what_may_be_written_down(name: str, value: str, reduced: str) -> None:
    assert reduce_value(name, value, roots=ROOTS) == reduced


@pytest.mark.parametrize("name", sorted(VARIABLES))
@pytest.mark.parametrize("token", TOKENS)
def test_no_token_survives_in_any_variable(name: str, token: str) -> None:
    if VARIABLES[name] is Form.PATHS:
        token = f"/srv/{token}"  # a folder of the environment may be called so; one outside is not named
    for value in (token, f"--key={token}", f"https://ada:{token}@example.org/simple"):
        reduced = reduce_value(name, value, roots=ROOTS)
        assert token.rpartition("/")[2] not in reduced
        assert "ada" not in reduced


def test_nothing_outside_the_list_is_recorded() -> None:
    environ = {"AWS_SECRET_ACCESS_KEY": "x", "HOME": "/home/ada", "TZ": "Europe/Berlin", "OMP_NUM_THREADS": "2"}
    assert reduce_variables(environ) == {"OMP_NUM_THREADS": "2"}


def test_an_empty_variable_counts_as_unset_unless_that_means_something() -> None:
    assert reduce_variables({"LD_LIBRARY_PATH": "", "LANG": "", "CUDA_VISIBLE_DEVICES": ""}) == {
        "CUDA_VISIBLE_DEVICES": ""
    }


@given(
    st.sampled_from(sorted(VARIABLES)), st.text(max_size=60) | st.from_regex(r"[{}a-z:/= .,-]{0,40}", fullmatch=True)
)
def test_reducing_twice_changes_nothing(name: str, value: str) -> None:
    reduced = reduce_value(name, value, roots=ROOTS)
    assert is_reduced(name, reduced)
    assert reduced.isprintable()


@given(st.sampled_from(sorted(VARIABLES)), st.lists(st.sampled_from("abc"), min_size=1).map("".join))
def test_no_folder_outside_the_environment_is_named(name: str, folder: str) -> None:
    reduced = reduce_value(name, f"/srv/{folder}/x:/srv/{folder}", roots=ROOTS)
    assert "/srv" not in reduced


def test_an_unlisted_name_is_never_a_reduced_one() -> None:
    assert not is_reduced("HF_TOKEN", "x")


@pytest.mark.parametrize("text", ["expandable_segments", "max_split_size_mb", "x86_64", "4.2.0-rc1", "AVX512_SKX"])
def test_words_of_programmers_do_not_look_random(text: str) -> None:
    assert not looks_random(text)


def test_every_name_is_one_that_a_shell_takes() -> None:
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in VARIABLES)
