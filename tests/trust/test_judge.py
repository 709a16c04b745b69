"""Judging: what counts, what is refused and why. Each refusal is a bug that some verifier has had."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import TrustError
from envcap.trust.bundle import Bundle, pre_authentication, read_bundle, write_bundle
from envcap.trust.claims import REBUILD_TYPE, SIGNATURE_TYPE, LockFacts
from envcap.trust.judge import MAX_ATTESTATIONS, Attestation, Finding, Judgement, judge
from envcap.trust.statement import Statement, Subject, write_statement
from tests.trust.people import (
    ALICE,
    BOB,
    CAROL,
    FACTS,
    IMAGE,
    MALLORY,
    MANIFEST,
    OTHER_FACTS,
    OTHER_IMAGE,
    Person,
    policy,
)

SIGNED = policy("[require.signature]\nthreshold = 1", ALICE, BOB)
SIGNED_BY_TWO = policy("[require.signature]\nthreshold = 2", ALICE, BOB, CAROL)
REBUILT_BY_TWO = policy("[require.rebuild]\nthreshold = 2", ALICE, BOB, CAROL)
BOTH = policy(
    '[require.signature]\nthreshold = 1\nkeys = ["alice"]\n[require.rebuild]\nthreshold = 1\nkeys = ["bob", "carol"]',
    ALICE,
    BOB,
    CAROL,
)


def held(*attestations: Attestation, facts: LockFacts = FACTS) -> Callable[[Any], Judgement]:
    return lambda what: judge(what, attestations, facts)


def sealed(payload: bytes, person: Person = ALICE, *, hint: str = "") -> Attestation:
    signature = person.key.sign(pre_authentication(payload))
    data = write_bundle(Bundle(hint=hint or person.public.hint, payload=payload, signature=signature))
    return Attestation(name="x.json", data=data)


def said(kind: str, predicate: Mapping[str, object], *, subject: Digest = FACTS.text) -> Attestation:
    statement = Statement(
        subjects=(Subject(name="envcap.lock", digest=subject),), predicate_type=kind, predicate=predicate
    )
    return sealed(write_statement(statement))


def rebuild(**changes: object) -> dict[str, object]:
    return {
        "lock": FACTS.environment,
        "platform": "linux/amd64",
        "expected": str(IMAGE),
        "got": str(IMAGE),
        "manifest": str(MANIFEST),
        "level": "match",
        "envcap": "0.1.0",
    } | changes


def test_one_signature_meets_a_threshold_of_one() -> None:
    assert held(ALICE.signs())(SIGNED) == Judgement(
        findings=(Finding(name="signature-alice.json", key="alice", kind="signature", matches=True),),
        met=("signature by alice (1 needed)",),
        unmet=(),
    )


def test_nothing_said_meets_nothing() -> None:
    # Helm's CVE-2026-35205: a missing provenance passed.
    assert held()(SIGNED) == Judgement(findings=(), met=(), unmet=("signature by nobody (1 needed)",))


def test_distinct_keys_reach_a_threshold() -> None:
    assert held(ALICE.signs(), BOB.signs())(SIGNED_BY_TWO).unmet == ()
    assert held(ALICE.signs())(SIGNED_BY_TWO).unmet == ("signature by alice (2 needed)",)


def test_one_key_counts_once_however_often_it_signs() -> None:
    # CVE-2026-23992: one signature twice reached a threshold of two.
    again = replace(ALICE.signs(), name="again.json")
    other = sealed(write_statement(Statement(
        subjects=(Subject(name="other name", digest=FACTS.text),), predicate_type=SIGNATURE_TYPE
    )))  # fmt: skip
    judgement = held(ALICE.signs(), again, other)(SIGNED_BY_TWO)
    assert judgement.unmet == ("signature by alice (2 needed)",)
    assert [row.refusal for row in judgement.findings] == ["", "", ""]


def test_every_requirement_must_be_met_by_its_own_keys() -> None:
    assert held(ALICE.signs(), BOB.rebuilds())(BOTH).unmet == ()
    assert held(BOB.signs(), ALICE.rebuilds())(BOTH).unmet == (
        "rebuild on linux/amd64 by nobody (1 needed)",
        "signature by nobody (1 needed)",
    )
    assert held(ALICE.signs())(BOTH).unmet == ("rebuild on linux/amd64 by nobody (1 needed)",)


def test_rebuilds_that_match_reach_a_threshold() -> None:
    assert held(ALICE.rebuilds(), BOB.rebuilds())(REBUILT_BY_TWO) == Judgement(
        findings=(
            Finding(name="rebuild-alice.json", key="alice", kind="rebuild", platform="linux/amd64", matches=True),
            Finding(name="rebuild-bob.json", key="bob", kind="rebuild", platform="linux/amd64", matches=True),
        ),
        met=("rebuild on linux/amd64 by alice, bob (2 needed)",),
        unmet=(),
    )


def test_a_rebuild_that_differs_counts_for_nothing() -> None:
    judgement = held(ALICE.rebuilds(), BOB.rebuilds(OTHER_IMAGE))(REBUILT_BY_TWO)
    assert judgement.unmet == ("rebuild on linux/amd64 by alice (2 needed)",)
    assert judgement.findings[1] == Finding(
        name="rebuild-bob.json", key="bob", kind="rebuild", platform="linux/amd64", matches=False
    )


def test_who_says_both_is_not_believed() -> None:
    judgement = held(ALICE.rebuilds(), BOB.rebuilds(OTHER_IMAGE), BOB.rebuilds())(REBUILT_BY_TWO)
    assert judgement.unmet == ("rebuild on linux/amd64 by alice (2 needed)",)


def test_a_signature_is_no_rebuild() -> None:
    assert held(ALICE.signs(), BOB.signs())(REBUILT_BY_TWO).unmet == ("rebuild on linux/amd64 by nobody (2 needed)",)


def test_every_platform_must_be_rebuilt() -> None:
    both = replace(FACTS, expected={**FACTS.expected, "linux/arm64": str(OTHER_IMAGE)})
    one = policy("[require.rebuild]\nthreshold = 1", ALICE)
    arm = ALICE.rebuilds(OTHER_IMAGE, both, platform="linux/arm64")
    assert held(ALICE.rebuilds(facts=both), facts=both)(one).unmet == ("rebuild on linux/arm64 by nobody (1 needed)",)
    assert held(ALICE.rebuilds(facts=both), arm, facts=both)(one).unmet == ()


def test_a_lock_that_expects_nothing_can_not_be_rebuilt_to_it() -> None:
    nothing = replace(FACTS, expected={}, manifests={})
    assert held(ALICE.rebuilds(), facts=nothing)(REBUILT_BY_TWO).unmet == (
        "rebuild of nothing: the lock expects no image",
    )


def edited(edit: Callable[[dict[str, Any]], object]) -> Attestation:
    table = json.loads(ALICE.signs().data)
    edit(table)
    return Attestation(name="x.json", data=json.dumps(table).encode())


SIGNATURE = read_bundle(ALICE.signs().data)
REFUSED: dict[str, tuple[Attestation, str]] = {
    "no JSON": (Attestation(name="x.json", data=b"nonsense"), "not strict JSON"),
    "empty file": (Attestation(name="x.json", data=b""), "not strict JSON"),
    # CVE-2024-29902: an attachment as long as memory.
    "endless": (Attestation(name="x.json", data=b" " * 70_000), "The bundle is not strict JSON: too long"),
    "names twice": (
        Attestation(name="x.json", data=ALICE.signs().data.replace(b'"mediaType"', b'"mediaType":"x","mediaType"')),
        "the name 'mediaType' is there twice",
    ),
    "unknown key": (MALLORY.signs(), "Signed by a key that the policy does not name"),
    "no hint": (
        edited(lambda row: row["verificationMaterial"]["publicKey"].update(hint="")),
        "Signed by a key that the policy does not name",
    ),
    # CVE-2022-35929: another key behind a trusted name.
    "hint of another key": (
        sealed(SIGNATURE.payload, MALLORY, hint=ALICE.public.hint),
        "The signature is not one of the key 'alice'",
    ),
    "hint of another trusted key": (
        sealed(SIGNATURE.payload, BOB, hint=ALICE.public.hint),
        "The signature is not one of the key 'alice'",
    ),
    "payload changed": (
        Attestation(
            name="x.json", data=write_bundle(replace(SIGNATURE, payload=SIGNATURE.payload.replace(b"lock", b"lick")))
        ),
        "The signature is not one of the key 'alice'",
    ),
    "signature truncated": (
        Attestation(name="x.json", data=write_bundle(replace(SIGNATURE, signature=SIGNATURE.signature[:-1]))),
        "The signature is not one of the key 'alice'",
    ),
    "payload signed without its type": (
        Attestation(
            name="x.json", data=write_bundle(replace(SIGNATURE, signature=ALICE.key.sign(SIGNATURE.payload)))
        ),
        "The signature is not one of the key 'alice'",
    ),
    "wrong payload type": (
        edited(lambda row: row["dsseEnvelope"].update(payloadType="text/plain")), "Unexpected payload of type",
    ),
    "certificate": (
        edited(lambda row: row["verificationMaterial"].update(certificate={"rawBytes": "AA=="})),
        "leans on a certificate",
    ),
    # CVE-2026-39395: a payload that can't be read passed for a good one.
    "signed nonsense": (sealed(b"nonsense"), "The statement is not strict JSON"),
    "signed list": (sealed(b"[]"), "expected an object, found list"),
    "statement of another version": (
        sealed(SIGNATURE.payload.replace(b"Statement/v1", b"Statement/v2")), "Unexpected statement of type",
    ),
    # CVE-2022-36056, CVE-2022-29173: good once, of something else.
    "replay of another lock": (ALICE.signs(OTHER_FACTS), "'alice' said it of something else, not of this lock"),
    "rebuild of another lock": (ALICE.rebuilds(facts=OTHER_FACTS), "'alice' said it of something else"),
    "subject in another field": (
        said(SIGNATURE_TYPE, {}, subject=Digest.parse(FACTS.environment)), "'alice' said it of something else",
    ),
    "another predicate": (said("https://slsa.dev/provenance/v1", {}), "'alice' says something of another kind"),
    "type of another case": (said(SIGNATURE_TYPE.upper(), {}), "'alice' says something of another kind"),
    "signature with conditions": (said(SIGNATURE_TYPE, {"only": "on Mondays"}), "Unexpected predicate in a signature"),
    "rebuild without details": (said(REBUILD_TYPE, {}), "Missing 'lock' in the rebuild"),
    "rebuild with more details": (said(REBUILD_TYPE, rebuild(host="x")), "Unknown 'host' in the rebuild"),
    "match of unequal images": (said(REBUILD_TYPE, rebuild(got=str(OTHER_IMAGE))), "The rebuild contradicts itself"),
    "differ of equal images": (said(REBUILD_TYPE, rebuild(level="differ")), "The rebuild contradicts itself"),
    "unknown level": (said(REBUILD_TYPE, rebuild(level="Match")), "The rebuild contradicts itself"),
    "level of another kind": (said(REBUILD_TYPE, rebuild(level=True)), "Unexpected bool as rebuild's 'level'"),
    "digest of another algorithm": (
        said(REBUILD_TYPE, rebuild(got="md5:00", expected="md5:00")), "Unexpected digest 'md5:00'",
    ),
    "match with an image of its own": (
        said(REBUILD_TYPE, rebuild(expected=str(OTHER_IMAGE), got=str(OTHER_IMAGE))),
        "'alice' rebuilt against another expectation",
    ),
    "match of another environment": (
        said(REBUILD_TYPE, rebuild(lock=str(OTHER_IMAGE))), "'alice' rebuilt against another expectation",
    ),
    "platform that the lock lacks": (
        said(REBUILD_TYPE, rebuild(platform="linux/riscv64")), "'alice' rebuilt against another expectation",
    ),
    "endless platform": (said(REBUILD_TYPE, rebuild(platform="x" * 101)), "platform or version is too long"),
}  # fmt: skip
EITHER = policy("[require.signature]\nthreshold = 1\n[require.rebuild]\nthreshold = 1", ALICE, BOB)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_counts_for_nothing_and_says_why(case: str) -> None:
    attestation, message = REFUSED[case]
    judgement = held(attestation)(EITHER)
    (finding,) = judgement.findings
    assert message in finding.refusal
    assert finding == Finding(name=attestation.name, refusal=finding.refusal)
    assert judgement.met == ()
    assert judgement.unmet == ("rebuild on linux/amd64 by nobody (1 needed)", "signature by nobody (1 needed)")


def test_what_is_refused_takes_nothing_from_what_counts() -> None:
    judgement = held(*(attestation for attestation, _ in REFUSED.values()), ALICE.signs(), BOB.rebuilds())(EITHER)
    assert judgement.unmet == ()


def test_endless_attestations_are_refused() -> None:
    # CVE-2023-33958, CVE-2023-46737
    with pytest.raises(TrustError, match=r"too many attestations to check \(257, at most 256\)"):
        held(*[ALICE.signs()] * (MAX_ATTESTATIONS + 1))(SIGNED)


@given(st.integers(0, len(ALICE.signs().data) - 2), st.integers(1, 255))
def test_no_changed_byte_makes_another_statement_count(position: int, change: int) -> None:
    data = bytearray(ALICE.signs().data)
    data[position] ^= change
    (finding,) = held(Attestation(name="x.json", data=bytes(data)))(SIGNED).findings
    # The key ID in the envelope is not signed and not used; everything else is.
    assert finding.refusal or read_bundle(bytes(data)) == SIGNATURE


@given(st.binary(max_size=300))
def test_no_bytes_end_the_judging(data: bytes) -> None:
    (finding,) = held(Attestation(name="x.json", data=data))(SIGNED).findings
    assert finding.refusal
