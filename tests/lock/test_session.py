"""What the session would change: what is recorded of it, and what the user is told."""

from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.finding import Finding, FindingLevel
from envcap.lock.blas import find_blas
from envcap.lock.session import lock_session
from envcap.lockfile.model import Session
from tests.scan.env_builder import ElfSpec, add_dist, make_elf, make_env, scan


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    prefix = make_env(tmp_path)
    add_dist(prefix, "fast", {"fast/core.so": make_elf(ElfSpec(needed=["libblas.so.3"])), "fast.libs/libown.so.1": "x"})
    return scan(prefix)


def session(environment: Environment, tmp_path: Path, **environ: str) -> tuple[Session, tuple[Finding, ...]]:
    return lock_session(environment, find_blas(environment), environ, alternatives=tmp_path / "alternatives")


def test_a_plain_session_says_nothing(environment: Environment, tmp_path: Path) -> None:
    found = session(environment, tmp_path, LANG="C.UTF-8", HOME="/home/ada", SECRET_TOKEN="x")
    assert found == (Session(variables={"LANG": "C.UTF-8"}), ())


def test_libraries_of_other_folders_are_named_and_the_folders_not(environment: Environment, tmp_path: Path) -> None:
    outside = tmp_path / "ada"
    outside.mkdir()
    for name in ("libblas.so.3", "libown.so.1", "libunused.so"):
        (outside / name).write_bytes(b"")
    path = f"{outside}:{environment.prefix}/lib:{tmp_path}/missing"
    recorded, findings = session(environment, tmp_path, LD_LIBRARY_PATH=path)
    assert recorded.variables == {"LD_LIBRARY_PATH": "{outside}:{prefix}/lib:{outside}"}
    message = (
        "LD_LIBRARY_PATH names 2 folders outside the environment: libblas.so.3, libown.so.1 may be loaded from there, "
        "and the image has its own or none"
    )
    assert [(row.code, row.message) for row in findings] == [("library-outside", message)]


def test_a_library_path_that_gives_nothing_is_a_note(environment: Environment, tmp_path: Path) -> None:
    _, findings = session(environment, tmp_path, LD_LIBRARY_PATH=str(tmp_path))
    assert [(row.code, row.level) for row in findings] == [("library-path", FindingLevel.NOTE)]


def test_preloaded_libraries_are_named(environment: Environment, tmp_path: Path) -> None:
    preload = f"/opt/ada/libjemalloc.so.2 {environment.prefix}/lib/libx.so /opt/ada/a\x1b[0m"
    recorded, findings = session(environment, tmp_path, LD_PRELOAD=preload)
    assert recorded.variables == {"LD_PRELOAD": "{outside}/libjemalloc.so.2:{prefix}/lib/libx.so:{outside}"}
    message = "LD_PRELOAD loads libjemalloc.so.2, {outside} from outside the environment: the image will not have it"
    assert [row.message for row in findings] == [message]


def test_modules_on_pythonpath_are_named(environment: Environment, tmp_path: Path) -> None:
    outside = tmp_path / "ada"
    (outside / "package").mkdir(parents=True)
    (outside / "data").mkdir()
    for name in ("package/__init__.py", "single.py", "native.cpython-311-x86_64-linux-gnu.so", "README.md"):
        (outside / name).write_text("")
    _, findings = session(environment, tmp_path, PYTHONPATH=f"{outside}:")
    assert [row.message for row in findings if "native, package, single" in row.message]
    assert not [row.message for row in findings if "ada" in row.message or "data" in row.message]


def test_the_machines_blas_is_recorded_and_told_where_it_is_not_the_images(
    environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "alternatives").mkdir()
    link = tmp_path / "alternatives" / "libblas.so.3-x86_64-linux-gnu"
    link.symlink_to("/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3")
    recorded, findings = session(environment, tmp_path)
    assert recorded == Session(system_blas="openblas-pthread")
    assert [row.code for row in findings] == ["system-blas"]
    link.unlink()
    link.symlink_to("/usr/lib/x86_64-linux-gnu/blas/libblas.so.3")
    assert session(environment, tmp_path) == (Session(system_blas="blas"), ())


def test_a_value_that_is_not_recorded_is_told_without_it(environment: Environment, tmp_path: Path) -> None:
    _, findings = session(environment, tmp_path, OMP_NUM_THREADS="hunter2", XLA_FLAGS="--xla_dump_to=/home/ada")
    assert [row.message for row in findings] == [
        "The value of OMP_NUM_THREADS is not recorded: expected a list of numbers",
        "Part of the value of XLA_FLAGS is not recorded: expected a list of plain settings",
    ]
