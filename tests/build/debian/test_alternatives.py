"""Alternatives are read from scripts, and the best one gets its links."""

import pytest

from envcap.build.debian.alternatives import alternative_links, diversions, parse_alternatives
from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import Tree
from tests.build.debian.test_ldcache import LIB, make_tree

# The text of the package libblas3 of bookworm.
BLAS = f"""#!/bin/sh
set -e

update-alternatives --install /{LIB}/libblas.so.3 \\
                    libblas.so.3-x86_64-linux-gnu \\
                    /{LIB}/blas/libblas.so.3 10

exit 0
"""


def package(name: str, postinst: str = "", *, preinst: str = "", essential: bool = False) -> DebContents:
    fields = {"Package": name, "Version": "1", "Architecture": "all"} | ({"Essential": "yes"} if essential else {})
    return DebContents(fields=fields, control=b"", entries=(), scripts={"postinst": postinst, "preinst": preinst})


def links(tree: Tree, *scripts: str) -> dict[str, str]:
    alternatives = [
        one for number, script in enumerate(scripts) for one in parse_alternatives(package(f"p{number}", script))[0]
    ]
    return {entry.path: entry.target for entry in alternative_links(tree, alternatives)}


def test_a_literal_call_over_several_lines_is_understood() -> None:
    tree = make_tree({f"{LIB}/blas/libblas.so.3": b""})
    assert links(tree, BLAS) == {
        "etc/alternatives/libblas.so.3-x86_64-linux-gnu": f"/{LIB}/blas/libblas.so.3",
        f"{LIB}/libblas.so.3": "/etc/alternatives/libblas.so.3-x86_64-linux-gnu",
    }


def test_the_highest_priority_wins_in_any_order() -> None:
    tree = make_tree({f"{LIB}/blas/libblas.so.3": b"", f"{LIB}/open/libblas.so.3": b""})
    better = BLAS.replace("/blas/", "/open/").replace(" 10\n", " 100\n")
    expected = f"/{LIB}/open/libblas.so.3"
    assert links(tree, BLAS, better)["etc/alternatives/libblas.so.3-x86_64-linux-gnu"] == expected
    assert links(tree, better, BLAS)["etc/alternatives/libblas.so.3-x86_64-linux-gnu"] == expected


def test_equal_priorities_are_decided_by_path() -> None:
    tree = make_tree({"usr/bin/b": b"", "usr/bin/a": b""})
    one, other = (f"update-alternatives --install /usr/bin/x x /usr/bin/{name} 5" for name in "ab")
    assert links(tree, one, other) == links(tree, other, one)
    assert links(tree, one, other)["etc/alternatives/x"] == "/usr/bin/a"


def test_followers_come_along_if_their_file_exists() -> None:
    tree = make_tree({"usr/bin/which.debianutils": b"", "usr/share/man/man1/which.debianutils.1.gz": b""})
    script = """
    (configure) update-alternatives --install /bin/which which /usr/bin/which.debianutils 0 \\
        --slave /usr/share/man/man1/which.1.gz which.1.gz /usr/share/man/man1/which.debianutils.1.gz \\
        --slave /usr/share/man/sl/man1/which.1.gz which.sl1.gz /usr/share/man/sl/man1/which.1.gz 2>/dev/null || true
    """
    assert links(tree, script) == {
        "etc/alternatives/which": "/usr/bin/which.debianutils",
        "usr/bin/which": "/etc/alternatives/which",
        "etc/alternatives/which.1.gz": "/usr/share/man/man1/which.debianutils.1.gz",
        "usr/share/man/man1/which.1.gz": "/etc/alternatives/which.1.gz",
    }


def test_a_candidate_without_its_file_is_skipped() -> None:
    assert links(make_tree({}), BLAS) == {}


def test_a_file_of_a_package_is_not_replaced() -> None:
    tree = make_tree({"usr/bin/a": b"", "usr/bin/x": b"own"})
    assert links(tree, "update-alternatives --install /usr/bin/x x /usr/bin/a 5") == {}


@pytest.mark.parametrize(
    "call",
    [
        "update-alternatives --install /usr/bin/x x $path 5",
        "update-alternatives --install /usr/bin/$x x /usr/bin/a 5",
        "update-alternatives --install /usr/bin/x ../x /usr/bin/a 5",
        "update-alternatives --install /usr/bin/../../x x /usr/bin/a 5",
        "update-alternatives --install usr/bin/x x /usr/bin/a 5",
        "update-alternatives --install /usr/bin/x x /usr/bin/a high",
        "update-alternatives --install /usr/bin/x x /usr/bin/a",
        "update-alternatives --install /usr/bin/x x /usr/bin/a 5 --slave /b b",
        "update-alternatives --install /usr/bin/x x /usr/bin/a 5 --quiet",
    ],
)
def test_a_call_that_is_not_literal_is_a_finding(call: str) -> None:
    alternatives, findings = parse_alternatives(package("odd", call))
    assert alternatives == []
    assert [finding.startswith("odd: ") for finding in findings] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "# update-alternatives --install /usr/bin/x x /usr/bin/a 5",
        "update-alternatives --remove x /usr/bin/a",
        "echo no such call",
    ],
)
def test_other_lines_say_nothing(text: str) -> None:
    assert parse_alternatives(package("quiet", text)) == ([], [])


def test_a_diversion_is_a_finding() -> None:
    call = "dpkg-divert --package glx --add --rename --divert /usr/lib/x.old /usr/lib/x"
    assert diversions(package("glx", preinst=call)) == [f"glx: its preinst diverts a file, which isn't done: {call!r}"]


def test_diversions_for_upgrades_and_removals_are_not() -> None:
    guard = 'dpkg-divert --no-rename --divert "/lib/$lib.usr-is-merged" --add "/lib/$lib"'
    assert diversions(package("libc6", preinst=guard)) == []
    assert diversions(package("glx", "dpkg-divert --package glx --remove /usr/lib/x")) == []
    assert diversions(package("dash", "dpkg-divert --divert /bin/sh.distrib --add /bin/sh", essential=True)) == []
