"""Keys as openssl and OpenSSH write them: two kinds are taken, everything else is refused by name."""

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import TrustError
from envcap.trust.keys import PassphraseError, read_public_key, read_signing_key
from tests.trust.people import ALICE, BOB, MALLORY, Person, Private, ecdsa_key, ed25519_key, openssh, pem, public_pem

Write = Callable[[Private, str], bytes]
needs_programs = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("ssh-keygen")), reason="no openssl or no ssh-keygen here"
)
KEYS: dict[str, Private] = {"ed25519": ed25519_key("k"), "ecdsa": ecdsa_key("k")}
MESSAGE = b"said"


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("write", [pem, openssh], ids=["pem", "openssh"])
@pytest.mark.parametrize("password", ["", "correct horse"], ids=["plain", "encrypted"])
def test_every_form_of_a_private_key_is_one_key(kind: str, write: Write, password: str) -> None:
    key = read_signing_key(write(KEYS[kind], password), password or None, "KEY")
    signature = key.sign(MESSAGE)
    assert key.public == read_public_key(public_pem(KEYS[kind]), "KEY")
    assert key.public == read_public_key(f"{key.public.line} me@example.org\n", "KEY")
    assert key.public.verifies(signature, MESSAGE)
    assert signature == read_signing_key(pem(KEYS[kind]), None, "KEY").sign(MESSAGE)


@pytest.mark.parametrize("write", [pem, openssh], ids=["pem", "openssh"])
def test_a_passphrase_that_is_not_needed_is_not_used(write: Write) -> None:
    assert read_signing_key(write(KEYS["ed25519"], ""), "not needed", "KEY").public == read_public_key(
        public_pem(KEYS["ed25519"]), "KEY"
    )


@pytest.mark.parametrize("write", [pem, openssh], ids=["pem", "openssh"])
def test_an_encrypted_key_wants_its_own_passphrase(write: Write) -> None:
    data = write(KEYS["ed25519"], "right")
    with pytest.raises(PassphraseError, match=r"^KEY is encrypted$"):
        read_signing_key(data, None, "KEY")
    with pytest.raises(TrustError, match=r"^KEY can't be read: the passphrase is wrong, or the file damaged$"):
        read_signing_key(data, "wrong", "KEY")


@needs_programs
def test_keys_of_the_usual_programs_are_read(tmp_path: Path) -> None:
    ssh, sec1 = tmp_path / "id", tmp_path / "sec1"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", ssh], check=True)
    subprocess.run(
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-out", sec1], check=True, capture_output=True
    )
    key = read_signing_key(ssh.read_bytes(), "secret", "KEY")
    assert key.public == read_public_key((tmp_path / "id.pub").read_text(), "KEY")
    other = read_signing_key(sec1.read_bytes(), None, "KEY")
    assert other.public.line.startswith("ecdsa-sha2-nistp256 ")


@pytest.mark.parametrize("person", [ALICE, BOB], ids=["ed25519", "ecdsa"])
def test_a_signature_is_of_one_key_and_one_message(person: Person) -> None:
    signature = person.key.sign(MESSAGE)
    assert person.public.verifies(signature, MESSAGE)
    assert not person.public.verifies(signature, MESSAGE + b"!")
    assert not MALLORY.public.verifies(signature, MESSAGE)
    assert not person.public.verifies(signature[:-1], MESSAGE)
    assert not person.public.verifies(signature + b"\0", MESSAGE)


@given(st.binary(max_size=100))
def test_no_bytes_pass_for_a_signature(signature: bytes) -> None:
    assert not ALICE.public.verifies(signature, MESSAGE)
    assert not BOB.public.verifies(signature, MESSAGE)


@needs_programs
def test_the_hint_is_the_hash_that_cosign_writes() -> None:
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=public_pem(KEYS["ecdsa"]).encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True)
    base64 = subprocess.run(["base64", "-w0"], input=digest.stdout, capture_output=True, check=True)
    assert read_public_key(public_pem(KEYS["ecdsa"]), "KEY").hint == base64.stdout.decode()


def compressed() -> str:
    """A key whose point is written shortly, which SSH does not do (RFC 5656, §3.1)."""
    blob = bytearray(base64.b64decode(BOB.public.line.split()[1]))
    blob[39] = 2
    return f"ecdsa-sha2-nistp256 {base64.b64encode(blob).decode()}"


CERTIFICATE = (
    SSHCertificateBuilder()
    .public_key(ed25519_key("alice").public_key())
    .serial(1)
    .type(SSHCertificateType.USER)
    .key_id(b"alice")
    .valid_principals([b"alice"])
    .valid_after(0)
    .valid_before(1)
    .sign(ed25519_key("authority"))
    .public_bytes()
    .decode()
)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
REFUSED_KIND = r"^KEY is of a kind that envcap does not"


def test_other_kinds_of_keys_are_refused() -> None:
    data = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(TrustError, match=REFUSED_KIND):
        read_signing_key(data, None, "KEY")
    large = ecdsa_key("large", ec.SECP384R1())
    with pytest.raises(TrustError, match=REFUSED_KIND):
        read_signing_key(pem(large), None, "KEY")
    with pytest.raises(TrustError, match=REFUSED_KIND):
        read_public_key(public_pem(large), "KEY")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no public key"),
        ("ssh-ed25519", "is no public key"),
        ("ssh-ed25519 AAAA", "is no public key"),
        ("ssh-ed25519 é", "is no public key"),
        (f"{ALICE.public.line}\n{MALLORY.public.line}", "is no public key"),
        (public_pem(KEYS["ed25519"]) + public_pem(KEYS["ecdsa"]), "is no public key"),
        (f"no-pty {ALICE.public.line}", "is no public key"),
        (CERTIFICATE, "is of a kind that envcap does not take"),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr me", "is of a kind that envcap does not take"),
        ("ecdsa-sha2-nistp384 AAAAE2Vj me", "is of a kind that envcap does not take"),
        ("ssh-rsa AAAAB3Nz me", "is of a kind that envcap does not take"),
        (compressed(), "is no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "is no public key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is no public key"),
        ("x" * 70_000, "is too long for a key"),
        (pem(KEYS["ed25519"]).decode(), "is a private key"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(TrustError, match=f"^KEY {message}"):
        read_public_key(text, "KEY")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no private key"),
        (ALICE.public.line.encode(), "holds no private key"),
        (b"-----BEGIN PRIVATE KEY-----\n" * 9000, "holds no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "can't be read as a private key"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "can't be read as a private",
        ),
        (
            b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
            "can't be",
        ),
    ],
)
def test_what_is_no_private_key_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TrustError, match=f"^KEY {message}"):
        read_signing_key(data, None, "KEY")
