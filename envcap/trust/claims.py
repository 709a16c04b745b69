"""The two things that envcap says of a lock: `I vouch for it`, and `I rebuilt it, and this came out`. Pure.

A signature is cosign's own kind of statement, so cosign can check the image by it. Nothing varies that need not: no
time, no host, no user.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from envcap.digest import Digest
from envcap.errors import TrustError
from envcap.lockfile.document import environment_digest, write_lockfile
from envcap.lockfile.model import Lockfile
from envcap.trust.bundle import Bundle, pre_authentication, write_bundle
from envcap.trust.keys import SigningKey
from envcap.trust.statement import Statement, Subject, write_statement
from envcap.trust.strict_json import check_kind, refuse_others

SIGNATURE_TYPE: Final = "https://sigstore.dev/cosign/sign/v1"
REBUILD_TYPE: Final = "https://envcap.dev/rebuild/v1"
KINDS: Final[Mapping[str, str]] = {SIGNATURE_TYPE: "signature", REBUILD_TYPE: "rebuild"}

MATCH: Final = "match"
DIFFER: Final = "differ"
_LOCK_NAME: Final = "envcap.lock"
_MAX_TEXT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFacts:
    """What statements about a lock are held against.

    Attributes:
        text: Digest of the lock's canonical text: what envcap wrote, and what it reads out of the file.
        environment: The lock's own digest, the identity of its environment.
        expected: Image ID by platform.
        manifests: Manifest digest by platform, where the lock has one.
    """

    text: Digest
    environment: str
    expected: Mapping[str, str]
    manifests: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What somebody got who rebuilt a lock: the predicate of `REBUILD_TYPE`.

    Attributes:
        lock: The lock's own digest.
        platform: `linux/amd64`.
        expected: Image ID that the lock expects there.
        got: Image ID that came out.
        manifest: Manifest digest that came out.
        level: `match` if the image IDs are equal, else `differ`.
        envcap: Version of envcap that built.
    """

    lock: str
    platform: str
    expected: str
    got: str
    manifest: str
    level: str
    envcap: str


def lock_facts(lockfile: Lockfile) -> LockFacts:
    """Gather what statements about a lock are held against."""
    return LockFacts(
        text=Digest.of(write_lockfile(lockfile).encode()),
        environment=str(environment_digest(lockfile)),
        expected={row.platform: row.image_id for row in lockfile.expected},
        manifests={row.platform: row.manifest for row in lockfile.expected if row.manifest},
    )


def signature_statement(facts: LockFacts) -> Statement:
    """Vouch for a lock, and for the images that it expects."""
    images = [
        subject
        for platform, image_id in sorted(facts.expected.items())
        for subject in _images(platform, image_id, facts.manifests.get(platform, ""))
    ]
    return Statement(subjects=(_lock(facts), *images), predicate_type=SIGNATURE_TYPE)


def rebuild_statement(facts: LockFacts, *, platform: str, got: Digest, manifest: Digest, version: str) -> Statement:
    """Say what a rebuild of a lock gave, against what the lock expects on the platform.

    Raises:
        KeyError: The lock expects nothing there.
    """
    expected = facts.expected[platform]
    rebuild = Rebuild(
        lock=facts.environment,
        platform=platform,
        expected=expected,
        got=str(got),
        manifest=str(manifest),
        level=MATCH if expected == str(got) else DIFFER,
        envcap=version,
    )
    subjects = (_lock(facts), *_images(platform, str(got), str(manifest)))
    return Statement(subjects=subjects, predicate_type=REBUILD_TYPE, predicate=asdict(rebuild))


def seal(statement: Statement, key: SigningKey) -> bytes:
    """Sign a statement, and write it as a bundle."""
    payload = write_statement(statement)
    signature = key.sign(pre_authentication(payload))
    return write_bundle(Bundle(hint=key.public.hint, payload=payload, signature=signature))


def read_rebuild(predicate: Mapping[str, object]) -> Rebuild:
    """Read the predicate of a rebuild, whose level must follow from its digests.

    Raises:
        TrustError: It says something else, or contradicts itself.
    """
    names = Rebuild.__dataclass_fields__
    refuse_others(predicate, names, "rebuild")
    for name in names:
        if name not in predicate:
            raise TrustError(f"Missing {name!r} in the rebuild")
    values = {name: check_kind(predicate[name], str, f"rebuild's {name!r}") for name in names}
    for name in ("lock", "expected", "got", "manifest"):
        Digest.parse(values[name])
    rebuild = Rebuild(**values)
    if max(len(rebuild.platform), len(rebuild.envcap)) > _MAX_TEXT:
        raise TrustError(f"The rebuild's platform or version is too long (at most {_MAX_TEXT} characters)")
    level = MATCH if rebuild.expected == rebuild.got else DIFFER
    if rebuild.level != level:
        raise TrustError(f"The rebuild contradicts itself (its image IDs say {level!r}, its level another)")
    return rebuild


def _lock(facts: LockFacts) -> Subject:
    return Subject(name=_LOCK_NAME, digest=facts.text)


def _images(platform: str, image_id: str, manifest: str) -> list[Subject]:
    subjects = [Subject(name=f"{platform} manifest", digest=Digest.parse(manifest))] if manifest else []
    return [*subjects, Subject(name=f"{platform} image ID", digest=Digest.parse(image_id))]
