"""Reading dependencies."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.errors import SystemPackageError
from envcap.lock.debian_relation import Relation, parse_relations


def test_alternatives_constraints_and_qualifiers_are_read() -> None:
    clauses = list(parse_relations("libc6 (>= 2.34), mawk | awk, python3:any (<< 4), xy(=1)", owner="x"))
    assert clauses == [
        (Relation(name="libc6", operator=">=", version="2.34"),),
        (Relation(name="mawk"), Relation(name="awk")),
        (Relation(name="python3", operator="<<", version="4"),),
        (Relation(name="xy", operator="=", version="1"),),
    ]


@pytest.mark.parametrize("text", ["Libc6", "a b", "a (~ 1)", "a (>= )", "a |", "-a", "a/b"])
def test_a_malformed_dependency_is_refused(text: str) -> None:
    with pytest.raises(SystemPackageError, match="Unexpected dependency"):
        list(parse_relations(text, owner="x"))


@pytest.mark.parametrize(
    ("operator", "lower", "same", "higher"),
    [
        ("<<", True, False, False),
        ("<=", True, True, False),
        ("=", False, True, False),
        (">=", False, True, True),
        (">>", False, False, True),
        ("<", True, True, False),
        (">", False, True, True),
        ("", True, True, True),
    ],
)
def test_constraints_compare_versions(operator: str, lower: bool, same: bool, higher: bool) -> None:  # noqa: FBT001 - a table
    text = f"xy ({operator} 1.0-2)" if operator else "xy"
    ((relation,),) = parse_relations(text, owner="x")
    assert [relation.accepts(version) for version in ("1.0-1", "1.0-2", "1:0")] == [lower, same, higher]


VERSIONS = st.from_regex(r"(?:[01]:)?[0-3][01ab.+~]{0,5}(?:-[01ab+~]{1,3})?", fullmatch=True)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
@settings(max_examples=40, deadline=None)
@given(VERSIONS, VERSIONS)
def test_versions_compare_as_dpkg_compares_them(one: str, other: str) -> None:
    below = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False).returncode == 0
    assert Relation(name="xy", operator="<<", version=other).accepts(one) == below
