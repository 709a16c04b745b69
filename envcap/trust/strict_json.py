"""JSON of attestations, read strictly: no member that this reader does not know. Pure."""

from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from envcap.errors import TrustError
from envcap.strict_json import StrictJsonError, parse_object

T = TypeVar("T")

MAX_BYTES: Final = 64 << 10
"""Longest document read: an attestation of envcap has 2 kB."""


def read_object(data: bytes, what: str) -> dict[str, object]:
    """Read bytes that hold one JSON object.

    Args:
        data: The bytes.
        what: What they should be, for messages.

    Raises:
        TrustError: They are anything else.
    """
    try:
        return parse_object(data, limit=MAX_BYTES)
    except StrictJsonError as error:
        raise TrustError(f"The {what} is not strict JSON: {error}") from None


def member(table: Mapping[str, object], name: str, kind: type[T], where: str) -> T:
    """Take a member that must be there.

    Raises:
        TrustError: It is missing or of another kind.
    """
    if name not in table:
        raise TrustError(f"Missing {name!r} in the {where}")
    return check_kind(table[name], kind, f"{where}'s {name!r}")


def check_kind(value: object, kind: type[T], what: str) -> T:
    """Refuse a value of another kind; a boolean is no integer.

    Raises:
        TrustError: It is of another kind.
    """
    if type(value) is not kind:
        raise TrustError(f"Unexpected {type(value).__name__} as {what} (expected {kind.__name__})")
    return value


def refuse_others(table: Mapping[str, object], known: Collection[str], where: str) -> None:
    """Refuse members that this reader does not know: what is not understood is not vouched for.

    Raises:
        TrustError: There is one.
    """
    for name in table:
        if name not in known:
            raise TrustError(f"Unknown {name[:100]!r} in the {where} (expected {', '.join(sorted(known))})")
