"""Differences of locks: none is missed, each is told under its topic, and what matters comes first."""

from dataclasses import replace

import pytest
from hypothesis import given

from envcap.difference import Difference, Topic, compare_locks, matters
from envcap.gpu.model import CodeSet, GpuCode, GpuLibrary, GpuNeed, GpuStack
from envcap.lockfile.model import CapturedFile, CondaPackage, Lockfile, Patch, Session
from envcap.lockfile.virtual import required_virtual
from tests.lockfile.small import SMALL, sha
from tests.lockfile.strategies import lockfiles

FIRST = SMALL.packages[0]
CONDA = CondaPackage(
    name="zlib",
    version="1.3",
    build="h1_0",
    channel="conda-forge",
    subdir="linux-64",
    file="zlib-1.3-h1_0.conda",
    size=9,
    sha256=sha("a"),
)


def _with(**changes: object) -> Lockfile:
    return replace(SMALL, packages=(replace(FIRST, **changes), *SMALL.packages[1:]))  # type: ignore[arg-type]


def _lines(before: Lockfile, after: Lockfile) -> list[str]:
    return [
        f"{row.topic.value}: {row.name}: {row.before} -> {row.after} {row.note}".strip() for row in found(before, after)
    ]


def found(before: Lockfile, after: Lockfile) -> tuple[Difference, ...]:
    return compare_locks(before, after)


@given(lockfiles())
def test_a_lock_does_not_differ_from_itself(lock: Lockfile) -> None:
    assert found(lock, replace(lock, expected=())) == ()


@given(lockfiles(), lockfiles())
def test_no_two_different_locks_compare_equal(one: Lockfile, two: Lockfile) -> None:
    same = replace(one, expected=()) == replace(two, expected=())
    assert (found(one, two) == ()) is same


@given(lockfiles(), lockfiles())
def test_the_other_way_round_the_same_things_differ(one: Lockfile, two: Lockfile) -> None:
    there = [(row.topic, row.name, row.before, row.after) for row in found(one, two)]
    back = [(row.topic, row.name, row.after, row.before) for row in found(two, one)]
    assert sorted(there, key=str) == sorted(back, key=str)


@given(lockfiles(), lockfiles())
def test_topics_come_in_the_order_in_which_they_matter(one: Lockfile, two: Lockfile) -> None:
    order = [list(Topic).index(row.topic) for row in found(one, two)]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (_with(version="0.0.1"), [f"packages: {FIRST.name}: {FIRST.version} -> 0.0.1 downgrade"]),
        (replace(SMALL, packages=SMALL.packages[1:]), [f"packages: {FIRST.name}: {FIRST.version} ->"]),
        (
            _with(artifacts=tuple(replace(row, sha256=sha("9")) for row in FIRST.artifacts)),
            None,
        ),
        (
            replace(SMALL, interpreter=replace(SMALL.interpreter, version="3.12.0")),
            [f"interpreter: version: {SMALL.interpreter.version} -> 3.12.0"],
        ),
        (replace(SMALL, recipe=SMALL.recipe + 1), [f"environment: recipe: {SMALL.recipe} -> {SMALL.recipe + 1}"]),
        (
            replace(SMALL, environment=replace(SMALL.environment, cpu="x86-64-v4")),
            [f"environment: CPU: {SMALL.environment.cpu} -> x86-64-v4"],
        ),
        (
            replace(SMALL, image=replace(SMALL.image, env={**SMALL.image.env, "X": "1"})),
            ["image: X:  -> 1"],
        ),
        (replace(SMALL, name="other"), [f"cosmetic: name: {SMALL.name} -> other"]),
        (
            replace(SMALL, session=Session(variables={"OMP_NUM_THREADS": "4"})),
            None,
        ),
    ],
)
def test_each_change_is_told_under_its_topic(after: Lockfile, lines: list[str] | None) -> None:
    if lines is None:
        assert len(_lines(SMALL, after)) >= 1
    else:
        assert _lines(SMALL, after) == lines


def test_another_file_of_the_same_version_is_told_by_name_or_hash() -> None:
    other = _with(artifacts=tuple(replace(row, sha256=sha("9")) for row in FIRST.artifacts))

    (row,) = found(SMALL, other)

    assert row.note == "another file of the same version"
    assert row.topic is Topic.PACKAGES


def test_conda_packages_differ_by_version_build_archive_and_record() -> None:
    def change(**fields: object) -> str:
        one, two = (replace(SMALL, conda=(row,)) for row in (CONDA, replace(CONDA, **fields)))  # type: ignore[arg-type]
        (row,) = found(one, two)
        assert row.topic is Topic.CONDA
        return f"{row.before} -> {row.after} {row.note}".strip()

    assert change(version="1.2", build="h0_0") == "1.3 -> 1.2 downgrade"
    assert change(build="h2_0") == "h1_0 -> h2_0 another build of the version"
    assert change(channel="bioconda") == "conda-forge/linux-64 -> bioconda/linux-64 another channel"
    assert change(sha256=sha("b")) == "aaaaaaaaaaaa -> bbbbbbbbbbbb another archive under the same name"
    assert change(depends=("libzlib",)) == "->  another record of the same archive"


def test_where_the_same_archive_is_to_be_had_is_cosmetic() -> None:
    one, two = (replace(SMALL, conda=(row,)) for row in (CONDA, replace(CONDA, captured="archive")))

    assert _lines(one, two) == ["cosmetic: archive of zlib: on its channel -> kept with the lock"]


