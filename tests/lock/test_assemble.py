"""Proofs to the packages of a lock, and what the user is told."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envcap.environment import Checkout, DirectUrl, Distribution, EntryPoint, InstalledFile
from envcap.finding import Finding, FindingLevel
from envcap.lock.assemble import LockedPackages, lock_packages, newest_upload
from envcap.lock.pypi_result import ProofResult, Proven, Unproven
from envcap.lockfile.model import CAPTURED, Artifact, Package, Patch, Source, SourceArchive
from tests.lock.wheels import LAYOUT, SITE, environment_of, install, put, wheel_files

PLATFORM = "linux/amd64"
POINT = EntryPoint(name="demo", value="demo:main")


def capture(produce: Callable[[Callable[[bytes], object]], None]) -> tuple[str, int]:
    data = bytearray()
    produce(data.extend)
    return hashlib.sha256(data).hexdigest(), len(data)


def make(prefix: Path, name: str = "demo", **changes: Any) -> Distribution:  # noqa: ANN401 - fields of any type
    members = wheel_files(name, "1.0", {f"{name}.py": b"x = 1\n"})
    return replace(install(prefix, name, "1.0", members, entry_points=(POINT,)), **changes)


def artifact(source: str = "pypi", url: str = "") -> Artifact:
    return Artifact(
        platform=PLATFORM, source=source, file="demo-1.0-py3-none-any.whl", size=9, sha256="a" * 64, url=url
    )


def lock(prefix: Path, *results: ProofResult) -> LockedPackages:
    environment = environment_of(prefix, *(row.distribution for row in results))
    return lock_packages(environment, results, layout=LAYOUT, platform=PLATFORM, capture=capture)


def unproven(distribution: Distribution, reason: str = "vcs") -> Unproven:
    return Unproven(distribution=distribution, reason=reason, message="it is from a repository")


def test_a_proven_distribution_is_its_artifact(tmp_path: Path) -> None:
    live = make(tmp_path, requested=True)
    locked = lock(tmp_path, Proven(distribution=live, artifact=artifact()))
    assert locked.packages == (
        Package(name="demo", version="1.0", requested=True, proof="record", artifacts=(artifact(),)),
    )
    assert (locked.sources, locked.kept, locked.captured, locked.findings) == ((), (), (), ())


def test_names_are_normalised_and_packages_sorted(tmp_path: Path) -> None:
    rows = [
        Proven(distribution=replace(make(tmp_path), name=name), artifact=artifact()) for name in ("Zope.X", "a_b", "B")
    ]
    assert [row.name for row in lock(tmp_path, *rows).packages] == ["a-b", "b", "zope-x"]


def test_the_proof_s_patches_become_the_lock_s(tmp_path: Path) -> None:
    live = make(tmp_path)
    edited = put(tmp_path, f"{SITE}/demo.py", b"mine")
    live = replace(live, files=tuple(edited if row.path == edited.path else row for row in live.files))
    locked = lock(
        tmp_path, Proven(distribution=live, artifact=artifact(), patches=(Patch(path=edited.path, change="edited"),))
    )
    assert locked.packages[0].patches == (
        Patch(path=edited.path, change="edited", sha256=hashlib.sha256(b"mine").hexdigest(), size=4),
    )
    assert [name for name, _ in locked.kept] == [hashlib.sha256(b"mine").hexdigest()]
    assert [(row.code, row.message, row.level) for row in locked.findings] == [
        ("package-patched", "demo differs from its wheel: demo.py edited", FindingLevel.WARNING)
    ]


def test_one_warning_a_package_names_the_first_files_of_each_change(tmp_path: Path) -> None:
    live = make(tmp_path)
    gone = tuple(Patch(path=f"{SITE}/demo/{number}.py", change="deleted") for number in range(6))
    locked = lock(tmp_path, Proven(distribution=live, artifact=artifact(), patches=gone))
    assert [row.message for row in locked.findings] == [
        "demo differs from its wheel: 0.py, 1.py, 2.py, 3.py and 2 more deleted"
    ]


def test_a_record_that_is_wrong_about_its_own_wheel_proves_by_content(tmp_path: Path) -> None:
    wrong = Finding(code="record-wrong", message="RECORD is wrong about 'x'")
    locked = lock(tmp_path, Proven(distribution=make(tmp_path), artifact=artifact(), findings=(wrong,)))
    assert locked.packages[0].proof == "content"
    assert locked.findings == (wrong,)


def test_an_artifact_that_only_this_machine_has_is_captured(tmp_path: Path) -> None:
    row = Proven(
        distribution=make(tmp_path), artifact=artifact("local"), source_kind="local", local_file=tmp_path / "demo.whl"
    )
    locked = lock(tmp_path, row)
    assert (locked.packages[0].artifacts[0].source, locked.sources) == (CAPTURED, ())


def test_other_indexes_are_listed_once_and_the_default_is_not(tmp_path: Path) -> None:
    url = "https://wheels.example.org/cu118/simple"
    rows = [
        Proven(distribution=make(tmp_path, "a"), artifact=artifact("lab"), source_url=url),
        Proven(distribution=make(tmp_path, "b"), artifact=artifact("lab"), source_url=url),
        Proven(distribution=make(tmp_path, "c"), artifact=artifact("pypi")),
        Proven(
            distribution=make(tmp_path, "d"), artifact=artifact("url", "https://example.org/d.whl"), source_kind="url"
        ),
    ]
    locked = lock(tmp_path, *rows)
    assert locked.sources == (Source(name="lab", kind="simple-index", url=url),)
    assert locked.packages[3].url == "https://example.org/d.whl"


def test_a_folder_of_this_machine_is_no_address(tmp_path: Path) -> None:
    direct = DirectUrl(url="file:///somewhere/demo", kind="directory")
    proven = lock(tmp_path, Proven(distribution=make(tmp_path), artifact=artifact(url="file:///x/demo.whl")))
    captured = lock(tmp_path, unproven(make(tmp_path, direct_url=direct)))
    assert (proven.packages[0].url, captured.packages[0].url) == ("", "")


@pytest.mark.parametrize(
    ("changes", "origin"),
    [
        ({}, "index"),
        ({"form": "egg-link"}, "editable"),
        ({"form": "egg"}, "local"),
        ({"direct_url": DirectUrl(url="https://example.org/r.git", kind="vcs", commit="c" * 40)}, "vcs"),
        ({"direct_url": DirectUrl(url="file:///x", kind="editable")}, "editable"),
        ({"direct_url": DirectUrl(url="https://example.org/a.zip", kind="archive")}, "url"),
        ({"direct_url": DirectUrl(url="file:///x", kind="directory")}, "local"),
    ],
)
def test_an_unproven_distribution_is_captured(tmp_path: Path, changes: dict[str, Any], origin: str) -> None:
    locked = lock(tmp_path, unproven(make(tmp_path, **changes)))
    (package,) = locked.packages
    assert (package.origin, package.proof, package.artifacts[0].source) == (origin, "captured", CAPTURED)
    assert locked.captured == (package.artifacts[0].sha256,)
    assert package.commit == ("c" * 40 if origin == "vcs" else "")
    assert [row.code for row in locked.findings] == ["captured-vcs"]


def test_the_capture_of_an_editable_is_told_by_the_scan(tmp_path: Path) -> None:
    assert lock(tmp_path, unproven(make(tmp_path), "editable")).findings == ()


def script_of(live: Distribution) -> InstalledFile:
    return next(row for row in live.files if row.path == "bin/demo")


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (None, []),
        (b"#!/usr/bin/env python\nmine\n", ["edited"]),
        (b"\x7fELF", ["edited"]),
        (b"", ["edited"]),
    ],
)
def test_an_edited_script_of_a_captured_wheel_is_a_patch(
    tmp_path: Path, body: bytes | None, changes: list[str]
) -> None:
    live = make(tmp_path)
    if body is not None:
        file = put(tmp_path, "bin/demo", body, executable=True)
        live = replace(live, files=tuple(file if row is script_of(live) else row for row in live.files))
    assert [patch.change for patch in lock(tmp_path, unproven(live)).packages[0].patches] == changes


def test_a_missing_script_of_a_captured_wheel_is_a_patch(tmp_path: Path) -> None:
    live = make(tmp_path)
    live = replace(live, files=tuple(row for row in live.files if row.path != "bin/demo"))
    assert lock(tmp_path, unproven(live)).packages[0].patches == (Patch(path="bin/demo", change="deleted"),)


def test_a_captured_tree_has_no_generated_scripts(tmp_path: Path) -> None:
    live = make(tmp_path, tags=())
    live = replace(live, files=tuple(row for row in live.files if row.path != "bin/demo"))
    assert lock(tmp_path, unproven(live)).packages[0].patches == ()


def test_the_newest_upload_is_that_of_a_proven_artifact(tmp_path: Path) -> None:
    live = make(tmp_path)
    rows = [
        Proven(distribution=live, artifact=artifact(), upload_time=time)
        for time in ("2024-01-02T00:00:00Z", "2024-11-02T00:00:00Z", "")
    ]
    assert newest_upload([*rows, unproven(live)]) == "2024-11-02T00:00:00Z"
    assert newest_upload([unproven(live)]) == ""


@pytest.mark.parametrize(
    ("direct", "url"),
    [
        (DirectUrl(url="https://dl.example.org/aB3dE5gH7jK9mN1p/demo.tar.gz", kind="archive"),
         "https://dl.example.org/***/demo.tar.gz"),
        (DirectUrl(url="https://git.example.org/lab/DeepLearning2024", kind="vcs", vcs="git", commit="a1"),
         "https://git.example.org/lab/DeepLearning2024"),
        (DirectUrl(url="file:///home/me/demo", kind="directory"), ""),
    ],
)  # fmt: skip
def test_the_address_of_a_captured_package_holds_no_token_and_no_place(
    tmp_path: Path, direct: DirectUrl, url: str
) -> None:
    (package,) = lock(tmp_path, unproven(make(tmp_path, direct_url=direct))).packages
    assert package.url == url


def test_an_editable_s_checkout_is_in_its_package(tmp_path: Path) -> None:
    checkout = Checkout(commit="a1" * 20, branch="main", url="https://git.example.org/lab/demo", uncommitted=2)
    direct = DirectUrl(url="file:///home/me/demo", kind="editable")
    (package,) = lock(tmp_path, unproven(make(tmp_path, direct_url=direct, checkout=checkout), "editable")).packages
    assert (package.origin, package.commit, package.branch, package.url, package.uncommitted) == (
        "editable", "a1" * 20, "main", "https://git.example.org/lab/demo", 2,
    )  # fmt: skip


def test_a_package_that_was_built_from_an_sdist_comes_from_an_index(tmp_path: Path) -> None:
    sdist = SourceArchive(file="demo-1.0.tar.gz", sha256="b" * 64)
    locked = lock(tmp_path, replace(unproven(make(tmp_path, form="egg-info"), "legacy-format"), sdist=sdist))
    assert (locked.packages[0].origin, locked.packages[0].sdist) == ("index", sdist)
    assert "built from demo-1.0.tar.gz" in locked.findings[0].message
