"""`envcap sign`, and what other commands do with attestations: make one, list them, hold them against a policy."""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from envcap import __version__
from envcap.blobs import LockFolder
from envcap.cli.locks import open_lock
from envcap.cli.talk import Talk, print_data, visible_lines
from envcap.errors import DifferenceError, EnvcapError, TrustError, UsageError
from envcap.lockfile.document import write_lockfile
from envcap.rebuild import Rebuilt
from envcap.render import columns, table
from envcap.trust.bundle import read_bundle
from envcap.trust.claims import (
    KINDS,
    REBUILD_TYPE,
    LockFacts,
    lock_facts,
    read_rebuild,
    rebuild_statement,
    seal,
    signature_statement,
)
from envcap.trust.folder import key_name, read_attestations, write_attestation
from envcap.trust.judge import Attestation, Judgement, judge
from envcap.trust.keys import MAKE_A_KEY, MAX_KEY, PassphraseError, SigningKey, read_signing_key
from envcap.trust.policy import MAX_POLICY, Policy, read_policy
from envcap.trust.statement import Statement, read_statement

if TYPE_CHECKING:
    from envcap.registry.reference import Reference
    from envcap.sharing.held import RegistryFiles

_PASSPHRASE = "ENVCAP_KEY_PASSWORD"  # noqa: S105  # the name of a variable
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def sign_command(lock: Path, key: Path, *, as_json: bool) -> None:
    """Vouch for a lock: write a signature beside it.

    Raises:
        TrustError: The key can't be used, or the signature not be written.
        LockfileError: The lock can't be read.
    """
    talk = Talk()
    folder = open_lock(lock)
    facts = signable(folder)
    signing = load_signing_key(key, talk)
    path = write_signed(folder, signature_statement(facts), signing)
    found = {"lock": str(facts.text), "signature": str(path), "key": signing.public.digest.hex,
             "public_key": signing.public.line}  # fmt: skip
    if as_json:
        print_data(json.dumps(found))
        return
    rows = [("lock", found["lock"]), *((f"image {row}", image) for row, image in sorted(facts.expected.items()))]
    rows += [("signature", found["signature"]), ("key", found["key"]), ("public key", found["public_key"])]
    print_data(visible_lines(table(rows)))
    after = "Others" if _remote(folder) else "Next: commit it with the lock; others"
    talk.say(f"Signed. {after} name the public key in the policy of `envcap verify`")


def signable(folder: LockFolder) -> LockFacts:
    """Gather what is to be signed of a lock.

    Raises:
        TrustError: The file is not as envcap writes it, so its own hash would not be the one that is signed.
    """
    remote = _remote(folder)
    if folder.bundle and not remote:
        raise TrustError(f"{folder.path} is a bundle, which is never changed", hint="sign the lock it was made from")
    text = remote.lock.text if remote else folder.path.read_bytes()
    if text != write_lockfile(folder.lockfile).encode():
        raise TrustError(
            f"{folder.path} is not laid out as envcap writes it (expected its exact text, which is signed)",
            hint="restore it from git, or take the snapshot again",
        )
    return lock_facts(folder.lockfile)


def attestable(folder: LockFolder, platform: str) -> LockFacts:
    """Gather what a rebuild is attested against.

    Raises:
        UsageError: The lock expects nothing on the platform.
        TrustError: The file is not as envcap writes it.
    """
    facts = signable(folder)
    if platform not in facts.expected:
        raise UsageError(
            f"{folder.path} expects no image on {platform}: a rebuild has nothing to agree with",
            hint="record what comes out with `envcap rebuild --record`; others can attest it then",
        )
    return facts


def attest_rebuild(folder: LockFolder, facts: LockFacts, rebuilt: Rebuilt, key: SigningKey) -> Path | Reference:
    """Say what a rebuild gave, where the lock is.

    Raises:
        TrustError: It can't be written.
        RegistryError: The registry doesn't take it.
    """
    image = rebuilt.image
    statement = rebuild_statement(
        facts, platform=image.platform, got=image.image_id, manifest=image.descriptor.digest, version=__version__
    )
    return write_signed(folder, statement, key)


def write_signed(folder: LockFolder, statement: Statement, key: SigningKey) -> Path | Reference:
    """Sign a statement into a file beside the lock, or attach it to a published lock; tell where it is."""
    data = seal(statement, key)
    if remote := _remote(folder):
        from envcap.sharing.publish import attach_attestation  # noqa: PLC0415  # only for a lock in a registry

        return attach_attestation(remote.connection, remote.lock, data)
    return write_attestation(folder.path, statement, key.public, data)


def attestations_of(folder: LockFolder) -> tuple[Attestation, ...]:
    """Read what is said of a lock, beside it or in its registry; nothing is checked yet.

    Raises:
        TrustError: The folder can't be read.
        RegistryError: The registry doesn't answer, or answers wrongly.
    """
    if remote := _remote(folder):
        from envcap.sharing.find import find_attestations  # noqa: PLC0415  # only for a lock in a registry

        found, passed = find_attestations(remote.connection, remote.lock)
        for reason in passed:
            Talk().warn(f"An attestation was passed over: {reason}")
        return found
    return read_attestations(folder.path)


