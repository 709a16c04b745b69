"""What envcap says: of which subjects, in which words; the same words from the same facts."""

from dataclasses import replace

import pytest

from envcap.digest import Digest
from envcap.lockfile.document import write_lockfile
from envcap.trust.bundle import read_bundle
from envcap.trust.claims import (
    MATCH,
    Rebuild,
    lock_facts,
    read_rebuild,
    rebuild_statement,
    seal,
    signature_statement,
)
from envcap.trust.statement import Subject, read_statement
from tests.trust.people import ALICE, BOB, FACTS, IMAGE, LOCK, MANIFEST, OTHER_IMAGE, Person


def test_the_lock_is_named_by_the_hash_of_its_file() -> None:
    assert FACTS.text == Digest.of(write_lockfile(LOCK).encode())
    assert lock_facts(replace(LOCK, expected=())).text != FACTS.text


def test_a_signature_is_about_the_lock_and_the_images_that_it_expects() -> None:
    statement = signature_statement(FACTS)
    assert statement.predicate_type == "https://sigstore.dev/cosign/sign/v1"
    assert statement.predicate == {}
    assert statement.subjects == (
        Subject(name="envcap.lock", digest=FACTS.text),
        Subject(name="linux/amd64 manifest", digest=MANIFEST),
        Subject(name="linux/amd64 image ID", digest=IMAGE),
    )


def test_an_image_whose_manifest_is_not_known_is_named_by_its_id_alone() -> None:
    names = [subject.name for subject in signature_statement(replace(FACTS, manifests={})).subjects]
    assert names == ["envcap.lock", "linux/amd64 image ID"]


@pytest.mark.parametrize(("got", "level"), [(IMAGE, "match"), (OTHER_IMAGE, "differ")])
def test_a_rebuild_says_what_was_expected_and_what_came_out(got: Digest, level: str) -> None:
    statement = rebuild_statement(FACTS, platform="linux/amd64", got=got, manifest=MANIFEST, version="0.1.0")
    assert statement.subjects[1:] == (
        Subject(name="linux/amd64 manifest", digest=MANIFEST),
        Subject(name="linux/amd64 image ID", digest=got),
    )
    assert read_rebuild(statement.predicate) == Rebuild(
        lock=FACTS.environment,
        platform="linux/amd64",
        expected=str(IMAGE),
        got=str(got),
        manifest=str(MANIFEST),
        level=level,
        envcap="0.1.0",
    )
    assert (level == MATCH) == (got == IMAGE)


@pytest.mark.parametrize("person", [ALICE, BOB], ids=["ed25519", "ecdsa"])
def test_the_same_key_and_facts_give_the_same_bytes(person: Person) -> None:
    key = person.key
    statement = signature_statement(FACTS)
    assert seal(statement, key) == seal(statement, key)
    assert read_statement(read_bundle(seal(statement, key)).payload) == statement
