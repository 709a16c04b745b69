"""Frozen dataclasses to plain tables and back: the reader is the exact inverse of the writer.

One rule for all tables: a key is the field's name with `-` for `_`; a field that equals its default is left out;
the reader refuses unknown keys, missing ones and wrong types, and says where, what was expected and what was found.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import TypeVar

from envcap.errors import LockfileError

T = TypeVar("T")

Table = dict[str, object]

MAX_INTEGER = 2**53 - 1
"""Largest integer that RFC 8785 can hash."""


def to_table(value: object) -> Table:
    """Write a dataclass as a plain table, keys in field order, defaults left out."""
    table: Table = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # callers pass dataclass instances
        item = getattr(value, field.name)
        if not _is_default(field, item):
            table[_key(field.name)] = _to_plain(item)
    return table


def from_table(kind: type[T], table: object, *, where: str) -> T:
    """Read a dataclass from a plain table.

    Args:
        kind: The dataclass.
        table: What the TOML parser gave.
        where: Path of the table in the document, such as `packages[3].artifacts[0]`.

    Raises:
        LockfileError: Unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(table, dict):
        raise _unexpected(table, "a table", where)
    hints = _hints(kind)
    fields = {_key(field.name): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise LockfileError(
                f"Unknown key {key[:100]!r} in {where or 'the lockfile'} (expected one of: {', '.join(fields)})",
                hint="the lock may come from a newer envcap: upgrade, or ask for the lock to be made again",
            )
    values: dict[str, object] = {}
    for key, field in fields.items():
        place = f"{where}.{key}" if where else key
        if key in table:
            values[field.name] = _from_plain(hints[field.name], table[key], place)
        elif _has_no_default(field):
            raise LockfileError(f"Missing key {key!r} in {where or 'the lockfile'}")
    return kind(**values)


def _key(name: str) -> str:
    return name.replace("_", "-")


_HINTS: dict[type, dict[str, object]] = {}


def _hints(kind: type) -> dict[str, object]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _has_no_default(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_default(field: dataclasses.Field[object], item: object) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return item == field.default_factory()
    return field.default is not dataclasses.MISSING and item == field.default


def _to_plain(item: object) -> object:
    if dataclasses.is_dataclass(item):
        return to_table(item)
    if isinstance(item, Mapping):
        return {key: item[key] for key in sorted(item)}
    if isinstance(item, tuple):
        return [_to_plain(member) for member in item]
    return item


def _from_plain(hint: object, item: object, where: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(item, list):
            raise _unexpected(item, "an array", where)
        return tuple(_from_plain(arguments[0], member, f"{where}[{index}]") for index, member in enumerate(item))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(item, dict):
            raise _unexpected(item, "a table", where)
        return {key: _from_plain(arguments[1], member, f"{where}.{key[:100]}") for key, member in item.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_table(hint, item, where=where)
    # bool is an int in Python, and a TOML boolean must never pass for a size.
    if type(item) is not hint:
        raise _unexpected(item, _NAMES.get(hint, str(hint)), where)
    # Beyond it JSON has no exact integers (RFC 8785 refuses them), and Python may refuse to print them.
    if isinstance(item, int) and not -MAX_INTEGER <= item <= MAX_INTEGER:
        raise LockfileError(f"Unexpected integer in {where!r} (expected at most {MAX_INTEGER})")
    return item


_NAMES: Mapping[object, str] = types.MappingProxyType({str: "a string", int: "an integer", bool: "a boolean"})


def _unexpected(item: object, expected: str, where: str) -> LockfileError:
    return LockfileError(f"Unexpected {type(item).__name__} in {where!r} (expected {expected})")
