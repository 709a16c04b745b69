"""Bounds of YAML that somebody else wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.conda.yaml_document import MAX_DEPTH, MAX_NODES, parse_yaml
from envcap.errors import LockfileError


def test_every_scalar_is_a_text() -> None:
    assert parse_yaml("{version: 3.10, hash: 0123, none: null, day: 2026-13-45, ok: yes}", name="x") == {
        "version": "3.10", "hash": "0123", "none": "null", "day": "2026-13-45", "ok": "yes",
    }  # fmt: skip


_LETTERS = zip("abcdefg", "bcdefgh", strict=True)
BOMB = "\n".join(f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]" for below, name in _LETTERS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a: &a [lol]\n{BOMB}", "x has an alias in line 2 (expected none)"),
        ("a: &a {b: 1}\nc: {<<: *a}", "x has an alias in line 2 (expected none)"),
        ("a: &a [*a]", "x has an alias in line 1 (expected none)"),
        ("[" * 40 + "]" * 40, "x is too deep or too long in line 1"),
        ("[" * 100_000, "x is damaged: no YAML in line 1"),
        ("\n".join("  " * level + "- " for level in range(MAX_DEPTH + 2)), "x is too deep or too long in line"),
        ("a: [1", "x is damaged: no YAML in line"),
        ("a: 'secret", "x is damaged: no YAML in line"),
        ("a: 1\n---\nb: 2", "x is damaged: no YAML in line 2"),
        ("a: \0", "x is damaged: no YAML"),
        ("\ud800", "x is damaged: no YAML"),
    ],
)
def test_what_is_no_plain_document_is_refused(text: str, message: str) -> None:
    with pytest.raises(LockfileError) as refused:
        parse_yaml(text, name="x")

    assert refused.value.message.startswith(message)
    assert "secret" not in str(refused.value)


def test_a_document_without_end_is_refused() -> None:
    with pytest.raises(LockfileError, match="x is too deep or too long in line"):
        parse_yaml("-\n" * (MAX_NODES + 1), name="x")


def test_no_tag_makes_an_object() -> None:
    assert parse_yaml("!!python/object/apply:os.getcwd []", name="x") == []


_DOCUMENTS = st.recursive(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=20,
)


@given(_DOCUMENTS)
def test_texts_lists_and_mappings_come_back(document: object) -> None:
    import json  # noqa: PLC0415 - YAML 1.2 holds JSON

    assert parse_yaml(json.dumps(document), name="x") == document
