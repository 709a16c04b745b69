"""The session and the facts of a lock: what the reader takes, and that the session is no part of the identity."""

from dataclasses import replace

import pytest

from envcap.errors import LockfileError
from envcap.lockfile.document import environment_digest, read_lockfile, write_lockfile
from envcap.lockfile.model import Blas, Session
from tests.lockfile.small import SMALL, SMALL_TEXT

FACTS = replace(
    SMALL,
    environment=replace(
        SMALL.environment,
        blas=(Blas(library="blas", provider="system", file="libblas.so.3", needed_by=("numpy",)),),
        cpu="x86-64-v3",
    ),
    session=Session(variables={"LANG": "C.UTF-8", "PYTHONPATH": "{prefix}/src:{outside}"}, system_blas="blas"),
)


def test_facts_and_session_are_read_as_they_were_written() -> None:
    assert read_lockfile(write_lockfile(FACTS)) == FACTS


def test_another_session_is_the_same_environment() -> None:
    assert environment_digest(replace(FACTS, session=Session())) == environment_digest(FACTS)


def test_another_blas_or_cpu_level_is_another_environment() -> None:
    facts = FACTS.environment
    for other in (replace(facts, blas=()), replace(facts, cpu="")):
        assert environment_digest(replace(FACTS, environment=other)) != environment_digest(FACTS)


def test_a_lock_without_facts_has_no_trace_of_them() -> None:
    assert write_lockfile(SMALL) == SMALL_TEXT
    assert not any(word in SMALL_TEXT for word in ("session", "blas", "cpu ="))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "x"),
        ("LANG", "/home/ada"),
        ("PYTHONPATH", "/home/ada"),
        ("LD_PRELOAD", "/x/a.so"),
        ("OMP_NUM_THREADS", "two"),
    ],
)
def test_a_variable_that_is_never_recorded_is_refused(name: str, value: str) -> None:
    with pytest.raises(LockfileError, match=f"Unexpected variable '{name}' in 'session.variables'"):
        write_lockfile(replace(SMALL, session=Session(variables={name: value})))


def test_an_unknown_cpu_level_is_refused() -> None:
    with pytest.raises(LockfileError, match=r"environment\.cpu"):
        write_lockfile(replace(SMALL, environment=replace(SMALL.environment, cpu="x86-64-v9")))


def test_rows_of_blas_are_sorted_and_named_as_packages_are() -> None:
    rows = (Blas(library="mkl", provider="b", file="x"), Blas(library="mkl", provider="a", file="x"))
    with pytest.raises(LockfileError, match=r"Unexpected order in 'environment\.blas'"):
        write_lockfile(replace(SMALL, environment=replace(SMALL.environment, blas=rows)))
    odd = (Blas(library="mkl", provider="../a", file="x"),)
    with pytest.raises(LockfileError, match=r"environment\.blas\.provider"):
        write_lockfile(replace(SMALL, environment=replace(SMALL.environment, blas=odd)))
