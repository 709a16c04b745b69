"""Locking the OS packages of an environment, against a small archive."""

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.environment import ElfFacts, ElfNeed
from envcap.errors import SystemPackageError
from envcap.finding import Finding
from envcap.lock.debian import NO_PINS, Pins, SystemNeeds, lock_system_packages
from envcap.lock.debian_deb import DebFacts
from envcap.lockfile.model import Source, SystemPackage
from tests.lock.debian_archive import GL, NOW, Deb, Machine, Pocket, base_debs, build_archive

Locked = tuple[tuple[SystemPackage, ...], tuple[Source, ...], tuple[Finding, ...]]


def needing(*sonames: str, by: str = "lib/site/cv2/cv2.abi3.so") -> SystemNeeds:
    needs = tuple(ElfNeed(soname=soname, needed_by=(by,)) for soname in sonames)
    return SystemNeeds(elf=ElfFacts(needs=needs), site_packages="lib/site")


def lock(
    root: Path,
    needs: SystemNeeds,
    *debs: Deb,
    pockets: Sequence[Pocket] = (),
    pins: Pins = NO_PINS,
    arch: str = "amd64",
) -> Locked:
    build_archive(root, Pocket(suite="bookworm", debs=(*base_debs(architecture=arch), *debs)), *pockets)
    machine = Machine(root=root)
    suite = machine.open(architecture=arch)
    return lock_system_packages(needs, suite=suite, platform=f"linux/{arch}", read_deb=machine.read_deb, pins=pins)


def names(locked: Locked) -> list[str]:
    return [package.name for package in locked[0]]


def row(locked: Locked, name: str) -> SystemPackage:
    return next(package for package in locked[0] if package.name == name)


def test_the_base_is_closed_over_depends_without_what_only_scripts_use(tmp_path: Path) -> None:
    locked = lock(tmp_path, SystemNeeds())
    assert {"libc6", "bash", "libgcc-s1", "mawk"} <= set(names(locked))
    assert not {"debconf", "perl-base", "gawk"} & set(names(locked))


def test_what_scripts_use_is_locked_when_asked_for(tmp_path: Path) -> None:
    locked = lock(tmp_path, SystemNeeds(requested=("debconf",)))
    assert row(locked, "debconf").because == ("requested",)
    assert row(locked, "perl-base").because == ("dependency of debconf",)


def test_a_soname_brings_what_its_library_loads_and_not_what_its_package_depends_on(tmp_path: Path) -> None:
    locked = lock(tmp_path, needing("libGL.so.1"), *GL)
    assert {"libgl1", "libglvnd0", "libglx0", "libx11-6", "libx11-data"} <= set(names(locked))
    assert not {"libglx-mesa0", "libllvm15"} & set(names(locked))


def test_a_requested_package_brings_all_that_it_depends_on(tmp_path: Path) -> None:
    locked = lock(tmp_path, SystemNeeds(requested=("libglx0",)), *GL)
    assert {"libglx-mesa0", "libllvm15", "libx11-6"} <= set(names(locked))


def test_reasons_say_who_needs_what(tmp_path: Path) -> None:
    locked = lock(tmp_path, needing("libGL.so.1"), *GL)
    assert row(locked, "libgl1").because == ("libGL.so.1 needed by cv2/cv2.abi3.so",)
    assert row(locked, "libglvnd0").because == ("dependency of libgl1", "dependency of libglx0")
    assert row(locked, "libc6").because == ("base",)


def test_a_soname_that_the_base_holds_adds_nothing(tmp_path: Path) -> None:
    assert names(lock(tmp_path / "a", needing("libm.so.6"))) == names(lock(tmp_path / "b", SystemNeeds()))


