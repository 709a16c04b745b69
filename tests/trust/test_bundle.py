"""Sigstore bundles: one signature by a key alone, written canonically; everything else refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import TrustError
from envcap.trust.bundle import Bundle, pre_authentication, read_bundle, write_bundle

Edit = Callable[[dict[str, Any]], object]
PLAIN = Bundle(hint="aGludA==", payload=b"{}", signature=b"\x01\x02")


def edited(edit: Edit) -> bytes:
    table = json.loads(write_bundle(PLAIN))
    edit(table)
    return json.dumps(table).encode()


def test_the_text_is_a_bundle_on_one_line() -> None:
    assert write_bundle(PLAIN).decode() == (
        '{"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json",'
        '"signatures":[{"keyid":"aGludA==","sig":"AQI="}]},'
        '"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
        '"verificationMaterial":{"publicKey":{"hint":"aGludA=="},"tlogEntries":[]}}\n'
    )


def test_what_is_signed_is_the_type_and_the_payload() -> None:
    assert pre_authentication(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


@given(
    st.builds(
        Bundle,
        hint=st.text(st.characters(codec="utf-8"), max_size=50),
        payload=st.binary(min_size=1, max_size=200),
        signature=st.binary(min_size=1, max_size=80),
    )
)
def test_what_is_written_is_read_back(bundle: Bundle) -> None:
    assert read_bundle(write_bundle(bundle)) == bundle


def test_a_bundle_with_empty_extras_is_read() -> None:
    data = edited(lambda row: row["verificationMaterial"].update(timestampVerificationData={}))
    assert read_bundle(data) == PLAIN
    assert read_bundle(edited(lambda row: row["verificationMaterial"].pop("tlogEntries"))) == PLAIN
    assert read_bundle(edited(lambda row: row["dsseEnvelope"]["signatures"][0].pop("keyid"))) == PLAIN


REFUSED: dict[str, tuple[Edit, str]] = {
    "no media type": (lambda row: row.pop("mediaType"), "Missing 'mediaType'"),
    "older bundle": (
        lambda row: row.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
        "Unexpected bundle of type",
    ),
    "no material": (lambda row: row.pop("verificationMaterial"), "Missing 'verificationMaterial'"),
    "certificate": (
        lambda row: row["verificationMaterial"].update(certificate={"rawBytes": "AA=="}),
        "leans on a certificate",
    ),
    "chain in place of the key": (
        lambda row: row.update(verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AA=="}]}}),
        "leans on a chain of certificates",
    ),
    "empty certificate": (lambda row: row["verificationMaterial"].update(certificate={}), "Unknown 'certificate'"),
    # CVE-2022-36056, CVE-2026-22703: a log entry that nobody bound to the signature.
    "log entry": (
        lambda row: row["verificationMaterial"].update(tlogEntries=[{"logIndex": "1"}]),
        "leans on an entry of a transparency log",
    ),
    "timestamp": (
        lambda row: row["verificationMaterial"].update(timestampVerificationData={"rfc3161Timestamps": [{}]}),
        "leans on a timestamp",
    ),
    "no key": (lambda row: row["verificationMaterial"].pop("publicKey"), "Missing 'publicKey'"),
    "key brought along": (
        lambda row: row["verificationMaterial"]["publicKey"].update(rawBytes="AA=="), "Unknown 'rawBytes'",
    ),
    "message signature": (
        lambda row: row.update(messageSignature={"signature": "AA=="}), "Unknown 'messageSignature'",
    ),
    "twin of another case": (lambda row: row.update(DsseEnvelope={}), "Unknown 'DsseEnvelope'"),
    "wrong payload type": (
        lambda row: row["dsseEnvelope"].update(payloadType="application/vnd.in-toto+JSON"),
        "Unexpected payload of type",
    ),
    "no signature": (lambda row: row["dsseEnvelope"].update(signatures=[]), r"number of signatures .*\(0, expected 1"),
    # CVE-2023-33958: endless signatures.
    "many signatures": (
        lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "AQI="}] * 1000), r"\(1000, expected 1\)",
    ),
    "signature of another kind": (lambda row: row["dsseEnvelope"].update(signatures=["AQI="]), "Unexpected str"),
    "empty signature": (lambda row: row["dsseEnvelope"].update(signatures=[{"sig": ""}]), "not base64, or empty"),
    "signature of another alphabet": (
        lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "-_8="}]), "not base64",
    ),
    "signature with a second text": (
        lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "AQJ="}]), "not base64",
    ),
    "signature with a space": (lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "AQ I="}]), "not base64"),
    "signature beyond ASCII": (lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "é"}]), "not base64"),
    "key ID of another kind": (
        lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "AQI=", "keyid": 1}]), "Unexpected int as key ID",
    ),
    "certificate in the signature": (
        lambda row: row["dsseEnvelope"].update(signatures=[{"sig": "AQI=", "cert": "AA=="}]), "Unknown 'cert'",
    ),
    "no payload": (lambda row: row["dsseEnvelope"].update(payload=""), "payload is not base64, or empty"),
    "truncated payload": (lambda row: row["dsseEnvelope"].update(payload="e30"), "payload is not base64"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_another_form_is_refused(case: str) -> None:
    edit, message = REFUSED[case]
    with pytest.raises(TrustError, match=message):
        read_bundle(edited(edit))


def test_every_truncation_is_refused() -> None:
    data = write_bundle(PLAIN).rstrip()
    for length in range(len(data)):
        with pytest.raises(TrustError):
            read_bundle(data[:length])