def test_an_archive_that_was_made_of_files_is_another_one() -> None:
    made = replace(CONDA, captured="files", made_sha256=sha("b"), made_size=3)
    one, two, three = (
        replace(SMALL, conda=(row,)) for row in (CONDA, made, replace(made, made_sha256=sha("c"), made_size=4))
    )

    (row,) = found(one, two)
    assert (row.before, row.after) == ("its own archive", "made of its files (bbbbbbbbbbbb)")
    assert (row.topic, row.note) == (Topic.CONDA, "the image ID tells whether its files are the same")
    (row,) = found(two, three)
    assert row.topic is Topic.CONDA
    assert (row.before, row.after) == ("made of its files (bbbbbbbbbbbb)", "made of its files (cccccccccccc)")


def test_what_conda_packages_ask_of_a_machine_is_told_under_environment() -> None:
    def asking(*depends: str) -> Lockfile:
        rows = (replace(CONDA, depends=depends, constrains=("__cuda >=11",)),)
        return replace(SMALL, conda=rows, virtual=required_virtual(rows))

    one, two = asking("__glibc >=2.17"), asking("__glibc >=2.28", "__cuda")

    assert [row for row in _lines(one, two) if row.startswith("environment")] == [
        "environment: asks for __cuda: >=11 (where there is one) -> any, >=11 (where there is one)",
        "environment: asks for __glibc: >=2.17 -> >=2.28",
    ]
    old = replace(one, virtual=())
    assert _lines(old, one) == ["cosmetic: [virtual]:  ->  details differ"]


def test_what_the_machine_had_is_cosmetic() -> None:
    one, two = (replace(SMALL, session=Session(virtual={"__glibc": version})) for version in ("2.36", "2.39"))

    assert _lines(one, two) == ["cosmetic: machine's __glibc: 2.36 -> 2.39"]


def test_patched_files_are_named_with_their_package() -> None:
    def patched(*patches: Patch) -> Lockfile:
        return replace(SMALL, packages=(replace(FIRST, patches=patches), *SMALL.packages[1:]))

    edit = Patch(path="lib/a.py", change="edited", sha256=sha("1"), size=3)
    again = replace(edit, sha256=sha("2"))

    assert _lines(patched(), patched(edit)) == [f"patched files: {FIRST.name}: lib/a.py:  -> edited 111111111111"]
    assert _lines(patched(edit), patched(again)) == [
        f"patched files: {FIRST.name}: lib/a.py: edited 111111111111 -> edited 222222222222 edited otherwise"
    ]
    assert len(found(patched(edit), patched(replace(edit, executable=True)))) == 1


def test_gpu_stacks_differ_by_needs_libraries_and_targets() -> None:
    one = GpuStack(
        libraries=(GpuLibrary(name="cudnn", version="9.1", provider="x"),),
        code=(GpuCode(file="lib/a.so", sets=(CodeSet(count=2, targets=("sm_80",)),)),),
        needs=(GpuNeed(subject="nvidia-driver", at_least="525.60.13"),),
    )
    two = GpuStack(
        libraries=(GpuLibrary(name="cudnn", version="9.26", provider="x"),),
        code=(GpuCode(file="lib/a.so", sets=(CodeSet(count=2, targets=("sm_80", "sm_90")),)),),
        needs=(GpuNeed(subject="nvidia-driver", at_least="580.65.06"),),
    )

    assert _lines(replace(SMALL, gpu=one), replace(SMALL, gpu=two)) == [
        "GPU: nvidia-driver: >=525.60.13 -> >=580.65.06",
        "GPU: cudnn: 9.1 -> 9.26",
        "GPU: lib/a.so: sm_80 -> sm_80 sm_90",
    ]


def test_what_two_packages_bring_or_two_drivers_compile_is_all_compared() -> None:
    def stack(version: str, driver: str) -> GpuStack:
        libraries = tuple(GpuLibrary(name="cudnn", version=one, provider=f"p{one}") for one in (version, "9.9"))
        subject = "nvidia-driver-jit"
        needs = (GpuNeed(subject=subject, at_least=driver), GpuNeed(subject=subject, at_least="595.45"))
        return GpuStack(libraries=libraries, needs=needs)

    before, after = (replace(SMALL, gpu=stack(*pair)) for pair in (("9.1", "570.26"), ("9.2", "575.51")))
    rows = [(row.name, row.before, row.after) for row in compare_locks(before, after) if row.topic is Topic.GPU]
    assert rows == [
        ("nvidia-driver-jit", ">=570.26; >=595.45", ">=575.51; >=595.45"),
        ("cudnn", "9.1; 9.9", "9.2; 9.9"),
    ]


def test_only_where_from_and_why_is_cosmetic() -> None:
    evidence = [
        replace(SMALL, name="x"),
        replace(SMALL, environment=replace(SMALL.environment, newest_upload="2020-01-01T00:00:00Z")),
        _with(proof="url"),
        _with(requested=not FIRST.requested),
        _with(branch="topic"),
        replace(SMALL, system=tuple(replace(row, because=("x",)) for row in SMALL.system)),
    ]
    for change in evidence:
        rows = found(SMALL, change)
        assert rows, change
        assert not any(map(matters, rows)), change


def test_a_captured_file_differs_by_content_mode_and_target() -> None:
    file = CapturedFile(path="mine.txt", sha256=sha("1"), size=1)
    for other in (
        replace(file, sha256=sha("2")),
        replace(file, executable=True),
        CapturedFile(path="mine.txt", target="a"),
    ):
        (row,) = found(replace(SMALL, captured=(file,)), replace(SMALL, captured=(other,)))
        assert row.topic is Topic.UNOWNED
        assert row.before != row.after
