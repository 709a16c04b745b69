"""What was published to a repository: tags, the locks that they mean, and what is said of each.

Source: OCI distribution-spec 1.1, "Listing Tags". A registry keeps no time and no names of publishers: who vouches for
a lock is known by signatures alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from envcap.digest import Digest
from envcap.errors import EnvcapError, UsageError
from envcap.registry.connection import Connection
from envcap.registry.manifests import head_manifest, list_tags
from envcap.registry.reference import Reference
from envcap.sharing.artifact import Claim, is_own_tag, lock_tag, read_claim
from envcap.sharing.find import FoundLock, find_attestations, find_lock
from envcap.trust.claims import LockFacts, lock_facts
from envcap.trust.judge import Attestation

MAX_TAGS_SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One attestation of a published lock.

    Attributes:
        attestation: As it was fetched.
        claim: What it says, unchecked; None if it says nothing of this lock.
        refusal: Why not, or empty.
    """

    attestation: Attestation
    claim: Claim | None
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one or more tags name.

    Attributes:
        tags: Their names, sorted; none if a digest was asked for.
        root: What they name.
        lock: The lock, or None where there is none that can be read.
        facts: What statements about the lock are held against.
        said: What is said of it.
        refusal: Why there is no lock, or what was passed over.
    """

    tags: tuple[str, ...]
    root: Digest | None
    lock: FoundLock | None = None
    facts: LockFacts | None = None
    said: tuple[Said, ...] = ()
    refusal: str = ""


def list_history(
    connection: Connection, reference: Reference, *, progress: Callable[[str, int, int], None]
) -> tuple[Entry, ...]:
    """List what a repository's tags mean, or what one reference means; tags of the same content are one entry.

    Raises:
        RegistryError: The registry doesn't answer.
    """
    if reference.tag or reference.digest:
        return (_entry(connection, reference, (reference.tag,) if reference.tag else ()),)
    tags = [tag for tag in list_tags(connection, reference.repository) if not is_own_tag(tag)]
    entries: list[Entry] = []
    for number, (group, target) in enumerate(_groups(connection, reference, tags[:MAX_TAGS_SHOWN])):
        progress(group[0], number, len(tags))
        entries.append(_entry(connection, target, group))
    if len(tags) > MAX_TAGS_SHOWN:
        more = len(tags) - MAX_TAGS_SHOWN
        entries.append(Entry(tags=(), root=None, refusal=f"{more} more tags: name the one that you mean"))
    return tuple(entries)


def claims_of(connection: Connection, lock: FoundLock, facts: LockFacts) -> tuple[tuple[Said, ...], tuple[str, ...]]:
    """Read what is said of a lock in its registry, and why some of it was passed over.

    Raises:
        RegistryError: The registry doesn't answer.
    """
    attestations, passed = find_attestations(connection, lock)
    return tuple(_said(attestation, facts) for attestation in attestations), passed


def _groups(
    connection: Connection, reference: Reference, tags: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], Reference]]:
    """Join tags that name the same image and the same lock."""
    groups: dict[tuple[Digest | None, Digest | None], list[str]] = {}
    for tag in tags:
        root = head_manifest(connection, reference.repository, tag)
        own = _own(connection, reference, tag)
        groups.setdefault((root, own), []).append(tag)
    for names in groups.values():
        yield tuple(names), Reference(host=reference.host, repository=reference.repository, tag=names[0])


def _own(connection: Connection, reference: Reference, tag: str) -> Digest | None:
    try:
        return head_manifest(connection, reference.repository, lock_tag(tag))
    except UsageError:
        return None  # a tag so long is none that was published with a lock


def _entry(connection: Connection, reference: Reference, tags: tuple[str, ...]) -> Entry:
    try:
        lock = find_lock(connection, reference)
    except EnvcapError as error:
        root = head_manifest(connection, reference.repository, reference.target)
        if root is None:
            raise
        return Entry(tags=tags, root=root, refusal=error.message)
    facts = lock_facts(lock.lockfile)
    said, passed = claims_of(connection, lock, facts)
    return Entry(tags=tags, root=lock.root.digest, lock=lock, facts=facts, said=said, refusal="; ".join(passed)[:500])


def _said(attestation: Attestation, facts: LockFacts) -> Said:
    try:
        return Said(attestation=attestation, claim=read_claim(attestation.data, facts))
    except EnvcapError as error:
        return Said(attestation=attestation, claim=None, refusal=error.message)
