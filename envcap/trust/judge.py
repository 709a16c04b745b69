"""Is a policy met by what is said of a lock? Each attestation counts or is refused with a reason. Pure.

Order: form, key, signature, and only then what is said. Nothing here is an alarm by itself, since anybody may lay a
file beside a lock: what is refused does not count, and the policy is met by what counts or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from envcap.errors import EnvcapError, TrustError
from envcap.trust.bundle import pre_authentication, read_bundle
from envcap.trust.claims import KINDS, MATCH, SIGNATURE_TYPE, LockFacts, read_rebuild
from envcap.trust.policy import Policy, Requirement
from envcap.trust.statement import Statement, read_statement

MAX_ATTESTATIONS: Final = 256
"""Most attestations judged for one lock: endless signatures must not mean an endless check (CVE-2023-33958)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Bytes that claim to say something of a lock.

    Attributes:
        name: Where they come from, for people.
        data: A bundle, or not.
    """

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one attestation is worth.

    Attributes:
        name: Of the attestation.
        key: Name of the trusted key that signed it; empty if it is refused.
        kind: `signature` or `rebuild`; empty if it is refused.
        platform: Of a rebuild.
        matches: Whether a rebuild gave the image that the lock expects; True for a signature.
        refusal: Why it does not count, or empty.
    """

    name: str
    key: str = ""
    kind: str = ""
    platform: str = ""
    matches: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The outcome.

    Attributes:
        findings: One for each attestation, in their order.
        met: The requirements that are met, a phrase each.
        unmet: Those that are not; the policy is met if there is none.
    """

    findings: tuple[Finding, ...]
    met: tuple[str, ...]
    unmet: tuple[str, ...]


def judge(policy: Policy, attestations: Sequence[Attestation], facts: LockFacts) -> Judgement:
    """Hold what is said of a lock against a policy.

    Raises:
        TrustError: There are too many attestations to judge.
    """
    if len(attestations) > MAX_ATTESTATIONS:
        raise TrustError(f"There are too many attestations to check ({len(attestations)}, at most {MAX_ATTESTATIONS})")
    findings = tuple(_judge_one(policy, attestation, facts) for attestation in attestations)
    met: list[str] = []
    unmet: list[str] = []
    for requirement in policy.requirements:
        for platform in _platforms(requirement, facts):
            keys = _agreeing(requirement, platform, findings)
            (met if len(keys) >= requirement.threshold else unmet).append(_phrase(requirement, platform, keys))
        if requirement.kind != "signature" and not facts.expected:
            unmet.append("rebuild of nothing: the lock expects no image")
    return Judgement(findings=findings, met=tuple(met), unmet=tuple(unmet))


def _judge_one(policy: Policy, attestation: Attestation, facts: LockFacts) -> Finding:
    try:
        key, statement = _opened(policy, attestation.data)
        return _understood(attestation.name, key, statement, facts)
    except EnvcapError as error:  # of the readers; whatever else goes wrong ends the command, and so passes nothing
        return Finding(name=attestation.name, refusal=error.message)


def _opened(policy: Policy, data: bytes) -> tuple[str, Statement]:
    """Give what a trusted key said, and the key's name."""
    bundle = read_bundle(data)
    named = next(((name, key) for name, key in policy.keys.items() if key.hint == bundle.hint), None)
    if named is None:
        raise TrustError("Signed by a key that the policy does not name")
    name, key = named
    if not key.verifies(bundle.signature, pre_authentication(bundle.payload)):
        raise TrustError(f"The signature is not one of the key {name!r}")
    return name, read_statement(bundle.payload)


def _understood(name: str, key: str, statement: Statement, facts: LockFacts) -> Finding:
    if not statement.is_about(facts.text):
        raise TrustError(f"{key!r} said it of something else, not of this lock (expected the subject {facts.text})")
    kind = KINDS.get(statement.predicate_type)
    if kind is None:
        raise TrustError(f"{key!r} says something of another kind: {statement.predicate_type[:100]!r}")
    if statement.predicate_type == SIGNATURE_TYPE:
        if statement.predicate:
            raise TrustError("Unexpected predicate in a signature (expected an empty one)")
        return Finding(name=name, key=key, kind=kind, matches=True)
    rebuild = read_rebuild(statement.predicate)
    expected = facts.expected.get(rebuild.platform)
    if (rebuild.lock, rebuild.expected) != (facts.environment, expected):
        raise TrustError(f"{key!r} rebuilt against another expectation than this lock's")
    return Finding(name=name, key=key, kind=kind, platform=rebuild.platform, matches=rebuild.level == MATCH)


def _platforms(requirement: Requirement, facts: LockFacts) -> tuple[str, ...]:
    return ("",) if requirement.kind == "signature" else tuple(sorted(facts.expected))


def _agreeing(requirement: Requirement, platform: str, findings: Sequence[Finding]) -> list[str]:
    """Name the distinct keys that say what is required; one that also says the contrary does not count."""
    said = [row for row in findings if row.kind == requirement.kind and row.platform == platform]
    against = {row.key for row in said if not row.matches}
    return sorted(({row.key for row in said} & requirement.keys) - against)


def _phrase(requirement: Requirement, platform: str, keys: Sequence[str]) -> str:
    what = f"{requirement.kind} on {platform}" if platform else requirement.kind
    return f"{what} by {', '.join(keys) or 'nobody'} ({requirement.threshold} needed)"