def test_the_interpreter_of_debian_is_locked_whole(tmp_path: Path) -> None:
    python = Deb(name="python3.11", version="3.11.2-6", depends="libpython3.11-stdlib (= 3.11.2-6)")
    stdlib = Deb(name="libpython3.11-stdlib", version="3.11.2-6")
    locked = lock(tmp_path, SystemNeeds(origin="debian", version="3.11.2"), python, stdlib)
    assert row(locked, "python3.11").because == ("interpreter",)
    assert row(locked, "libpython3.11-stdlib").because == ("dependency of python3.11",)


def test_the_highest_version_of_all_pockets_is_locked_with_its_own_source(tmp_path: Path) -> None:
    fixed = Pocket(suite="bookworm-security", debs=(Deb(name="netbase", version="1.0-1+deb12u2"),), date=NOW - 60)
    locked = lock(tmp_path, SystemNeeds(), pockets=[fixed])
    assert row(locked, "netbase").version == "1.0-1+deb12u2"
    assert row(locked, "netbase").source == "debian-bookworm-security-20231114T221220Z"
    assert [source.suite for source in locked[1]] == ["bookworm", "bookworm-security"]
    assert [source.release for source in locked[1]] == [NOW - 86400, NOW - 60]


def test_a_library_of_another_name_is_found_by_the_list_of_files(tmp_path: Path) -> None:
    locked = lock(tmp_path, needing("libjpeg.so.62"), Deb(name="libjpeg62-turbo", libraries=("libjpeg.so.62",)))
    assert "libjpeg62-turbo" in names(locked)


def test_of_several_holders_the_one_that_debian_builds_against_is_taken(tmp_path: Path) -> None:
    debs = [
        Deb(name="aaa", libraries=("libodd.so.1",)),
        Deb(name="zzz", libraries=("libodd.so.1",)),
        Deb(name="user1", depends="zzz"),
    ]
    assert "zzz" in names(lock(tmp_path, needing("libodd.so.1"), *debs))


def test_a_64_bit_time_name_and_free_hyphens_are_the_policy_name(tmp_path: Path) -> None:
    glib = Deb(name="libglib2.0-0t64", libraries=("libglib-2.0.so.0", "libgthread-2.0.so.0"))
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(*base_debs(), glib), contents=False))
    machine = Machine(root=tmp_path)
    needs = needing("libglib-2.0.so.0", "libgthread-2.0.so.0")
    locked = lock_system_packages(needs, suite=machine.open(), platform="linux/amd64", read_deb=machine.read_deb)
    assert row(locked, "libglib2.0-0t64").because == (
        "libglib-2.0.so.0 needed by cv2/cv2.abi3.so",
        "libgthread-2.0.so.0 needed by cv2/cv2.abi3.so",
    )
    assert not [finding for finding in locked[2] if finding.code == "contents-unavailable"]


def test_a_package_of_the_right_name_without_the_library_is_not_believed(tmp_path: Path) -> None:
    debs = [Deb(name="libodd1", libraries=("libodd.so.2",)), Deb(name="odd-tools", libraries=("libodd.so.1",))]
    locked = lock(tmp_path, needing("libodd.so.1"), *debs)
    assert "odd-tools" in names(locked)
    assert "libodd1" not in names(locked)


def test_a_library_with_alternatives_comes_from_the_package_named_after_it(tmp_path: Path) -> None:
    debs = [
        Deb(name="libblas3", libraries=("libblas.so.3",), folder="blas"),
        Deb(name="libopenblas0-pthread", libraries=("libblas.so.3",), folder="openblas-pthread"),
    ]
    assert "libblas3" in names(lock(tmp_path, needing("libblas.so.3"), *debs))


def test_a_private_library_of_another_package_is_not_found_for_the_environment(tmp_path: Path) -> None:
    locked = lock(tmp_path, needing("libodd.so.1"), Deb(name="app", libraries=("libodd.so.1",), folder="app"))
    assert "app" not in names(locked)
    assert [finding.code for finding in locked[2]].count("soname-unknown") == 1


