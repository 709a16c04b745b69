"""JSON that a stranger wrote, read strictly: bounded, no name twice, no fractions, nothing that UTF-8 can't hold.

Source: RFC 7493 (I-JSON), §2. Two readers that choose different ones of two equal names read two documents.
"""

import json
from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from envcap.errors import TrustError

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
    if len(data) > MAX_BYTES:
        raise TrustError(f"The {what} is too long (at most {MAX_BYTES} bytes)")
    try:
        value: object = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number
        )
        # An escape such as `\ud800` alone is JSON, and no text.
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise TrustError(f"The {what} is nested too deeply") from None
    except ValueError as error:
        reason = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)[:100]
        raise TrustError(f"The {what} is not strict JSON: {reason}") from None
    return check_kind(value, dict, what)


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


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is there twice")
    return table


def _refuse_number(text: str) -> object:
    raise ValueError(f"unexpected number {text[:40]}")
