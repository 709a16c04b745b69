"""Keys that sign and keys that are trusted: ECDSA P-256 and Ed25519, as PEM or as OpenSSH writes them. Pure.

One signature scheme whatever the file: DSSE, not `ssh-keygen -Y`, so that every verifier of sigstore bundles reads what
an SSH key signed. ECDSA signs deterministically (RFC 6979): the same key and statement give the same bytes.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from envcap.digest import Digest
from envcap.errors import TrustError

MAX_KEY: Final = 64 << 10
"""Longest key file read, bytes."""

MAKE_A_KEY: Final = "make one with `ssh-keygen -t ed25519 -f KEY`, or an ECDSA P-256 key with openssl"
_ALLOWED: Final = "expected an Ed25519 or ECDSA P-256 key"

_SSH_LINE: Final = re.compile(r"(?:ssh-ed25519|ecdsa-sha2-nistp256) [^\r\n]+\Z")
_SSH_OTHER: Final = re.compile(r"(?!ssh-ed25519 |ecdsa-sha2-nistp256 )(?:ssh|ecdsa|sk)-[a-z0-9@.-]{1,80} [^\r\n]+\Z")
"""Lines of keys in hardware (`sk-…`), of other curves, RSA, and of certificates."""
_UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, NotImplementedError)
"""What the library raises for a key that it can't read; the last for a compressed point."""

_Private = EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that checks signatures.

    Attributes:
        spki: DER of its SubjectPublicKeyInfo (RFC 5280, §4.1): one key, one sequence of bytes.
        line: The key as one line, as OpenSSH writes it, without a comment.
    """

    spki: bytes
    line: str

    @property
    def digest(self) -> Digest:
        """The key's name: the hash of its SubjectPublicKeyInfo."""
        return Digest.of(self.spki)

    @property
    def hint(self) -> str:
        """The key's name in bundles."""
        return base64.b64encode(bytes.fromhex(self.digest.hex)).decode()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature over a message is this key's."""
        key = serialization.load_der_public_key(self.spki)
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, EllipticCurvePublicKey):
                key.verify(signature, message, ECDSA(hashes.SHA256()))
            else:
                return False
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs.

    Attributes:
        public: What others check its signatures with.
        sign: Signs a message.
    """

    public: PublicKey
    sign: Callable[[bytes], bytes]


class PassphraseError(TrustError):
    """A private key is encrypted, and no passphrase was given."""


def read_public_key(text: str, where: str) -> PublicKey:
    """Read a public key: PEM (`BEGIN PUBLIC KEY`), or one line as in `id_ed25519.pub`.

    Args:
        text: The key.
        where: Where it stands, for messages.

    Raises:
        TrustError: It is no such key, or of a refused kind.
    """
    data = text.strip().encode()
    if b"PRIVATE KEY-----" in data:
        raise TrustError(f"{where} is a private key (expected a public one)", hint="name the `.pub` file")
    if len(data) > MAX_KEY:
        raise TrustError(f"{where} is too long for a key (at most {MAX_KEY} bytes)")
    if data.startswith(b"-----BEGIN"):
        load, alone = serialization.load_pem_public_key, data.count(b"-----BEGIN") == 1
    else:
        # A certificate's line has a key in it too, but its terms are not checked here: the names of plain keys only.
        load, alone = serialization.load_ssh_public_key, _SSH_LINE.match(text.strip()) is not None
    try:
        key = load(data) if alone else None
    except _UNREADABLE:
        key = None
    if key is None and _SSH_OTHER.match(text.strip()):
        raise _other_kind(where)
    if key is None:
        raise TrustError(f"{where} is no public key ({_ALLOWED}, one, as PEM or as a line of OpenSSH)")
    return _public(key, where)


def read_signing_key(data: bytes, passphrase: str | None, where: str) -> SigningKey:
    """Read a private key: PEM (PKCS #8 or SEC 1) or OpenSSH's own format.

    Args:
        data: The file.
        passphrase: What it is encrypted with, if it is.
        where: The file's name, for messages.

    Raises:
        PassphraseError: It is encrypted, and no passphrase was given.
        TrustError: It is no such key, of a refused kind, or the passphrase is wrong.
    """
    if len(data) > MAX_KEY or b"PRIVATE KEY-----" not in data:
        raise TrustError(f"{where} holds no private key ({_ALLOWED}, as PEM or as OpenSSH writes it)", hint=MAKE_A_KEY)
    load = serialization.load_ssh_private_key if b"BEGIN OPENSSH" in data else serialization.load_pem_private_key
    try:
        key = load(data, passphrase.encode() if passphrase is not None else None)
    except TypeError:  # how the library says that a passphrase is missing, or is one too many
        if passphrase is not None:
            return read_signing_key(data, None, where)
        raise PassphraseError(
            f"{where} is encrypted", hint="set ENVCAP_KEY_PASSWORD, or run it on a terminal to be asked"
        ) from None
    except _UNREADABLE:
        if passphrase is not None:
            raise TrustError(f"{where} can't be read: the passphrase is wrong, or the file damaged") from None
        raise TrustError(f"{where} can't be read as a private key ({_ALLOWED})", hint=MAKE_A_KEY) from None
    if not isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise TrustError(f"{where} is of a kind that envcap does not sign with ({_ALLOWED})", hint=MAKE_A_KEY)
    return SigningKey(public=_public(key.public_key(), where), sign=_signer(key))


def _public(key: object, where: str) -> PublicKey:
    if not isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey) or not _is_of_curve(key):
        raise _other_kind(where)
    ssh = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(spki=spki, line=ssh.decode())


def _other_kind(where: str) -> TrustError:
    return TrustError(f"{where} is of a kind that envcap does not take ({_ALLOWED})", hint=MAKE_A_KEY)


def _is_of_curve(key: EllipticCurvePublicKey | Ed25519PublicKey) -> bool:
    return isinstance(key, Ed25519PublicKey) or isinstance(key.curve, SECP256R1)


def _signer(key: _Private) -> Callable[[bytes], bytes]:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    return lambda message: _sign_ecdsa(key, message)


def _sign_ecdsa(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    try:
        return key.sign(message, ECDSA(hashes.SHA256(), deterministic_signing=True))
    except UnsupportedAlgorithm:  # OpenSSL before 3.2
        return key.sign(message, ECDSA(hashes.SHA256()))
