"""in-toto statements: written canonically, read back as they were, refused where they are not one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import TrustError
from envcap.trust.statement import Statement, Subject, read_statement, write_statement

ONE = Digest("a" * 64)
PLAIN = Statement(subjects=(Subject(name="envcap.lock", digest=ONE),), predicate_type="https://example.org/said/v1")
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
STATEMENTS = st.builds(
    Statement,
    subjects=st.lists(
        st.builds(Subject, name=TEXT, digest=st.binary(max_size=4).map(Digest.of)), min_size=1, max_size=4
    ).map(tuple),
    predicate_type=TEXT,
    predicate=st.dictionaries(TEXT, VALUES, max_size=4),
)


def table(**changes: object) -> dict[str, Any]:
    return {**json.loads(write_statement(PLAIN)), **changes}


def test_the_text_is_canonical_in_toto() -> None:
    assert write_statement(PLAIN).decode() == (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"https://example.org/said/v1",'
        f'"subject":[{{"digest":{{"sha256":"{"a" * 64}"}},"name":"envcap.lock"}}]}}'
    )


@given(STATEMENTS)
def test_what_is_written_is_read_back(statement: Statement) -> None:
    assert read_statement(write_statement(statement)) == statement


def test_what_in_toto_does_not_know_is_passed_over() -> None:
    # statement.md, "Parsing Rules": unrecognised fields are ignored.
    subject = {"name": "x", "digest": {"sha256": "a" * 64, "sha512": "b" * 128}, "annotations": {"a": "b"}}
    found = read_statement(json.dumps(table(subject=[subject], extra=1)).encode())
    assert found.subjects == (Subject(name="x", digest=ONE),)


def test_a_statement_without_a_predicate_has_an_empty_one() -> None:
    plain = table()
    del plain["predicate"]
    assert read_statement(json.dumps(plain).encode()).predicate == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, r"Unexpected statement of type"),
        ({"subject": []}, r"number of subjects in the statement \(0, expected 1 to 64\)"),
        ({"subject": [{"digest": {"sha256": "a" * 64}}] * 65}, r"number of subjects in the statement \(65,"),
        ({"subject": {}}, r"Unexpected dict as statement's 'subject'"),
        ({"subject": ["a" * 64]}, r"Unexpected str as subject"),
        ({"subject": [{"name": "x"}]}, r"Missing 'digest' in the subject"),
        ({"subject": [{"digest": {"sha512": "a" * 128}}]}, r"Missing 'sha256'"),
        ({"subject": [{"digest": {"sha256": "A" * 64}}]}, r"Unexpected digest"),
        ({"subject": [{"digest": {"sha256": "a" * 63}}]}, r"Unexpected digest"),
        ({"subject": [{"digest": {"sha256": "a" * 64 + "\n"}}]}, r"Unexpected digest"),
        ({"subject": [{"name": "x" * 257, "digest": {"sha256": "a" * 64}}]}, r"name of a subject is too long"),
        ({"predicateType": None}, r"Unexpected NoneType"),
        ({"predicateType": "x" * 257}, r"predicateType is too long"),
        ({"predicate": []}, r"Unexpected list as predicate"),
        ({"predicate": None}, r"Unexpected NoneType as predicate"),
    ],
)
def test_another_form_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrustError, match=message):
        read_statement(json.dumps(table(**changes)).encode())
