"""What counts as drift, as values."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.drift import (
    Change,
    FileState,
    Kind,
    LiveFacts,
    compare_facts,
    compare_interpreters,
    compare_package,
    compare_unowned,
    compare_versions,
    name_unreadable,
    sort_changes,
)
from envcap.environment import InterpreterFacts
from envcap.lockfile.model import Lockfile, Package, Patch
from tests.lockfile.small import SMALL, artifact

PACKAGE = Package(name="alpha", version="1.0", patches=(Patch(path="patched.py", change="edited", sha256="e" * 64),))
STATES = st.builds(
    FileState,
    executable=st.booleans(),
    sha256=st.sampled_from(["a" * 64, "b" * 64]),
    size=st.just(3),
    target=st.sampled_from(["", "elsewhere"]),
)
MANIFESTS = st.dictionaries(st.sampled_from(["a.py", "b.py", "c/d.py", "patched.py"]), STATES)


def facts_of(lockfile: Lockfile, **changes: str) -> InterpreterFacts:
    locked = lockfile.interpreter
    facts = InterpreterFacts(
        executable=Path("/usr/bin/python3"),
        implementation=locked.implementation,
        version=locked.version,
        build=locked.build,
        soabi=locked.soabi,
        tags="cp311-cp311",
        prefix=Path("/env"),
        base_prefix=Path("/usr"),
        paths={},
        markers=lockfile.environment.markers,
        glibc="2.36",
        config={},
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def live_of(lockfile: Lockfile, **changes: object) -> LiveFacts:
    versions: dict[str, set[str]] = {}
    for package in lockfile.packages:
        versions.setdefault(package.name, set()).add(package.version)
    live = LiveFacts(
        kind=lockfile.environment.kind,
        system_site_packages=lockfile.environment.system_site_packages,
        interpreter=facts_of(lockfile),
        versions=versions,
    )
    return replace(live, **changes)  # type: ignore[arg-type]


def state(digit: str = "a", *, executable: bool = False, target: str = "") -> FileState:
    return FileState(executable, "" if target else digit * 64, 0 if target else 3, target)


def test_what_is_as_the_lock_says_is_no_drift() -> None:
    assert list(compare_facts(SMALL, live_of(SMALL))) == []
    assert list(compare_versions(SMALL, live_of(SMALL))) == []


@pytest.mark.parametrize(
    ("field", "what"), [("version", "version"), ("build", "build"), ("soabi", "abi"), ("implementation",) * 2]
)
def test_each_fact_of_the_interpreter_is_compared(field: str, what: str) -> None:
    live = live_of(SMALL, interpreter=facts_of(SMALL, **{field: "another"}))
    expected = getattr(SMALL.interpreter, field)
    assert list(compare_facts(SMALL, live)) == [
        Change(kind=Kind.INTERPRETER, what=what, expected=expected, found="another")
    ]


def test_another_machine_kind_and_system_site_packages_are_told() -> None:
    markers = {**SMALL.environment.markers, "platform_machine": "aarch64"}
    facts = replace(facts_of(SMALL), markers=markers)
    live = live_of(SMALL, interpreter=facts, kind="conda", system_site_packages=True)
    assert [(row.what, row.expected, row.found) for row in compare_facts(SMALL, live)] == [
        ("kind", "venv", "conda"),
        ("platform_machine", "x86_64", "aarch64"),
        ("system-site-packages", "false", "true"),
    ]


def test_packages_that_came_went_and_changed_version_are_told_by_name() -> None:
    lockfile = replace(SMALL, packages=(PACKAGE, replace(PACKAGE, name="beta"), replace(PACKAGE, name="gamma")))
    live = live_of(lockfile, versions={"alpha": {"1.0"}, "beta": {"2.0"}, "delta": {"3"}})
    assert [(row.what, row.name, row.expected, row.found) for row in compare_versions(lockfile, live)] == [
        ("version", "beta", "1.0", "2.0"),
        ("installed", "delta", "", "3"),
        ("removed", "gamma", "1.0", ""),
    ]


def test_a_second_version_beside_the_locked_one_is_an_installation() -> None:
    lockfile = replace(SMALL, packages=(PACKAGE,))
    live = live_of(lockfile, versions={"alpha": {"1.0", "1.1"}})
    assert [(row.what, row.expected, row.found) for row in compare_versions(lockfile, live)] == [
        ("installed", "", "1.1")
    ]


def test_files_are_named_by_what_happened_to_them() -> None:
    expected = {"a": state(), "b": state(), "c": state(), "d": state(target="x"), "e": state(), "same": state()}
    found = {"a": state("b"), "b": state(executable=True), "d": state(target="y"), "e": state(target="z"),
             "new": state(), "same": state()}  # fmt: skip
    assert [(row.path, row.what) for row in compare_unowned(expected, found)] == [
        ("a", "edited"), ("b", "mode"), ("c", "deleted"), ("d", "target"), ("e", "target"), ("new", "added"),
    ]  # fmt: skip


def test_a_patch_that_changed_is_marked_as_one() -> None:
    expected = {"patched.py": state("a"), "other.py": state("a")}
    found = {"patched.py": state("b"), "other.py": state("b")}
    assert {row.path: row.patched for row in compare_package(PACKAGE, expected, found)} == {
        "patched.py": True, "other.py": False,
    }  # fmt: skip


@given(expected=MANIFESTS, found=MANIFESTS)
def test_exactly_the_paths_that_differ_are_told_once_and_in_order(
    expected: dict[str, FileState], found: dict[str, FileState]
) -> None:
    paths = [row.path for row in compare_package(PACKAGE, expected, found)]
    assert paths == sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))


@given(one=MANIFESTS, other=MANIFESTS)
def test_the_other_way_round_additions_are_deletions(one: dict[str, FileState], other: dict[str, FileState]) -> None:
    there = {row.path: row for row in compare_unowned(one, other)}
    back = {row.path: row for row in compare_unowned(other, one)}
    opposite = {"added": "deleted", "deleted": "added"}
    for path, row in there.items():
        assert back[path].what == opposite.get(row.what, row.what)
        assert (back[path].expected, back[path].found) == (row.found, row.expected)


def test_a_captured_interpreter_is_compared_by_its_bytes() -> None:
    locked = SMALL.interpreter
    assert list(compare_interpreters(locked, locked)) == []
    other = replace(locked, artifacts=(artifact("python-3.11.7.tar.gz", "b", size=30_000_000, source="captured"),))
    assert [row.what for row in compare_interpreters(locked, other)] == ["content"]
    assert [row.what for row in compare_interpreters(locked, replace(locked, origin="debian"))] == ["origin"]


def test_a_file_that_cannot_be_read_is_not_called_deleted() -> None:
    changes = list(compare_unowned({"a": state(), "b": state()}, {}))
    assert [(row.path, row.what) for row in name_unreadable(changes, {"b"})] == [("a", "deleted"), ("b", "unreadable")]


def test_a_file_in_a_folder_that_cannot_be_read_is_not_called_deleted() -> None:
    change = Change(kind=Kind.PACKAGE, what="deleted", name="alpha", path="a/b/c.py")
    assert [row.what for row in name_unreadable([change], {"a"})] == ["unreadable"]
    assert [row.what for row in name_unreadable([change], {"a/b/c", "a/c"})] == ["deleted"]


def test_changes_are_told_by_kind_then_package_then_path() -> None:
    wanted = [
        Change(kind=Kind.INTERPRETER, what="version"),
        Change(kind=Kind.ENVIRONMENT, what="kind"),
        Change(kind=Kind.PACKAGE, what="removed", name="a"),
        Change(kind=Kind.PACKAGE, what="edited", name="b", path="1"),
        Change(kind=Kind.PACKAGE, what="edited", name="b", path="2"),
        Change(kind=Kind.UNOWNED, what="added", path="0"),
    ]
    assert sort_changes(reversed(wanted)) == tuple(wanted)
