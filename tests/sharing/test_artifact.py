"""Artifacts are the same bytes whoever makes them, and names are made of checked parts only."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.bundle.contents import lock_manifest
from envcap.digest import Digest
from envcap.errors import EnvcapError, TrustError, UsageError
from envcap.lockfile.document import write_lockfile
from envcap.registry.documents import ImageManifest, read_document
from envcap.sharing.artifact import attestation_manifest, is_own_tag, lock_annotations, lock_tag, read_claim
from envcap.trust.claims import lock_facts, seal, signature_statement
from envcap.trust.folder import file_name
from envcap.trust.statement import Statement, Subject
from tests.oci.images import SMALL
from tests.sharing.published import FACTS, LOCK, kept_pieces
from tests.trust.people import ALICE, BOB

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def test_a_lock_artifact_names_its_image_and_what_a_registry_lists_of_it() -> None:
    text = write_lockfile(LOCK).encode()
    data = lock_manifest(text, kept_pieces(), subject=SMALL.descriptor, annotations=lock_annotations(LOCK))
    found = read_document(data, MANIFEST_TYPE, "it")
    assert isinstance(found, ImageManifest)
    assert found.artifact_type == "application/vnd.envcap.lock.v1"
    assert found.subject == SMALL.descriptor
    assert found.layers[0].descriptor.digest == Digest.of(text)
    assert {row.descriptor.digest.hex for row in found.layers[1:]} == {piece.sha256 for piece in kept_pieces()}
    assert found.annotations["dev.envcap.lock-digest"] == FACTS.environment


def test_a_lock_without_an_image_has_no_subject() -> None:
    assert "subject" not in json.loads(lock_manifest(b"x", ()))
    assert "annotations" not in json.loads(lock_manifest(b"x", ()))


def test_a_claim_is_filed_under_the_name_that_sign_gives_it() -> None:
    for person in (ALICE, BOB):
        claim = read_claim(person.signs(FACTS).data, FACTS)
        assert claim.file_name == file_name(signature_statement(FACTS), person.public)
        assert claim.key == person.public.digest.hex
    rebuilt = read_claim(ALICE.rebuilds(SMALL.image_id, FACTS).data, FACTS)
    assert rebuilt.file_name == f"rebuild-linux-amd64-{ALICE.public.digest.hex[:16]}.json"
    assert rebuilt.rebuild is not None
    assert rebuilt.rebuild.level == "match"


def test_what_is_said_of_another_lock_is_no_claim() -> None:
    other = lock_facts(replace(LOCK, name="other"))
    with pytest.raises(TrustError, match="about something else"):
        read_claim(ALICE.signs(other).data, FACTS)


@pytest.mark.parametrize("platform", ["../../x", "linux/../..", "linux/amd64\n", "", "a/b"])
def test_a_platform_that_would_name_another_file_is_refused(platform: str) -> None:
    facts = replace(FACTS, expected={platform: FACTS.expected["linux/amd64"]})
    with pytest.raises(TrustError, match="Unexpected platform"):
        read_claim(ALICE.rebuilds(SMALL.image_id, facts, platform=platform).data, FACTS)


def test_a_statement_of_another_kind_is_no_claim() -> None:
    statement = Statement(
        subjects=(Subject(name="x", digest=FACTS.text),), predicate_type="https://example.org/other/v1"
    )
    with pytest.raises(TrustError, match="another kind"):
        read_claim(seal(statement, ALICE.key), FACTS)


@given(data=st.binary(max_size=400))
def test_any_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(EnvcapError) as refused:
        read_claim(data, FACTS)
    assert "\n" not in refused.value.message


def test_an_attestation_has_the_shape_that_cosign_reads() -> None:
    data = ALICE.signs(FACTS).data
    table = json.loads(attestation_manifest(data, read_claim(data, FACTS), SMALL.descriptor))
    assert table["artifactType"] == table["layers"][0]["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert table["layers"][0]["digest"] == str(Digest.of(data))
    assert table["subject"]["digest"] == str(SMALL.descriptor.digest)
    assert table["annotations"] == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    }


@given(tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_the_tag_of_a_lock_is_a_tag_or_is_refused(tag: str) -> None:
    if len(tag) > 121:
        with pytest.raises(UsageError, match="expected at most 121"):
            lock_tag(tag)
    else:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", lock_tag(tag))
        assert is_own_tag(lock_tag(tag))


def test_tags_that_people_give_are_told_from_those_that_tools_make() -> None:
    assert not is_own_tag("2026-11")
    assert is_own_tag(f"sha256-{'a' * 64}")
    assert is_own_tag("sha256-0123456789ab.lock.0123456789ab")
