"""Rule 5 of recipe 1: which layers, in which order; and what the config says."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.errors import BuildError
from envcap.lockfile.model import Artifact, CapturedFile, ImageSettings, Lockfile, Package
from envcap.plan import (
    EnvironmentLayer,
    FilesLayer,
    ImagePlan,
    InterpreterLayer,
    PackagesLayer,
    SystemLayer,
    artifact_of,
    plan_image,
)
from tests.lockfile.small import SMALL

AMD64 = "linux/amd64"


def package(name: str, size: int, platform: str = AMD64) -> Package:
    file = f"{name}-1.0-py3-none-any.whl"
    artifact = Artifact(platform=platform, source="pypi", file=file, size=size, sha256="a" * 64)
    return Package(name=name, version="1.0", artifacts=(artifact,))


def lock(*packages: Package, captured: tuple[CapturedFile, ...] = ()) -> Lockfile:
    return replace(SMALL, packages=packages, captured=captured)


def names(plan: ImagePlan) -> list[list[str]]:
    return [[one.name for one in layer.packages] for layer in plan.layers if isinstance(layer, PackagesLayer)]


def test_layers_go_from_the_stable_to_the_changing() -> None:
    plan = plan_image(SMALL, AMD64)
    kinds = [SystemLayer, InterpreterLayer, PackagesLayer, PackagesLayer, FilesLayer, EnvironmentLayer]
    assert [type(layer) for layer in plan.layers] == kinds
    assert [layer.what for layer in plan.layers] == [
        "OS packages",
        "interpreter",
        "torch 2.1.0+cu118",
        "1 small package (7/8)",
        "unowned files",
        "environment",
    ]
    assert (plan.platform, plan.epoch, plan.settings) == (AMD64, 1_700_000_000, SMALL.image)
    system = plan.layers[0]
    assert isinstance(system, SystemLayer)
    assert (system.architecture, [one.name for one in system.packages]) == ("amd64", ["libstdc++6"])


def test_a_debian_interpreter_and_no_unowned_files_need_no_layer() -> None:
    bare = replace(SMALL, interpreter=replace(SMALL.interpreter, origin="debian", home="usr"), packages=(), captured=())
    assert [type(layer) for layer in plan_image(bare, AMD64).layers] == [SystemLayer, EnvironmentLayer]


def test_a_package_of_a_million_bytes_has_its_own_layer_big_first_then_by_name() -> None:
    rows = [package("small", 999_999), package("b", 1_000_000), package("a", 1_000_000), package("huge", 5_000_000)]
    assert names(plan_image(lock(*rows), AMD64)) == [["huge"], ["a"], ["b"], ["small"]]


def test_small_packages_go_to_the_bucket_of_their_name_and_empty_buckets_are_no_layers() -> None:
    rows = [package(f"p{number}", 10) for number in range(6)]
    expected: dict[int, list[str]] = {}
    for row in rows:
        bucket = int(hashlib.sha256(row.name.encode()).hexdigest(), 16) % 8
        expected.setdefault(bucket, []).append(row.name)
    found = plan_image(lock(*rows), AMD64)
    assert names(found) == [expected[number] for number in sorted(expected)]
    assert names(found) == [["p0", "p4"], ["p1"], ["p2", "p5"], ["p3"]]


def test_there_are_never_more_than_40_layers_and_the_smallest_are_merged() -> None:
    rows = [package(f"p{number:03}", 2_000_000 + number) for number in range(200)]
    plan = plan_image(lock(*rows, captured=SMALL.captured), AMD64)
    assert len(plan.layers) == 40
    alone = [row for row in names(plan) if len(row) == 1]
    assert alone == [[f"p{number:03}"] for number in range(199, 171, -1)]
    assert sum(map(len, names(plan))) == 200


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.sampled_from([1, 999_999, 1_000_000, 7_000_000])),
        unique_by=lambda row: row[0],
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_every_package_is_in_one_layer_whatever_the_order(rows: list[tuple[int, int]], random: object) -> None:
    packages = [package(f"p{number}", size) for number, size in rows]
    plan = plan_image(lock(*packages), AMD64)
    assert sorted(name for layer in names(plan) for name in layer) == sorted(one.name for one in packages)
    assert len(plan.layers) <= 40
    assert plan_image(lock(*reversed(packages)), AMD64) == plan
    buckets = [layer for layer in names(plan) if len(layer) > 1]
    assert all(layer == sorted(layer) for layer in buckets)


def test_a_package_moves_no_other_package_to_another_bucket() -> None:
    rows = [package(f"p{number}", 10) for number in range(30)]
    before, after = names(plan_image(lock(*rows), AMD64)), names(plan_image(lock(*rows, package("new", 10)), AMD64))
    assert [[name for name in layer if name != "new"] for layer in after] == before


def test_the_recipe_s_variables_come_first_and_the_lock_s_win() -> None:
    chosen = replace(SMALL, image=ImageSettings(env={"Z": "1", "LANG": "de_DE.UTF-8", "A": "2"}))
    assert list(plan_image(chosen, AMD64).environment.items()) == [
        ("PATH", "/opt/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("VIRTUAL_ENV", "/opt/env"),
        ("LANG", "de_DE.UTF-8"),
        ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ("A", "2"),
        ("Z", "1"),
    ]


def test_another_recipe_is_refused() -> None:
    with pytest.raises(BuildError, match=r"asks for recipe 2 \(this version knows recipe 1\)"):
        plan_image(replace(SMALL, recipe=2), AMD64)


def test_a_platform_without_os_packages_is_refused() -> None:
    with pytest.raises(BuildError, match=r"no OS packages for linux/arm64 \(platforms in it: linux/amd64\)") as caught:
        plan_image(SMALL, "linux/arm64")
    assert "--platform" in caught.value.hint
    with pytest.raises(BuildError, match=r"platforms in it: none"):
        plan_image(replace(SMALL, system=()), AMD64)


def test_a_platform_without_interpreter_is_refused() -> None:
    bare = replace(SMALL, interpreter=replace(SMALL.interpreter, artifacts=()))
    with pytest.raises(BuildError, match="holds no interpreter for linux/amd64"):
        plan_image(bare, AMD64)


def test_a_package_without_artifact_for_the_platform_is_refused() -> None:
    other = package("only-arm", 10, platform="linux/arm64")
    with pytest.raises(BuildError, match=r"only-arm 1\.0: the lock has no artifact for linux/amd64"):
        plan_image(lock(other), AMD64)
    assert artifact_of(other, "linux/arm64") is other.artifacts[0]
