"""How it travels: a DSSE envelope with one signature in a sigstore bundle v0.3 that names a key. Pure.

Sources: DSSE protocol.md and envelope.md; sigstore protobuf-specs, sigstore_bundle.proto (`Bundle`,
`VerificationMaterial`) in the JSON form of protobuf. A bundle that leans on more than a key (certificate, log entry,
timestamp) is refused: what isn't checked must not seem to be.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from envcap.canonical import canonical_json
from envcap.errors import TrustError
from envcap.trust.statement import PAYLOAD_TYPE
from envcap.trust.strict_json import check_kind, member, read_object, refuse_others

BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

_BUNDLE: Final = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope"})
_MATERIAL: Final = frozenset({"publicKey", "tlogEntries", "timestampVerificationData"})
_UNSUPPORTED: Final = {
    "certificate": "a certificate",
    "x509CertificateChain": "a chain of certificates",
    "tlogEntries": "an entry of a transparency log",
    "timestampVerificationData": "a timestamp",
}
_ENVELOPE: Final = frozenset({"payload", "payloadType", "signatures"})
_SIGNATURE: Final = frozenset({"sig", "keyid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A signed payload. Nothing in it is to be believed before the signature was checked.

    Attributes:
        hint: Which key signed: base64 of the sha256 of its DER SubjectPublicKeyInfo, as cosign writes it.
        payload: The bytes that were signed, of type `PAYLOAD_TYPE`.
        signature: Over `pre_authentication(payload)`.
    """

    hint: str
    payload: bytes
    signature: bytes


def pre_authentication(payload: bytes) -> bytes:
    """Give the bytes that are signed (DSSE protocol.md, "PAE"): the type is signed too.

    They begin with `DSSEv1`, so a key that is used elsewhere signs nothing that means something there: what SSH signs
    to log in begins with the 32-bit length of a session ID, what `ssh-keygen -Y` signs with `SSHSIG`.
    """
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_bundle(bundle: Bundle) -> bytes:
    """Write a bundle: canonical JSON on one line."""
    envelope = {
        "payload": _encode(bundle.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": _encode(bundle.signature), "keyid": bundle.hint}],
    }
    material = {"publicKey": {"hint": bundle.hint}, "tlogEntries": []}
    table = {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
    return canonical_json(table) + b"\n"


def read_bundle(data: bytes) -> Bundle:
    """Read a bundle.

    Raises:
        TrustError: It is no such bundle, or leans on more than a key.
    """
    table = read_object(data, "bundle")
    kind = member(table, "mediaType", str, "bundle")
    if kind != BUNDLE_TYPE:
        raise TrustError(f"Unexpected bundle of type {kind[:100]!r} (expected {BUNDLE_TYPE!r})")
    refuse_others(table, _BUNDLE, "bundle")
    hint = _hint(member(table, "verificationMaterial", dict, "bundle"))
    return _envelope(member(table, "dsseEnvelope", dict, "bundle"), hint)


def _hint(material: dict[str, object]) -> str:
    for name, what in _UNSUPPORTED.items():
        if material.get(name):
            raise TrustError(f"The bundle leans on {what} (expected a key alone: envcap checks nothing else)")
    refuse_others(material, _MATERIAL, "bundle's verification material")
    key = member(material, "publicKey", dict, "bundle's verification material")
    refuse_others(key, {"hint"}, "bundle's public key")
    return member(key, "hint", str, "bundle's public key")


def _envelope(table: dict[str, object], hint: str) -> Bundle:
    refuse_others(table, _ENVELOPE, "envelope")
    kind = member(table, "payloadType", str, "envelope")
    if kind != PAYLOAD_TYPE:
        raise TrustError(f"Unexpected payload of type {kind[:100]!r} (expected {PAYLOAD_TYPE!r})")
    signatures = member(table, "signatures", list, "envelope")
    if len(signatures) != 1:
        # sigstore_bundle.proto, `dsse_envelope`: "exactly one signature".
        raise TrustError(f"Unexpected number of signatures in the envelope ({len(signatures)}, expected 1)")
    signature = check_kind(signatures[0], dict, "signature")
    refuse_others(signature, _SIGNATURE, "signature")
    check_kind(signature.get("keyid", ""), str, "key ID")  # DSSE envelope.md: not authenticated, so not used
    return Bundle(
        hint=hint,
        payload=_decode(member(table, "payload", str, "envelope"), "payload"),
        signature=_decode(member(signature, "sig", str, "signature"), "signature"),
    )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or _encode(data) != text:  # one sequence of bytes, one text
        raise TrustError(f"The {what} is not base64, or empty")
    return data