def test_driver_libraries_of_the_host_are_never_mapped(tmp_path: Path) -> None:
    locked = lock(tmp_path, needing("libcuda.so.1"), Deb(name="libcuda1", libraries=("libcuda.so.1",)))
    assert "libcuda1" not in names(locked)
    assert not [finding for finding in locked[2] if "libcuda" in finding.message]


def test_an_unknown_soname_is_a_finding_that_names_its_user(tmp_path: Path) -> None:
    finding = next(f for f in lock(tmp_path, needing("libnowhere.so.9"))[2] if f.code == "soname-unknown")
    assert "libnowhere.so.9" in finding.message
    assert finding.path == "cv2/cv2.abi3.so"


def test_arm64_is_locked_on_any_host(tmp_path: Path) -> None:
    debs = [replace(deb, architecture="arm64") for deb in GL if deb.architecture == "amd64"]
    locked = lock(tmp_path, needing("libGL.so.1"), *debs, GL[-1], arch="arm64")
    assert row(locked, "libgl1").architecture == "arm64"
    assert row(locked, "libx11-data").architecture == "all"
    assert {package.platform for package in locked[0]} == {"linux/arm64"}


def test_an_unmet_dependency_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SystemPackageError, match=r"tool 1\.0-1 depends on libc6 \(>= 9\) \(found: 2\.36-9 is chosen\)"):
        lock(tmp_path, SystemNeeds(requested=("tool",)), Deb(name="tool", depends="libc6 (>= 9)"))


def test_an_unknown_requested_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemPackageError, match="no package 'nonsuch'"):
        lock(tmp_path, SystemNeeds(requested=("nonsuch",)))


@pytest.mark.parametrize("name", ["../evil", "a b", "a, b", "", "-x"])
def test_what_is_no_package_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemPackageError, match="Unexpected"):
        lock(tmp_path, SystemNeeds(requested=(name,)))


def test_the_order_of_needs_and_of_the_index_does_not_matter(tmp_path: Path) -> None:
    sonames = ["libGL.so.1", "libX11.so.6", "libGLX.so.0", "libodd.so.1", "libm.so.6"]
    debs = [*GL, Deb(name="odd-tools", libraries=("libodd.so.1",), needed=("libX11.so.6",))]
    first = lock(tmp_path / "0", needing(*sonames), *debs)
    for seed in range(4):
        shuffled = random.Random(seed)
        shuffled.shuffle(sonames)
        shuffled.shuffle(debs)
        again = lock(tmp_path / str(seed + 1), needing(*sonames), *debs)
        assert [(p.name, p.version, p.because) for p in again[0]] == [(p.name, p.version, p.because) for p in first[0]]


def renewed(version: str, date: int, depends: str = "libc6") -> Pocket:
    return Pocket(suite="bookworm-updates", debs=(Deb(name="netbase", version=version, depends=depends),), date=date)


def test_pins_are_kept_while_they_serve(tmp_path: Path) -> None:
    first = lock(tmp_path, SystemNeeds())
    pins = Pins(packages=first[0], sources=first[1])
    again = lock(tmp_path, SystemNeeds(), pockets=[renewed("2.0-1", NOW)], pins=pins)
    assert again[:2] == first[:2]
    assert row(lock(tmp_path, SystemNeeds(), pockets=[renewed("2.0-1", NOW)]), "netbase").version == "2.0-1"


def test_a_pin_that_no_index_lists_is_described_by_its_own_file(tmp_path: Path) -> None:
    old = Deb(name="tool", version="1.0-1", depends="netbase")
    first = lock(tmp_path, SystemNeeds(requested=("tool",)), old)
    pins = Pins(packages=first[0], sources=first[1])
    again = lock(tmp_path, SystemNeeds(requested=("tool",)), replace(old, version="1.0-2"), pins=pins)
    assert row(again, "tool").version == "1.0-1"
    assert row(again, "tool").source == first[1][0].name


