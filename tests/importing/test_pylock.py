"""Reading `pylock.toml`, and choosing the wheels for one interpreter.

The samples are written by hand after what uv, pdm and pip write.
"""

import contextlib
import platform
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.listed import ListedWheel
from envcap.environment import InterpreterFacts
from envcap.errors import LockfileError
from envcap.importing.pylock import read_pylock, select_wheels

SHA = "a" * 64
MACHINE = platform.machine()
FILES = "https://files.example.org/packages"


def python(version: str, *, tags: str = "") -> InterpreterFacts:
    feature = ".".join(version.split(".")[:2])
    tag = "cp" + feature.replace(".", "")
    return InterpreterFacts(
        executable=Path("/usr/bin/python3"), implementation="cpython", version=version, build="", soabi="",
        tags=tags or f"{tag}-{tag}", prefix=Path("/usr"), base_prefix=Path("/usr"), paths={}, glibc="2.36", config={},
        markers={
            "implementation_name": "cpython", "implementation_version": version, "os_name": "posix",
            "platform_machine": MACHINE, "platform_python_implementation": "CPython", "platform_release": "6.1",
            "platform_system": "Linux", "platform_version": "1", "python_full_version": version,
            "python_version": feature, "sys_platform": "linux",
        },
    )  # fmt: skip


def wheel(file: str, **more: object) -> dict[str, object]:
    return {"name": file, "url": f"{FILES}/{file}", "hashes": {"sha256": SHA}, **more}


def lock(*packages: object, **more: object) -> dict[str, Any]:
    return {"lock-version": "1.0", "created-by": "test", "packages": list(packages), **more}


def pure(name: str, **more: object) -> dict[str, object]:
    return wheel(f"{name}-1.0-py3-none-any.whl", **more)


def alpha(**more: object) -> dict[str, object]:
    return {"name": "alpha", "version": "1.0", **more}


ALPHA = alpha(wheels=[pure("alpha")])


def select(document: object, version: str = "3.11.7", **more: str) -> tuple[ListedWheel, ...]:
    assert isinstance(document, dict)
    pylock = read_pylock(tomli_w.dumps(document), name="pylock.toml")
    return select_wheels(pylock, python(version, **more), name="pylock.toml")


@pytest.mark.parametrize(
    ("version", "tags", "file"),
    [
        ("3.11.7", "", f"beta-1-cp311-cp311-manylinux_2_17_{MACHINE}.whl"),
        ("3.12.1", "", f"beta-1-cp39-abi3-manylinux_2_17_{MACHINE}.whl"),
        ("3.13.1", "cp313-cp313t", f"beta-1-cp313-cp313t-manylinux_2_17_{MACHINE}.whl"),
        ("3.8.1", "", "beta-1-py3-none-any.whl"),
    ],
)
def test_the_best_wheel_for_an_interpreter_is_chosen(version: str, tags: str, file: str) -> None:
    names = [
        "beta-1-py3-none-any.whl", f"beta-1-cp39-abi3-manylinux_2_17_{MACHINE}.whl",
        f"beta-1-cp311-cp311-manylinux_2_17_{MACHINE}.whl", "beta-1-cp311-cp311-win_amd64.whl",
        f"beta-1-cp313-cp313t-manylinux_2_17_{MACHINE}.whl",
    ]  # fmt: skip

    beta = {"name": "beta", "version": "1", "wheels": [wheel(name) for name in names]}
    found = select(lock(beta), version, tags=tags)

    assert found == (ListedWheel(name="beta", url=f"{FILES}/{file}", sha256=SHA, file=file),)


def test_packages_for_others_are_passed_over() -> None:
    beta = {**ALPHA, "name": "beta", "marker": "sys_platform == 'darwin'", "wheels": [pure("beta")]}
    dev = {**ALPHA, "name": "dev", "marker": "'dev' in dependency_groups", "wheels": [pure("dev")]}
    groups = {"dependency-groups": ["dev"], "default-groups": []}

    assert [row.name for row in select(lock(ALPHA, beta, dev, **groups))] == ["alpha"]


