"""Virtual packages: what conda packages ask of a machine, what a machine has, and where the two are compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.cli.talk import Talk
from envcap.cli.virtual import warn_of_virtual
from envcap.conda.virtual import is_cpu_met, is_met, split_virtual
from envcap.errors import LockfileError
from envcap.lockfile.document import environment_digest, read_lockfile, write_lockfile
from envcap.lockfile.model import CondaPackage, Lockfile, Session, VirtualPackage
from envcap.lockfile.virtual import required_virtual
from envcap.preflight.virtual import find_unmet, glibc_findings
from envcap.scan.conda_virtual import detect_virtual
from envcap.world import Machine
from tests.conda.channel import Channel
from tests.conda.test_lock import ROW, lock
from tests.conda.world import make_world
from tests.flow import Flow


def asking(name: str, *depends: str, constrains: tuple[str, ...] = ()) -> CondaPackage:
    return replace(ROW, name=name, depends=depends, constrains=constrains, patches=())


def sealed(*rows: CondaPackage) -> Lockfile:
    return replace(lock(*rows), virtual=required_virtual(rows))


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        ("__glibc >=2.28,<3.0.a0", ("__glibc", ">=2.28,<3.0.a0")),
        ("__glibc  >=2.17", ("__glibc", ">=2.17")),
        ("__unix", ("__unix", "")),
        ("__archspec 1 x86_64_v3", ("__archspec", "1 x86_64_v3")),
        ("conda-forge::__cuda >=12", ("__cuda", ">=12")),
        ("__CUDA[version='>=12']", ("__cuda", "[version='>=12']")),
        ("python >=3.11", None),
        ("_libgcc_mutex 0.1 conda_forge", None),
        ("__", None),
        ("", None),
        ("__" + "a" * 5000, None),
    ],
)
def test_a_dependency_on_a_virtual_package_is_split(dependency: str, expected: tuple[str, str] | None) -> None:
    assert split_virtual(dependency) == expected


@pytest.mark.parametrize(
    ("name", "wanted", "fact", "expected"),
    [
        ("__glibc", ">=2.28,<3.0.a0", "2.36", True),
        ("__glibc", ">=2.9", "2.36", True),
        ("__glibc", ">=2.39", "2.36", False),
        ("__cuda", ">=12|11.8.*", "11.8", True),
        ("__cuda", "[version='>=12']", "11.8", False),
        ("__cuda", "", "11.8", True),
        ("__cuda", ">=12; if linux", "12.4", None),
        ("__glibc", "(" * 200, "2.36", None),
        ("__glibc", "1" * 5000, "2.36", None),
        ("__glibc", ">=2", "../../x", None),
    ],
)
def test_versions_are_compared_as_conda_does(name: str, wanted: str, fact: str, expected: bool | None) -> None:  # noqa: FBT001 - parametrized
    assert is_met(name, wanted, fact) is expected


@pytest.mark.parametrize(
    ("wanted", "fact", "level", "expected"),
    [
        ("1 x86_64_v3", "1 x86_64_v4", "x86-64-v4", True),
        ("1=x86_64_v3", "1 x86_64_v4", "x86-64-v4", True),
        ("1 x86_64_v4", "1 haswell", "x86-64-v3", False),
        ("1 x86_64_v2", "1 x86_64", "", False),
        ("1 x86_64", "1 zen4", "x86-64-v4", True),
        ("1 zen2", "1 zen2", "x86-64-v3", True),
        ("1 zen2", "1 x86_64_v4", "x86-64-v4", None),
        ("1 x86_64_v3", "1 x86_64_v3", None, True),
        (">=1", "1 x86_64_v3", None, True),
    ],
)
def test_a_cpu_of_a_higher_level_is_as_good(wanted: str, fact: str, level: str | None, expected: bool | None) -> None:  # noqa: FBT001 - parametrized
    assert is_cpu_met(wanted, fact, level) is expected


def test_each_wish_is_a_row_with_those_who_have_it() -> None:
    packages = (
        asking("b", "__glibc >=2.17", "__unix", "python"),
        asking("a", "__glibc >=2.17", constrains=("__cuda >=12", "__osx >=11", "__cuda")),
    )

    assert required_virtual(packages) == (
        VirtualPackage(name="__cuda", wanted=">=12", optional=True, because=("a",)),
        VirtualPackage(name="__glibc", wanted=">=2.17", because=("a", "b")),
        VirtualPackage(name="__unix", because=("b",)),
    )


def test_rows_are_written_and_read_back() -> None:
    whole = sealed(asking("a", "__glibc >=2.17", constrains=("__cuda >=12",)))
    text = write_lockfile(whole)

    assert read_lockfile(text) == whole
    assert '[[virtual]]\nname = "__cuda"\nwanted = ">=12"\noptional = true\nbecause = ["a"]\n' in text


def test_a_lock_without_the_rows_is_read_and_judged_all_the_same() -> None:
    old = lock(asking("a", "__cuda >=12"))

    assert read_lockfile(write_lockfile(old)) == old
    assert [row.row.because for row in find_unmet(old, {"__unix": "0"}, None)] == [("a",)]


def test_rows_that_the_packages_do_not_ask_for_are_refused() -> None:
    whole = sealed(asking("a", "__glibc >=2.17"))
    for rows in (
        (replace(whole.virtual[0], wanted=">=2"),),
        (replace(whole.virtual[0], because=("b",)),),
        (*whole.virtual, VirtualPackage(name="__zzz")),
    ):
        with pytest.raises(LockfileError, match="Unexpected rows in 'virtual'"):
            write_lockfile(replace(whole, virtual=rows))


def test_what_the_machine_had_is_no_part_of_the_identity() -> None:
    whole = sealed(asking("a", "__glibc >=2.17"))
    other = replace(whole, session=Session(virtual={"__glibc": "2.36", "__archspec": "1 zen4"}))

    assert environment_digest(other) == environment_digest(whole)
    assert read_lockfile(write_lockfile(other)) == other


@pytest.mark.parametrize("table", [{"__glibc": "/home/ada"}, {"glibc": "2.36"}, {"__glibc": ""}, {"__x": "1 a b"}])
def test_a_fact_that_is_no_version_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(LockfileError, match=r"session\.virtual"):
        write_lockfile(replace(lock(ROW), session=Session(virtual=table)))


def test_a_machine_is_named_by_versions_alone() -> None:
    found = detect_virtual({})

    assert {"__archspec", "__glibc", "__linux", "__unix"} <= set(found)
    assert found["__unix"] == "0"


def test_condas_variables_stand_for_what_is_not_there() -> None:
    variables = {"CONDA_OVERRIDE_CUDA": "12.4", "CONDA_OVERRIDE_GLIBC": "", "CONDA_OVERRIDE_ARCHSPEC": "zen2"}
    found = detect_virtual(variables)

    assert (found["__cuda"], found["__archspec"], "__glibc" in found) == ("12.4", "1 zen2", False)
    assert "__cuda" not in detect_virtual({"CONDA_OVERRIDE_CUDA": "/home/ada"})


def test_a_machine_is_compared_only_with_what_is_its_own() -> None:
    asks = sealed(asking("a", "__glibc >=2.99", "__cuda", "__linux >=3.10", constrains=("__cuda >=12",)))

    def lacks(**facts: str) -> list[tuple[str, str, str]]:
        return [(one.row.name, one.row.wanted, one.found) for one in find_unmet(asks, {"__unix": "0", **facts}, None)]

    assert lacks(__linux="6.1", __cuda="12.4") == []
    assert lacks(__linux="6.1") == [("__cuda", "", "")]
    assert lacks(__linux="2.6.32", __cuda="11.8") == [("__cuda", ">=12", "11.8"), ("__linux", ">=3.10", "2.6.32")]


def test_an_unknown_kind_of_cpu_is_no_certain_lack() -> None:
    asks = sealed(asking("a", "__archspec 1 zen2"))

    found = find_unmet(asks, {"__archspec": "1 x86_64_v4"}, "x86-64-v4")

    assert [(one.found, one.certain) for one in found] == [("1 x86_64_v4", False)]


def test_a_glibc_that_the_image_lacks_is_told() -> None:
    libc = replace(lock().system[0], name="libc6", version="2.36-9+deb12u7")
    asks = replace(sealed(asking("a", "__glibc >=2.39,<3.0.a0"), asking("b", "__glibc >=2.36")), system=(libc,))

    message = (
        "conda's a asks for __glibc >=2.39,<3.0.a0, and the image has glibc 2.36 of Debian: choose a newer suite with "
        "`--suite`, if there is one"
    )
    assert [finding.message for finding in glibc_findings(asks)] == [message]


@pytest.fixture(scope="module")
def flow(channel: Channel, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A lock of an environment that asks for a GPU, taken on a machine that has one."""
    world = make_world(
        tmp_path_factory.mktemp("virtual") / "world", channel, ("python", "gpu", "level", "future"),
        settings={"CONDA_OVERRIDE_CUDA": "12.4"},
    )  # fmt: skip
    taken = world.snapshot()
    assert taken.status == 0, taken.err
    assert "conda's future asks for __glibc >=2.99, and the image has glibc" in " ".join(taken.err.split())
    return world


