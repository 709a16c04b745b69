"""`[[conda]]` rows: what a lock may say of a conda package, and what it leaves unsaid."""

from dataclasses import replace

import pytest

from envcap.environment import CondaPath, CondaRecord
from envcap.errors import LockfileError
from envcap.lock.conda import complete_record, is_complete
from envcap.lockfile.conda_kept import archive_content, archive_name
from envcap.lockfile.document import environment_digest, read_lockfile, write_lockfile
from envcap.lockfile.model import NO_INTERPRETER, CondaPackage, LockedEnvironment, Lockfile, Patch
from envcap.plan import (
    CondaLayer,
    EnvironmentLayer,
    FilesLayer,
    PackagesLayer,
    SystemLayer,
    conda_layers,
    plan_image,
)
from envcap.recipe import BUCKETS, MAX_LAYERS
from envcap.wheel.layout import Layout
from tests.lockfile.small import SMALL

ROW = CondaPackage(
    name="numpy",
    version="2.1.3",
    build="py311h71ddf71_0",
    build_number=0,
    channel="conda-forge",
    subdir="linux-64",
    file="numpy-2.1.3-py311h71ddf71_0.conda",
    size=8_000_000,
    sha256="a" * 64,
    md5="b" * 32,
    requested=("numpy",),
    depends=("libblas >=3.9.0,<4.0a0", "python >=3.11,<3.12.0a0"),
    patches=(Patch(path="lib/x", change="deleted"),),
)


def lock(*rows: CondaPackage) -> Lockfile:
    return replace(SMALL, environment=LockedEnvironment(kind="conda"), conda=rows)


def test_a_row_is_written_and_read_back() -> None:
    text = write_lockfile(lock(ROW))

    assert read_lockfile(text) == lock(ROW)
    assert '[[conda]]\nname = "numpy"\nversion = "2.1.3"\n' in text
    assert "http" not in text.partition("[[conda]]")[2].partition("[[system]]")[0]


TOOL = replace(ROW, name="r-base", file="r-base-4.3.1-h1_3.conda", depends=())


def bare(*rows: CondaPackage) -> Lockfile:
    """Give a lock without Python."""
    return replace(lock(*rows), interpreter=NO_INTERPRETER, packages=())


def test_a_lock_without_an_interpreter_is_written_and_read_back() -> None:
    text = write_lockfile(bare(TOOL))

    assert read_lockfile(text) == bare(TOOL)
    assert "interpreter" not in text
    assert environment_digest(bare(TOOL)) != environment_digest(lock(TOOL))


@pytest.mark.parametrize(
    ("lockfile", "message"),
    [
        (replace(SMALL, interpreter=NO_INTERPRETER), "in the lockfile"),
        (bare(), "in the lockfile, which holds no conda packages either"),
        (bare(replace(TOOL, noarch="python")), "in the lockfile, whose package 'r-base' is for Python"),
        (bare(replace(TOOL, name="python")), "in the lockfile, whose package 'python' is for Python"),
        (replace(bare(TOOL), packages=SMALL.packages), "in the lockfile, whose package 'iniconfig' is for Python"),
    ],
    ids=["no conda", "nothing", "noarch Python", "Python", "pip"],
)
def test_what_python_must_run_is_refused_without_one(lockfile: Lockfile, message: str) -> None:
    with pytest.raises(LockfileError) as caught:
        write_lockfile(lockfile)

    assert caught.value.message == f"Missing key 'interpreter' {message}"


def test_a_plan_without_python_has_no_layer_for_one() -> None:
    plan = plan_image(bare(TOOL), SMALL.system[0].platform)

    assert [type(layer) for layer in plan.layers if not isinstance(layer, FilesLayer)] == [
        SystemLayer, CondaLayer, EnvironmentLayer
    ]  # fmt: skip


def test_where_an_archive_is_to_be_had_is_said_only_if_no_channel_has_it() -> None:
    made = replace(ROW, captured="files", made_sha256="c" * 64, made_size=7, file="numpy-2.1.3-0.tar.bz2")

    assert "captured" not in write_lockfile(lock(ROW)).partition("[[conda]]")[2].partition("[[system]]")[0]
    assert read_lockfile(write_lockfile(lock(made))) == lock(made)
    assert (archive_content(made), archive_name(made)) == (("c" * 64, 7), "numpy-2.1.3-0.conda")
    assert (archive_content(ROW), archive_name(ROW)) == ((ROW.sha256, ROW.size), ROW.file)


def test_a_lock_without_conda_does_not_say_so() -> None:
    assert "conda" not in write_lockfile(SMALL)


