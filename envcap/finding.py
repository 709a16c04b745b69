"""What a scan, lock or build could not take for granted, as values: told to the user, never logged."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class FindingLevel(enum.Enum):
    """How much a finding matters to the user."""

    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a scan, lock or build could not take for granted: a value, not a log line.

    Attributes:
        code: Stable kebab-case name, such as `record-missing` or `file-unreadable`.
        message: One sentence for the user; holds no secret and no path outside the prefix.
        path: The file concerned, relative to the prefix, or an empty string.
        level: Whether it is worth a warning.
    """

    code: str
    message: str
    path: str = ""
    level: FindingLevel = FindingLevel.WARNING


def encode_findings(findings: Iterable[Finding]) -> list[list[str]]:
    """Write findings as plain JSON, for what remembers them."""
    return [[row.code, row.message, row.path, row.level.value] for row in findings]


def decode_findings(rows: object) -> tuple[Finding, ...]:
    """Read what `encode_findings` wrote.

    Raises:
        TypeError: It is of another shape.
        ValueError: It is of another shape.
    """
    if not isinstance(rows, list):
        raise TypeError(type(rows))
    return tuple(
        Finding(code=str(code), message=str(message), path=str(path), level=FindingLevel(level))
        for code, message, path, level in rows
    )