def test_a_pin_that_nobody_has_any_more_is_renewed_with_a_finding(tmp_path: Path) -> None:
    first = lock(tmp_path, SystemNeeds(requested=("tool",)), Deb(name="tool", version="1.0-1"))
    shutil.rmtree(tmp_path)
    pins = Pins(packages=first[0], sources=first[1])
    again = lock(tmp_path, SystemNeeds(requested=("tool",)), Deb(name="tool", version="1.0-2"), pins=pins)
    assert row(again, "tool").version == "1.0-2"
    assert [finding.code for finding in again[2]].count("pin-dropped") == 1


def test_a_pin_that_no_longer_satisfies_is_renewed_with_its_siblings(tmp_path: Path) -> None:
    old = [Deb(name="libodd1", source="odd", libraries=("libodd.so.1",)), Deb(name="odd-data", source="odd")]
    first = lock(tmp_path, SystemNeeds(requested=("libodd1", "odd-data")), *old)
    new = [replace(deb, version="2.0-1") for deb in old]
    needs = SystemNeeds(requested=("libodd1", "odd-data", "zuser"))
    zuser = Deb(name="zuser", depends="libodd1 (>= 2.0)")
    again = lock(tmp_path, needs, *new, zuser, pins=Pins(packages=first[0], sources=first[1]))
    assert {row(again, name).version for name in ("libodd1", "odd-data")} == {"2.0-1"}
    assert row(again, "libc6") == row(first, "libc6")
    assert [finding.code for finding in again[2]].count("pin-dropped") == 1


def test_pins_of_another_suite_or_platform_do_not_count(tmp_path: Path) -> None:
    first = lock(tmp_path, SystemNeeds())
    foreign = tuple(replace(package, platform="linux/arm64") for package in first[0])
    pins = Pins(packages=foreign, sources=first[1])
    assert lock(tmp_path, SystemNeeds(), pins=pins)[:2] == first[:2]


def test_an_installed_package_is_locked_whole_in_the_version_that_is_there(tmp_path: Path) -> None:
    old, helper = Deb(name="python3-tool", version="1.0-1", depends="helper"), Deb(name="helper")
    newer = Pocket(suite="bookworm-security", debs=(replace(old, version="1.0-2"),))
    needs = SystemNeeds(installed=(("python3-tool", "1.0-1"),))
    locked = lock(tmp_path, needs, old, helper, pockets=[newer])
    assert row(locked, "python3-tool").version == "1.0-1"
    assert row(locked, "python3-tool").because == ("installed on the system",)
    assert row(locked, "helper").because == ("dependency of python3-tool",)
    assert [finding.code for finding in locked[2]].count("os-package-version") == 0


def test_an_installed_version_that_the_suite_has_no_more_is_a_finding_unless_a_pin_keeps_it(tmp_path: Path) -> None:
    needs, old = SystemNeeds(installed=(("python3-tool", "1.0-1"),)), Deb(name="python3-tool", version="1.0-1")
    first = lock(tmp_path, needs, old)
    again = lock(tmp_path, needs, replace(old, version="1.0-2"))
    assert row(again, "python3-tool").version == "1.0-2"
    (finding,) = [finding for finding in again[2] if finding.code == "os-package-version"]
    assert "python3-tool 1.0-1" in finding.message
    assert "1.0-2" in finding.message
    pins = Pins(packages=first[0], sources=first[1])
    kept = lock(tmp_path, needs, replace(old, version="1.0-2"), pins=pins)
    assert row(kept, "python3-tool").version == "1.0-1"


def test_an_upgraded_package_leaves_the_pin_of_its_old_version(tmp_path: Path) -> None:
    old = Deb(name="python3-tool", version="1.0-1")
    first = lock(tmp_path, SystemNeeds(installed=(("python3-tool", "1.0-1"),)), old)
    newer = Pocket(suite="bookworm-updates", debs=(replace(old, version="1.0-2"),))
    needs, pins = SystemNeeds(installed=(("python3-tool", "1.0-2"),)), Pins(packages=first[0], sources=first[1])
    assert row(lock(tmp_path, needs, old, pockets=[newer], pins=pins), "python3-tool").version == "1.0-2"