def test_keys_that_nobody_knows_are_passed_over() -> None:
    assert [row.name for row in select(lock({**ALPHA, "x-new": 1}, **{"x-new": [1]}))] == ["alpha"]


def test_a_wheel_beside_the_file_is_known_by_its_name() -> None:
    beside = {"path": "wheels/alpha-1.0-py3-none-any.whl", "hashes": {"sha256": SHA}}

    (found,) = select(lock({"name": "alpha", "version": "1.0", "wheels": [beside]}))

    assert (found.file, found.path) == ("alpha-1.0-py3-none-any.whl", "wheels/alpha-1.0-py3-none-any.whl")


SDIST = {"name": "alpha-1.0.tar.gz", "url": f"{FILES}/alpha-1.0.tar.gz", "hashes": {"sha256": SHA}}
WIN = wheel("alpha-1.0-cp311-cp311-win_amd64.whl")


GIT = {"type": "git", "url": "https://me:secret@example.org/x", "commit-id": "a" * 40}
NAMELESS = {"url": "https://me:secret@example.org/", "hashes": {"sha256": SHA}}
DEEP = "(" * 3000 + "os_name == 'posix'" + ")" * 3000


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (lock(alpha(sdist=SDIST)), "has no wheel for Python 3.11.7, only sources, of 'alpha' (expected wheels"),
        (lock(alpha(sdist=SDIST, wheels=[WIN])), "only sources, of 'alpha'"),
        (lock(alpha(wheels=[WIN])), "No wheel found matching the provided tags"),
        (lock(alpha(wheels=[{**WIN, "hashes": {}}])), "pylock.toml is no `pylock.toml`"),
        (lock(alpha(wheels=[pure("alpha", hashes={"md5": "b" * 32})])), "'alpha' has no sha256 (found: md5)"),
        (lock(alpha(wheels=[pure("alpha", hashes={"sha256": "beef"})])), "'alpha' has no sha256 (found: sha256)"),
        (lock(alpha(directory={"path": "."})), "builds from folders or repositories: 'alpha'"),
        (lock(alpha(vcs=GIT)), "builds from folders or repositories: 'alpha'"),
        (lock(ALPHA, **{"requires-python": ">=3.12"}), "is not for Python 3.11.7"),
        (lock(ALPHA, environments=["sys_platform == 'win32'"]), "is not for Python 3.11.7"),
        (lock(ALPHA, ALPHA), "is not for Python 3.11.7: Multiple packages"),
        (lock(), "has no package for Python 3.11.7"),
        (lock(ALPHA, **{"lock-version": "2.0"}), "(expected lock-version 1.0)"),
        ({"packages": []}, "is no `pylock.toml`"),
        (lock(alpha(wheels=[NAMELESS])), "is no `pylock.toml`"),
        (lock({**ALPHA, "marker": DEEP}), "is no `pylock.toml`"),
    ],
)
def test_what_gives_no_wheels_is_refused(document: object, message: str) -> None:
    with pytest.raises(LockfileError) as refused:
        select(document)

    assert message in refused.value.message
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["x = ", "a = " + "[" * 5000, "[[packages]]\nname = 'secret", "packages = 1979-13-45"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(LockfileError, match=r"x (?:is damaged|is no `pylock.toml`)") as refused:
        read_pylock(text, name="x")

    assert "secret" not in str(refused.value)


_VALUES = st.recursive(
    st.integers() | st.text(max_size=6) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "url", "hashes"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["name", "version", "wheels", "sdist", "marker", "archive", "vcs"]), _VALUES))
def test_any_package_is_read_or_refused(package: dict[str, object]) -> None:
    with contextlib.suppress(LockfileError):
        select(lock({**ALPHA, **package}))
