"""Other programs read what envcap signs, and envcap reads what others sign: the same bundles, the same verdicts."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # named in `__init__` only

from envcap.trust.bundle import Bundle, pre_authentication, read_bundle, write_bundle
from envcap.trust.claims import signature_statement
from envcap.trust.judge import Attestation, judge
from envcap.trust.statement import PAYLOAD_TYPE, write_statement
from tests.trust.people import (
    ALICE,
    BOB,
    FACTS,
    MALLORY,
    Person,
    Private,
    ecdsa_key,
    ed25519_key,
    policy,
    public_pem,
)

DATA = Path(__file__).with_name("data")
PEOPLE = {"ed25519": ALICE, "ecdsa": BOB}
PRIVATE: dict[str, Private] = {"ed25519": ed25519_key("alice"), "ecdsa": ecdsa_key("bob")}
Edit = Callable[[dict[str, Any]], object]


def other_payload(table: dict[str, Any]) -> None:
    payload = base64.b64decode(table["dsseEnvelope"]["payload"]).replace(b"envcap.lock", b"envcap.lick")
    table["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def other_type(table: dict[str, Any]) -> None:
    table["dsseEnvelope"]["payloadType"] = "text/plain"


def other_signature(table: dict[str, Any]) -> None:
    table["dsseEnvelope"]["signatures"] = json.loads(MALLORY.signs().data)["dsseEnvelope"]["signatures"]


TAMPERED: dict[str, Edit] = {"payload": other_payload, "type": other_type, "signature": other_signature}


def tampered(person: Person, edit: Edit) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(person.signs().data)
    edit(table)
    return table


@pytest.mark.parametrize("kind", PEOPLE)
def test_bundles_are_the_ones_that_were_verified_elsewhere(kind: str) -> None:
    # Golden: the same key and facts give these bytes for as long as they are called v1.
    person = PEOPLE[kind]
    assert person.signs().data == (DATA / f"signature-{kind}.json").read_bytes()
    assert person.rebuilds().data == (DATA / f"rebuild-{kind}.json").read_bytes()


def sslib_key(kind: str) -> SSlibKey:
    """Give the key as securesystemslib has it, under the name that the bundle has for it."""
    table = CryptoSigner(PRIVATE[kind]).public_key.to_dict()
    return SSlibKey.from_dict(PEOPLE[kind].public.hint, table)


@pytest.mark.parametrize("kind", PEOPLE)
def test_securesystemslib_verifies_what_envcap_signs(kind: str) -> None:
    table = json.loads(PEOPLE[kind].signs().data)
    key = sslib_key(kind)
    envelope = Envelope.from_dict(table["dsseEnvelope"])
    assert list(envelope.verify([key], 1)) == [PEOPLE[kind].public.hint]
    assert envelope.pae() == pre_authentication(envelope.payload)


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize("what", TAMPERED)
def test_securesystemslib_refuses_what_envcap_refuses(kind: str, what: str) -> None:
    table = tampered(PEOPLE[kind], TAMPERED[what])
    table["dsseEnvelope"]["signatures"][0]["keyid"] = PEOPLE[kind].public.hint
    data = json.dumps(table).encode()
    (finding,) = judge(
        policy("[require.signature]\nthreshold = 1", PEOPLE[kind]), [Attestation(name="x", data=data)], FACTS
    ).findings
    assert finding.refusal
    key = sslib_key(kind)
    with pytest.raises(VerificationError):
        Envelope.from_dict(table["dsseEnvelope"]).verify([key], 1)


@pytest.mark.parametrize("kind", PEOPLE)
def test_envcap_takes_what_securesystemslib_signs(kind: str) -> None:
    person = PEOPLE[kind]
    envelope = Envelope(write_statement(signature_statement(FACTS)), PAYLOAD_TYPE, {})
    signature = envelope.sign(CryptoSigner(PRIVATE[kind]))
    data = write_bundle(
        Bundle(hint=person.public.hint, payload=envelope.payload, signature=bytes.fromhex(signature.signature))
    )
    judgement = judge(policy("[require.signature]\nthreshold = 1", person), [Attestation(name="x", data=data)], FACTS)
    assert judgement.unmet == ()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_verifies_what_envcap_signs(tmp_path: Path) -> None:
    bundle = read_bundle(BOB.signs().data)
    (tmp_path / "key.pub").write_text(public_pem(PRIVATE["ecdsa"]))
    (tmp_path / "sig").write_bytes(bundle.signature)
    command = ["openssl", "dgst", "-sha256", "-verify", str(tmp_path / "key.pub"), "-signature", str(tmp_path / "sig")]
    done = subprocess.run(command, input=pre_authentication(bundle.payload), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"Verified OK\n")


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `@sigstore/verify` from the machine's npm registry."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node here")
    folder = tmp_path_factory.mktemp("sigstore")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(
        [*command, "@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0"], check=True, capture_output=True, timeout=300
    )
    shutil.copy(Path(__file__).with_name("sigstore_verify.js"), folder)
    return folder


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("kind", PEOPLE)
def test_sigstore_verifies_what_envcap_signs(kind: str, sigstore: Path) -> None:
    person = PEOPLE[kind]
    bundles = [json.loads(person.signs().data), json.loads(person.rebuilds().data)]
    bundles += [tampered(person, edit) for edit in TAMPERED.values()]
    question = {"hint": person.public.hint, "pem": public_pem(PRIVATE[kind]), "bundles": bundles}
    done = subprocess.run(
        ["node", "sigstore_verify.js"],
        cwd=sigstore, input=json.dumps(question), capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    assert json.loads(done.stdout) == ["good", "good", *["SIGNATURE_ERROR"] * 3]