def test_an_installed_version_that_does_not_get_along_with_the_rest_gives_way(tmp_path: Path) -> None:
    old = [Deb(name="tool", version="1.0-1"), Deb(name="python3-tool", version="1.0-1", depends="tool (= 1.0-1)")]
    new = [Deb(name="tool", version="1.0-2"), Deb(name="python3-tool", version="1.0-2", depends="tool (= 1.0-2)")]
    needs = SystemNeeds(installed=(("base-tool", "1.0-1"), ("python3-tool", "1.0-1")))
    base = Deb(name="base-tool", depends="tool (>= 1.0-2)")
    locked = lock(tmp_path, needs, *old, base, pockets=[Pocket(suite="bookworm-security", debs=tuple(new))])
    assert {row(locked, name).version for name in ("tool", "python3-tool")} == {"1.0-2"}
    codes = [finding.code for finding in locked[2]]
    assert (codes.count("os-package-version"), codes.count("pin-dropped")) == (1, 0)


def test_cycles_and_any_qualifiers_are_fine(tmp_path: Path) -> None:
    debs = [Deb(name="ping", depends="pong:any"), Deb(name="pong", depends="ping (>= 1.0)")]
    assert {"ping", "pong"} <= set(names(lock(tmp_path, SystemNeeds(requested=("ping",)), *debs)))


def test_a_chosen_alternative_is_preferred_to_the_first(tmp_path: Path) -> None:
    debs = [Deb(name="one"), Deb(name="two"), Deb(name="user", depends="one | two")]
    assert "one" not in names(lock(tmp_path / "a", SystemNeeds(requested=("two", "user")), *debs))
    assert "two" not in names(lock(tmp_path / "b", SystemNeeds(requested=("user",)), *debs))


def test_only_a_versioned_provides_satisfies_a_constraint(tmp_path: Path) -> None:
    debs = [Deb(name="plain", provides="thing"), Deb(name="versioned", provides="thing (= 2.0)")]
    user = Deb(name="user", depends="thing (>= 1.5)")
    locked = lock(tmp_path, SystemNeeds(requested=("user",)), *debs, user)
    assert "versioned" in names(locked)
    assert "plain" not in names(locked)


def test_a_package_is_read_by_a_row_that_names_its_pocket(tmp_path: Path) -> None:
    fixed = Deb(name="libodd1", version="1.0-1+deb12u1", libraries=("libodd.so.1",))
    build_archive(
        tmp_path,
        Pocket(suite="bookworm", debs=(*base_debs(), Deb(name="libodd1"))),
        Pocket(suite="bookworm-security", debs=(fixed,), date=NOW),
    )
    machine = Machine(root=tmp_path)
    sources: dict[str, str] = {}

    def read(package: SystemPackage) -> DebFacts:
        sources[package.name] = package.source
        return machine.read_deb(package)

    locked = lock_system_packages(needing("libodd.so.1"), suite=machine.open(), platform="linux/amd64", read_deb=read)
    assert sources["libodd1"] == row(locked, "libodd1").source == "debian-bookworm-security-20231114T221320Z"
    assert sources["libc6"] == row(locked, "libc6").source


def test_facts_of_packages_are_read_once_and_remembered(tmp_path: Path) -> None:
    build_archive(tmp_path, Pocket(suite="bookworm", debs=(*base_debs(), *GL)))
    machine = Machine(root=tmp_path)
    for _ in range(2):
        lock_system_packages(
            needing("libGL.so.1"), suite=machine.open(), platform="linux/amd64", read_deb=machine.read_deb
        )
    assert len(machine.opened) == len(set(machine.opened))