def on(flow: Flow, **settings: str) -> Flow:
    return replace(flow, settings={**flow.settings, **settings})


def test_a_snapshot_records_what_is_asked_and_what_was_there(flow: Flow) -> None:
    found = open_lock(flow.lock).lockfile

    assert [(row.name, row.wanted, row.optional, row.because) for row in found.virtual] == [
        ("__archspec", "1 x86_64_v2", False, ("level",)),
        ("__cuda", "", False, ("gpu",)),
        ("__cuda", ">=12", True, ("gpu",)),
        ("__glibc", ">=2.17,<3.0.a0", False, ("gpu",)),
        ("__glibc", ">=2.99", False, ("future",)),
        ("__unix", "", False, ("gpu",)),
    ]
    assert found.session.virtual["__cuda"] == "12.4"


def test_another_machine_gives_the_same_environment(flow: Flow, tmp_path: Path) -> None:
    other = on(flow, CONDA_OVERRIDE_CUDA="13.0", CONDA_OVERRIDE_ARCHSPEC="zen5")
    answer = other.run("snapshot", flow.prefix, "--name", "small", "--output", tmp_path, "--json")

    first, second = (open_lock(path).lockfile for path in (flow.lock, tmp_path / "small"))
    assert answer.status == 0, answer.err
    assert environment_digest(first) == environment_digest(second)
    assert (second.session.virtual["__cuda"], second.session.virtual["__archspec"]) == ("13.0", "1 zen5")


