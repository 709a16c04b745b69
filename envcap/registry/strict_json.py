"""JSON that others wrote, read strictly: bounded, UTF-8, no duplicate names, no numbers that JSON doesn't have. Pure.

Two readers that take different ones of two equal names see two documents under one digest. Source: RFC 7493 (I-JSON).
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from envcap.errors import RegistryError

MAX_MANIFEST: Final = 4 << 20
"""Bytes: distribution-spec 1.1, "Pushing Manifests": registries should accept this much, and we take no more."""


class JsonError(RegistryError):
    """A text is no such JSON."""


def read_json(data: bytes, what: str) -> dict[str, object]:
    """Read one object.

    Args:
        data: Its bytes.
        what: For messages: what it is and who sent it.

    Raises:
        JsonError: It is not UTF-8, no JSON, no object, or has a name twice.
    """
    try:
        value: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_refuse_float
        )
    except JsonError as error:
        raise JsonError(f"{what}: {error.message}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else _reason(error)
        raise JsonError(f"{what} is no JSON: {reason}") from None
    if not isinstance(value, dict):
        raise JsonError(f"{what}: expected a JSON object, found {type(value).__name__}")
    return value


def refuse_twins(table: Mapping[str, object], known: Collection[str], what: str) -> None:
    """Refuse names that differ from a known one in case only: Go's reader takes `Layers` for `layers`.

    Raises:
        JsonError: There is one.
    """
    folded = {name.lower(): name for name in known}
    for name in table:
        if name not in known and name.lower() in folded:
            raise JsonError(f"{what}: unexpected name {name[:40]!r} (expected {folded[name.lower()]!r})")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise JsonError(f"the name {twice[:40]!r} is there twice")
    return table


def _refuse_constant(text: str) -> object:
    raise JsonError(f"unexpected number {text}")


def _refuse_float(text: str) -> object:
    raise JsonError(f"unexpected number {text[:40]!r} (expected whole numbers only)")


def _reason(error: ValueError) -> str:
    return str(error).partition(":")[0][:100] if isinstance(error, json.JSONDecodeError) else type(error).__name__
