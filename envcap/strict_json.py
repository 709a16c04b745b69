"""JSON that strangers wrote, read strictly: bounded, UTF-8, no name twice, no fractions, whole numbers only. Pure.

Two readers that take different ones of two equal names see two documents under one digest. Source: RFC 7493 (I-JSON).
"""

import json
from collections import Counter

_SHOWN = 40


class StrictJsonError(Exception):
    """Bytes are no such JSON; the text is the reason, for the reader to say of what."""


def parse_object(data: bytes, *, limit: int) -> dict[str, object]:
    """Parse bytes that hold one JSON object.

    Args:
        data: The bytes.
        limit: How many there may be.

    Raises:
        StrictJsonError: They are anything else.
    """
    if len(data) > limit:
        raise StrictJsonError(f"too long ({len(data)} bytes, at most {limit})")
    try:
        value: object = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_number, parse_float=_refuse_number
        )
        # An escape such as `\\ud800` alone is JSON, and no text.
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise StrictJsonError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"line {error.lineno}: {error.msg}") from None
    except UnicodeError:
        raise StrictJsonError("it is not UTF-8, or holds half a character") from None
    except ValueError:
        raise StrictJsonError("a number is too long") from None
    if not isinstance(value, dict):
        raise StrictJsonError(f"expected an object, found {type(value).__name__}")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise StrictJsonError(f"the name {twice[:_SHOWN]!r} is there twice")
    return table


def _refuse_number(text: str) -> object:
    raise StrictJsonError(f"unexpected number {text[:_SHOWN]} (expected whole numbers)")
