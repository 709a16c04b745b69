"""The canonical TOML text of a lock: same values, same bytes, easy to read and to diff.

Top-level scalars first, then `[table]`s, then `[[array of tables]]`; everything deeper is written inline, one array
element a line, so that a changed hash is one changed line. Source: TOML 1.0.0, "String", "Array", "Inline Table".
"""

import re

from envcap.errors import LockfileError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_WIDTH = 100


def dump_toml(table: dict[str, object]) -> str:
    """Write a document of strings, integers, booleans, arrays and tables.

    Raises:
        LockfileError: A value of another type, or a string that UTF-8 can't hold.
    """
    scalars, tables, arrays = [], [], []
    for key, value in table.items():
        if isinstance(value, dict):
            tables.append(_table(f"[{_key(key)}]", value))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            arrays += [_table(f"[[{_key(key)}]]", item) for item in value]
        else:
            scalars.append(f"{_key(key)} = {_value(value)}\n")
    return "\n".join(["".join(scalars), *tables, *arrays])


def _table(header: str, table: dict[str, object]) -> str:
    return header + "\n" + "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _string(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _string(value)
        case list():
            return _array(value)
        case dict():
            return _inline_table(value)
        case _:
            raise LockfileError(f"Unexpected {type(value).__name__} (expected what TOML can hold)")


def _array(items: list[object]) -> str:
    texts = [_value(item) for item in items]
    line = f"[{', '.join(texts)}]"
    if len(line) <= _WIDTH and not any(isinstance(item, dict) for item in items):
        return line
    return "[\n" + "".join(f"    {text},\n" for text in texts) + "]"


def _inline_table(table: dict[str, object]) -> str:
    # TOML 1.0.0: no newline inside an inline table, so members that are arrays stay on the line.
    return "{ " + ", ".join(f"{_key(key)} = {_inline(value)}" for key, value in table.items()) + " }" if table else "{}"


def _inline(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return _value(value)


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LockfileError(f"Unexpected string {text!r} (expected valid Unicode)") from None
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{ord(char):04X}" if ord(char) < 0x20 or ord(char) == 0x7F else char  # noqa: PLR2004  # TOML "String"