def test_show_says_both(flow: Flow) -> None:
    shown = " ".join(flow.run("show", flow.lock).out.split())

    assert "__glibc >=2.17,<3.0.a0 (gpu)" in shown
    assert "__cuda >=12, where there is one (gpu)" in shown
    assert "__cuda 12.4" in shown


@pytest.mark.parametrize(
    ("cuda", "message"),
    [
        ("11.8", "conda's gpu goes only with __cuda >=12, and this machine has 11.8: the image may not run here"),
        ("", "conda's gpu asks for __cuda, and this machine has none: the image may not run here"),
    ],
)
def test_check_and_rebuild_warn_where_this_machine_lacks_something(flow: Flow, cuda: str, message: str) -> None:
    here = on(flow, CONDA_OVERRIDE_CUDA=cuda)

    checked = here.run("check", flow.lock, flow.prefix)
    rebuilt = here.run("rebuild", flow.lock)

    assert (checked.status, rebuilt.status) == (0, 0)
    assert message in " ".join(checked.err.split())
    assert message in " ".join(rebuilt.err.split())
    lacking = json.loads(here.run("check", flow.lock, flow.prefix, "--json").out)["lacking"]
    assert [(row["name"], row["found"], row["because"]) for row in lacking] == [("__cuda", cuda, ["gpu"])]


def test_nothing_is_said_where_nothing_lacks(flow: Flow) -> None:
    checked = flow.run("check", flow.lock, flow.prefix)

    assert (checked.status, "__" in checked.err) == (0, False)
    assert "lacking" not in json.loads(flow.run("check", flow.lock, flow.prefix, "--json").out)


@pytest.mark.parametrize("facts", [{"__linux": "6.1", "__unix": "0"}, {}])
def test_a_machine_is_asked_once_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, str]
) -> None:
    asked: list[int] = []

    def virtual() -> dict[str, str]:
        asked.append(1)
        return facts

    machine = Machine(environ={}, home=tmp_path, cwd=tmp_path, store=tmp_path, virtual=virtual)
    warn_of_virtual(sealed(asking("a", "__cuda >=12")), machine, Talk())

    assert asked == [1]
    assert ("this machine has none" if facts else "was not compared") in capsys.readouterr().err
