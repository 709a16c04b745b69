"""The artifacts that stand for a lock and for what is said of it, as manifests and tags. Pure.

Source: OCI image-spec 1.1, manifest.md; sigstore's cosign, `WriteAttestationNewBundleFormat` (annotations of a bundle).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from envcap.bundle.contents import EMPTY, EMPTY_TYPE
from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import TrustError, UsageError
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile
from envcap.oci.image import MEDIA_TYPE_MANIFEST, Descriptor
from envcap.trust.bundle import BUNDLE_TYPE, read_bundle
from envcap.trust.claims import KINDS, REBUILD_TYPE, LockFacts, Rebuild, read_rebuild
from envcap.trust.folder import hint_digest
from envcap.trust.statement import Statement, read_statement

EMPTY_CONFIG: Final = Descriptor(media_type=EMPTY_TYPE, digest=Digest.of(EMPTY), size=len(EMPTY))
LOCK_KIND: Final = "lock"
LOCK_SUFFIX: Final = ".envcap"
"""Follows a tag in the tag of its lock."""

_LONGEST_TAG: Final = 128
_SHORT: Final = 16
_PLATFORMS: Final = frozenset({"linux/amd64", "linux/arm64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an attestation says, its signature not checked.

    Attributes:
        kind: `signature` or `rebuild`.
        key: Hash of the key that it names, hex.
        predicate_type: The URI of what is said.
        rebuild: What came out of a rebuild, or None.
    """

    kind: str
    key: str
    predicate_type: str
    rebuild: Rebuild | None = None

    @property
    def file_name(self) -> str:
        """Name its file beside a lock, as `envcap sign` does; made of checked parts only."""
        platform = self.rebuild.platform.replace("/", "-") if self.rebuild else ""
        return f"{'-'.join(filter(None, (self.kind, platform, self.key[:_SHORT])))}.json"


def read_claim(data: bytes, facts: LockFacts) -> Claim:
    """Read what an attestation says of a lock.

    Raises:
        TrustError: It is none, is of a kind that envcap doesn't know, or is about something else.
    """
    bundle = read_bundle(data)
    key = hint_digest(bundle.hint)
    if key is None:
        raise TrustError("The attestation names no key")
    statement = read_statement(bundle.payload)
    kind = KINDS.get(statement.predicate_type)
    if kind is None:
        raise TrustError(f"It says something of another kind: {statement.predicate_type[:100]!r}")
    if not statement.is_about(facts.text):
        raise TrustError("It is about something else than this lock")
    return Claim(kind=kind, key=key, predicate_type=statement.predicate_type, rebuild=_rebuild(statement))


def _rebuild(statement: Statement) -> Rebuild | None:
    if statement.predicate_type != REBUILD_TYPE:
        return None
    rebuild = read_rebuild(statement.predicate)
    if rebuild.platform not in _PLATFORMS:
        raise TrustError(f"Unexpected platform {rebuild.platform!r} (expected one of: {', '.join(sorted(_PLATFORMS))})")
    return rebuild


def attestation_manifest(data: bytes, claim: Claim, subject: Descriptor) -> bytes:
    """Write the manifest of an attestation, in the shape in which cosign stores a bundle; no time in it.

    Args:
        data: The bundle.
        claim: What it says.
        subject: What the tag names: the image, or the lock.
    """
    layer = Descriptor(media_type=BUNDLE_TYPE, digest=Digest.of(data), size=len(data))
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_MANIFEST,
            "artifactType": BUNDLE_TYPE,
            "config": EMPTY_CONFIG.to_json(),
            "layers": [layer.to_json()],
            "subject": subject.to_json(),
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": claim.predicate_type,
            },
        }
    )


def lock_annotations(lockfile: Lockfile) -> Mapping[str, str]:
    """Give what registries list of a lock without its being fetched: a claim, and nothing that varies."""
    rows = {
        "dev.envcap.lock-digest": str(environment_digest(lockfile)),
        "dev.envcap.name": lockfile.name,
        "dev.envcap.python": lockfile.interpreter.version if lockfile.has_python else "",
        "dev.envcap.platform": ",".join(sorted({package.platform for package in lockfile.system})),
    }
    return {name: text for name, text in rows.items() if text}


def lock_tag(tag: str) -> str:
    """Name the tag of the lock that belongs to a tag.

    Raises:
        UsageError: It would be longer than a tag can be.
    """
    if len(tag) + len(LOCK_SUFFIX) > _LONGEST_TAG:
        raise UsageError(
            f"The tag {tag[:40]!r}… has {len(tag)} characters (expected at most {_LONGEST_TAG - len(LOCK_SUFFIX)})"
        )
    return tag + LOCK_SUFFIX


def is_own_tag(tag: str) -> bool:
    """Tell a tag that this tool, cosign or the specification's fallback made from one that a person gave."""
    return tag.endswith(LOCK_SUFFIX) or tag.startswith("sha256-")
