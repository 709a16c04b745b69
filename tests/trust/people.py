"""People with keys, made from their names: no private key lies in a file, and every run has the same ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from envcap.digest import Digest
from envcap.lockfile.model import Expected
from envcap.trust.claims import LockFacts, lock_facts, rebuild_statement, seal, signature_statement
from envcap.trust.judge import Attestation
from envcap.trust.keys import PublicKey, SigningKey, read_signing_key
from envcap.trust.policy import Policy, read_policy
from tests.lockfile.small import SMALL

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

IMAGE, OTHER_IMAGE, MANIFEST = (Digest(digit * 64) for digit in "123")
LOCK = replace(
    SMALL,
    expected=(
        Expected(
            platform="linux/amd64",
            image_id=str(IMAGE),
            manifest=str(MANIFEST),
            compressor="splice+libdeflate-6",
            diff_ids=(f"sha256:{'4' * 64}",),
        ),
    ),
)
FACTS = lock_facts(LOCK)
OTHER_FACTS = lock_facts(replace(LOCK, name="other"))


def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def ecdsa_key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest()[:31]), curve or ec.SECP256R1())


def pem(key: Private, password: str = "") -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _encryption(password))


def openssh(key: Private, password: str = "") -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, _encryption(password))


def _encryption(password: str) -> serialization.KeySerializationEncryption:
    return serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()


def public_pem(key: Private) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a key."""

    name: str
    key: SigningKey

    @property
    def public(self) -> PublicKey:
        return self.key.public

    def signs(self, facts: LockFacts = FACTS) -> Attestation:
        return Attestation(name=f"signature-{self.name}.json", data=seal(signature_statement(facts), self.key))

    def rebuilds(self, got: Digest = IMAGE, facts: LockFacts = FACTS, *, platform: str = "linux/amd64") -> Attestation:
        statement = rebuild_statement(facts, platform=platform, got=got, manifest=MANIFEST, version="0.1.0")
        return Attestation(name=f"rebuild-{self.name}.json", data=seal(statement, self.key))


def person(name: str, make: Callable[[str], Private] = ed25519_key) -> Person:
    return Person(name=name, key=read_signing_key(pem(make(name)), None, name))


ALICE = person("alice")
BOB = person("bob", ecdsa_key)
CAROL = person("carol")
MALLORY = person("mallory")


def policy_text(require: str, *people: Person) -> str:
    rows = "".join(f'\n[[keys]]\nname = "{row.name}"\nkey = "{row.public.line}"\n' for row in people)
    return f'policy-version = "1.0"\n{rows}\n{require}\n'


def no_files(name: str) -> str:
    raise AssertionError(f"nothing reads {name}")


def policy(require: str, *people: Person) -> Policy:
    return read_policy(policy_text(require, *people).encode(), read_key=no_files)
