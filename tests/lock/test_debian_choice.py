"""Choosing the suite of an image."""

from pathlib import Path

import pytest

from envcap.environment import ElfFacts, ElfNeed
from envcap.errors import SystemPackageError
from envcap.lock.debian_choice import choose_suite
from envcap.sources.debian_archive import DebianSuite
from tests.lock.debian_archive import Deb, Machine, Pocket, base_debs, build_archive


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    old = (Deb(name="python3.11", version="3.11.2-6+deb12u8"), Deb(name="libstdc++6", version="12.2.0-14"))
    new = (Deb(name="python3.13", version="3.13.5-2"), Deb(name="libstdc++6", version="14.2.0-19"))
    build_archive(
        tmp_path,
        Pocket(suite="bookworm", debs=(*base_debs(glibc="2.36-9+deb12u14"), *old)),
        Pocket(suite="trixie", debs=(*base_debs(glibc="2.41-12"), *new)),
    )
    return Machine(root=tmp_path)


def choose(
    machine: Machine, elf: ElfFacts, *, origin: str = "captured", version: str = "3.12.1", wanted: str | None = None
) -> tuple[str, list[str]]:
    opened: list[str] = []

    def open_suite(name: str) -> DebianSuite:
        opened.append(name)
        return machine.open(name)

    suite = choose_suite(elf, origin=origin, version=version, wanted=wanted, open_suite=open_suite)
    return suite.name, opened


@pytest.mark.parametrize(
    ("glibc", "name"), [("", "bookworm"), ("2.9", "bookworm"), ("2.36", "bookworm"), ("2.37", "trixie")]
)
def test_the_oldest_suite_with_the_glibc_is_chosen(machine: Machine, glibc: str, name: str) -> None:
    assert choose(machine, ElfFacts(glibc=glibc))[0] == name


def test_no_further_suite_is_opened_than_needed(machine: Machine) -> None:
    assert choose(machine, ElfFacts(glibc="2.28"))[1] == ["bookworm"]


def test_a_newer_libstdcxx_asks_for_a_newer_suite_if_the_system_has_to_bring_it(machine: Machine) -> None:
    need = ElfNeed(soname="libstdc++.so.6", needed_by=("x.so",))
    assert choose(machine, ElfFacts(glibcxx="3.4.33", needs=(need,)))[0] == "trixie"
    assert choose(machine, ElfFacts(glibcxx="3.4.30", needs=(need,)))[0] == "bookworm"
    assert choose(machine, ElfFacts(glibcxx="3.4.33"))[0] == "bookworm"


def test_an_interpreter_of_debian_names_its_suite(machine: Machine) -> None:
    assert choose(machine, ElfFacts(), origin="debian", version="3.13.5")[0] == "trixie"
    assert choose(machine, ElfFacts(), origin="debian", version="3.11.2")[0] == "bookworm"


def test_an_interpreter_that_no_suite_has_is_an_error_that_says_what_they_have(machine: Machine) -> None:
    with pytest.raises(SystemPackageError, match=r"bookworm: python 3\.11\.9 is needed, python3\.11 3\.11\.2 found"):
        choose(machine, ElfFacts(), origin="debian", version="3.11.9")


def test_the_users_choice_holds_or_fails(machine: Machine) -> None:
    assert choose(machine, ElfFacts(), wanted="trixie")[0] == "trixie"
    with pytest.raises(SystemPackageError, match=r"glibc 2\.38 is needed, 2\.36 found"):
        choose(machine, ElfFacts(glibc="2.38"), wanted="bookworm")


def test_a_glibc_that_no_suite_has_is_an_error(machine: Machine) -> None:
    with pytest.raises(SystemPackageError, match="bookworm or trixie"):
        choose(machine, ElfFacts(glibc="2.99"))