def _remote(folder: LockFolder) -> RegistryFiles | None:
    if folder.bundle is None:
        return None
    from envcap.cli.registries import remote_files  # noqa: PLC0415  # only for a lock in a registry

    return remote_files(folder)


def load_signing_key(path: Path, talk: Talk) -> SigningKey:
    """Read a private key; its passphrase comes from the environment, or is asked for on a terminal.

    Raises:
        TrustError: It can't be read, or the passphrase is missing or wrong.
    """
    data = _read_small(path, MAX_KEY, hint=MAKE_A_KEY)
    try:
        key = read_signing_key(data, os.environ.get(_PASSPHRASE) or None, str(path))
    except PassphraseError:
        if not sys.stdin.isatty():
            raise
        try:
            passphrase = getpass.getpass(f"Passphrase of {path}: ")
        except EOFError:
            passphrase = ""
        key = read_signing_key(data, passphrase, str(path))
    if path.stat().st_mode & _OTHERS:
        talk.warn(f"Others can read the private key {path}: `chmod 600` it")
    return key


def check_policy(folder: LockFolder, path: Path) -> Judgement:
    """Hold the attestations beside a lock against a policy.

    Raises:
        TrustError: The policy, a key that it names or an attestation can't be read.
    """
    policy = load_policy(path)
    return judge(policy, attestations_of(folder), lock_facts(folder.lockfile))


def refuse_unmet(judgement: Judgement, folder: LockFolder, path: Path) -> None:
    """Fail where a policy is not met.

    Raises:
        DifferenceError: It is not.
    """
    if judgement.unmet:
        raise DifferenceError(
            f"{folder.path} does not meet the policy {path}: {'; '.join(judgement.unmet)}",
            hint="get attestations by the keys it names (`envcap sign`, `envcap rebuild --attest`), or leave the lock",
        )


def policy_table(judgement: Judgement) -> dict[str, object]:
    """Give a judgement as JSON values."""
    rows = [
        {"file": row.name, "key": row.key, "kind": row.kind, "platform": row.platform, "matches": row.matches,
         "refusal": row.refusal}
        for row in judgement.findings
    ]  # fmt: skip
    return {
        "holds": not judgement.unmet,
        "met": list(judgement.met),
        "unmet": list(judgement.unmet),
        "attestations": rows,
    }


def policy_text(judgement: Judgement) -> str:
    """Give a judgement in words."""
    held = [f"met       {text}" for text in judgement.met] + [f"unmet     {text}" for text in judgement.unmet]
    differing = [row for row in judgement.findings if not row.refusal and not row.matches]
    rows = [("differs", row.name, f"{row.key!r} got another image on {row.platform}") for row in differing]
    rows += [("refused", row.name, row.refusal) for row in judgement.findings if row.refusal]
    return visible_lines("\n\n".join(filter(None, ("\n".join(held), columns(rows)))))


def attestation_rows(folder: LockFolder) -> list[tuple[str, ...]]:
    """List what is said of a lock, unchecked: file, kind, key, what.

    Raises:
        TrustError: The folder can't be read.
    """
    facts = lock_facts(folder.lockfile)
    return [_row(attestation, facts) for attestation in attestations_of(folder)]


def _row(attestation: Attestation, facts: LockFacts) -> tuple[str, ...]:
    try:
        bundle = read_bundle(attestation.data)
        statement = read_statement(bundle.payload)
        what = ""
        if statement.predicate_type == REBUILD_TYPE:
            rebuild = read_rebuild(statement.predicate)
            what = f"{rebuild.level} on {rebuild.platform}"
    except EnvcapError as error:
        return attestation.name, "?", "", error.message
    about = "" if statement.is_about(facts.text) else "of another lock"
    kind = KINDS.get(statement.predicate_type, statement.predicate_type)
    return attestation.name, kind, key_name(bundle.hint), ", ".join(filter(None, (what, about)))


def load_policy(path: Path) -> Policy:
    """Read a policy and the key files that it names.

    Raises:
        TrustError: One of them can't be read.
    """
    try:
        return read_policy(_read_small(path, MAX_POLICY), read_key=_key_files(path.parent))
    except TrustError as error:
        if str(path) in error.message:
            raise
        raise TrustError(f"{path}: {error.message}", hint=error.hint) from None


def _key_files(folder: Path) -> Callable[[str], str]:
    def read(name: str) -> str:
        try:
            return _read_small(folder / name, MAX_KEY).decode()
        except (UnicodeDecodeError, ValueError):
            raise TrustError(f"The key file {name!r} is no text") from None

    return read


def _read_small(path: Path, most: int, *, hint: str = "") -> bytes:
    """Read a file that must be regular and small."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would never end
            raise TrustError(f"{path} is no regular file", hint=hint)
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise TrustError(f"{path} can't be read: {error.strerror or error}", hint=hint) from None
    if len(data) > most:
        raise TrustError(f"{path} is too long (at most {most} bytes)", hint=hint)
    return data
