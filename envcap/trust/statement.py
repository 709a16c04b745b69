"""What is said: an in-toto Statement v1, a predicate about subjects that are named by their sha256. Pure.

Source: in-toto attestation framework, spec/v1/statement.md and resource_descriptor.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from envcap.canonical import canonical_json
from envcap.digest import Digest, is_sha256
from envcap.errors import TrustError
from envcap.trust.strict_json import check_kind, member, read_object

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

MAX_SUBJECTS: Final = 64
_MAX_TEXT: Final = 256
_WHERE: Final = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A thing that a statement is about.

    Attributes:
        name: For people: the digest alone says what is meant.
        digest: Of its bytes.
    """

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement.

    Attributes:
        subjects: What it is about.
        predicate_type: The URI of what is said.
        predicate: Its details: plain JSON values.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, object] = field(default_factory=dict)

    def is_about(self, digest: Digest) -> bool:
        """Tell whether something is one of the subjects."""
        return any(subject.digest == digest for subject in self.subjects)


def write_statement(statement: Statement) -> bytes:
    """Write a statement as canonical JSON (RFC 8785)."""
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": subject.name, "digest": {"sha256": subject.digest.hex}} for subject in statement.subjects
            ],
            "predicateType": statement.predicate_type,
            "predicate": dict(statement.predicate),
        }
    )


def read_statement(data: bytes) -> Statement:
    """Read the payload of an envelope whose signature held.

    Members that in-toto does not know are passed over, as its specification demands; other digests too.

    Raises:
        TrustError: It is no such statement.
    """
    table = read_object(data, _WHERE)
    kind = member(table, "_type", str, _WHERE)
    if kind != STATEMENT_TYPE:
        raise TrustError(f"Unexpected statement of type {kind[:100]!r} (expected {STATEMENT_TYPE!r})")
    rows = member(table, "subject", list, _WHERE)
    if not 1 <= len(rows) <= MAX_SUBJECTS:
        raise TrustError(f"Unexpected number of subjects in the statement ({len(rows)}, expected 1 to {MAX_SUBJECTS})")
    return Statement(
        subjects=tuple(_subject(check_kind(row, dict, "subject")) for row in rows),
        predicate_type=_short(member(table, "predicateType", str, _WHERE), "predicateType"),
        predicate=check_kind(table.get("predicate", {}), dict, "predicate"),
    )


def _subject(row: dict[str, object]) -> Subject:
    name = _short(check_kind(row.get("name", ""), str, "name of a subject"), "name of a subject")
    sha256 = member(member(row, "digest", dict, "subject"), "sha256", str, "subject's digest")
    if not is_sha256(sha256):
        raise TrustError(f"Unexpected digest {sha256[:100]!r} of a subject (expected 64 lower-case hex digits)")
    return Subject(name=name, digest=Digest(sha256))


def _short(text: str, what: str) -> str:
    if len(text) > _MAX_TEXT:
        raise TrustError(f"The {what} is too long (at most {_MAX_TEXT} characters)")
    return text