def test_what_was_asked_for_is_part_of_the_identity() -> None:
    assert environment_digest(lock(ROW)) != environment_digest(lock(replace(ROW, requested=())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../x"}, "a conda package name"),
        ({"name": "Numpy"}, "a conda package name"),
        ({"version": "1/2"}, "a conda version"),
        ({"build": "a/../b"}, "a conda build string"),
        ({"build": ""}, "a conda build string"),
        ({"channel": "https://conda.example.org/x"}, "a channel's name"),
        ({"channel": "a/../b"}, "a channel's name"),
        ({"channel": "/etc"}, "a channel's name"),
        ({"subdir": ".."}, "a folder such as"),
        ({"file": "../x.conda"}, "the file name"),
        ({"file": "x.whl"}, "the file name"),
        ({"noarch": "yes"}, "expected one of: generic, python"),
        ({"build_number": -1}, "Unexpected build-number"),
        ({"md5": "b" * 31}, "Unexpected md5"),
        ({"sha256": ""}, "Unexpected sha256"),
        ({"sha256": "b" * 32}, "Unexpected sha256"),
        ({"size": -1}, "Unexpected size"),
        ({"captured": "yes"}, "expected one of: archive, files"),
        ({"captured": "files"}, "Unexpected sha256 '' in 'conda\\[0\\].made'"),
        ({"captured": "files", "made_sha256": "a" * 63}, "Unexpected sha256"),
        ({"captured": "files", "made_sha256": "a" * 64, "made_size": -1}, "Unexpected size"),
        ({"captured": "archive", "made_sha256": "a" * 64}, "Unexpected made-sha256"),
        ({"made_size": 1}, "Unexpected made-sha256"),
        ({"requested": ("b", "a")}, "Unexpected order"),
        ({"depends": ("a\nb",)}, "one line"),
        ({"patches": (Patch(path="../x", change="deleted"),)}, "Unexpected path"),
        ({"patches": (Patch(path="x", change="edited"),)}, "Unexpected sha256"),
    ],
    ids=str,
)
def test_a_value_outside_its_alphabet_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(LockfileError, match=message):
        write_lockfile(lock(replace(ROW, **change)))  # type: ignore[arg-type]  # wrong values are the point


def test_rows_are_sorted_and_unique() -> None:
    for rows in ((ROW, ROW), (ROW, replace(ROW, name="a"))):
        with pytest.raises(LockfileError, match="Unexpected order in 'conda'"):
            write_lockfile(lock(*rows))


def many(count: int, size: int) -> tuple[CondaPackage, ...]:
    return tuple(replace(ROW, name=f"p{number:03}", size=size, patches=()) for number in range(count))


@pytest.mark.parametrize(("large", "small"), [(0, 1), (1, 0), (3, 200), (100, 0), (100, 100)])
def test_layers_stay_below_the_limit(large: int, small: int) -> None:
    rows = (*many(large, 5_000_000), *(replace(row, name=f"s{row.name}") for row in many(small, 10)))

    layers = conda_layers(lock(*rows), Layout(python="3.11"), MAX_LAYERS - 3)

    found = [package.name for layer in layers if isinstance(layer, CondaLayer) for package in layer.packages]
    assert sorted(found) == sorted(row.name for row in rows)
    assert len(layers) <= MAX_LAYERS - 3


def test_pips_packages_keep_room_for_layers_of_their_own() -> None:
    conda = many(100, 5_000_000)
    packages = tuple(
        replace(
            SMALL.packages[0],
            name=f"w{number}",
            artifacts=tuple(replace(one, size=9_000_000) for one in SMALL.packages[0].artifacts),
            patches=(),
        )
        for number in range(100)
    )
    platform = SMALL.system[0].platform

    plan = plan_image(replace(lock(*conda), packages=tuple(sorted(packages, key=lambda row: row.name))), platform)

    assert len(plan.layers) <= MAX_LAYERS
    assert sum(isinstance(layer, PackagesLayer) for layer in plan.layers) > BUCKETS
    assert plan.environment["CONDA_PREFIX"] == "/opt/conda"
    assert "VIRTUAL_ENV" not in plan.environment


RECORD = CondaRecord(
    name="x", version="1", build="0", channel="lab", subdir="noarch", file="x-1-0.conda", directory="conda-meta/x.json",
    size=1, sha256="a" * 64,
    paths=(CondaPath(path="share/x", sha256="b" * 64), CondaPath(path="share/y", kind="softlink")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "complete"),
    [
        ({}, True),
        ({"sha256": ""}, False),
        ({"size": -1}, False),
        ({"paths": (CondaPath(path="share/x"),)}, False),
        ({"md5": "", "paths": ()}, True),
    ],
    ids=str,
)
def test_a_record_is_complete_if_it_pins_archive_and_files(change: dict[str, object], complete: bool) -> None:  # noqa: FBT001 - parametrized
    assert is_complete(replace(RECORD, **change)) is complete  # type: ignore[arg-type]


def test_what_the_archive_has_and_the_prefix_lacks_is_missing() -> None:
    rows = (CondaPath(path="share/new", sha256="c" * 64), CondaPath(path="share/folder", kind="directory"))

    found = complete_record(RECORD, sha256="d" * 64, size=7, paths=rows)

    assert (found.sha256, found.size, found.missing) == ("d" * 64, 7, ("share/new",))
    assert [row.path for row in found.paths] == ["share/folder", "share/new"]
