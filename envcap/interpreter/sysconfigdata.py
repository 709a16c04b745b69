"""`_sysconfigdata_*.py`: the variables of Python's build, as one literal dictionary.

It is written by `pprint`, which breaks long strings at spaces, so that a path with a space lies in two literals; and
uv rewrites the file in another form. So it is read as a literal, never run, and written again in one fixed form.
Source: CPython, `Lib/sysconfig.py`, `_generate_posix_vars`.
"""

import ast
from collections.abc import Callable, Mapping

_NAME = "build_time_vars"
_HEADER = "# system configuration generated and used by the sysconfig module\n"


def read_sysconfigdata(data: bytes) -> Mapping[str, str | int] | None:
    """Read the variables, or return None if the file has another form."""
    try:
        body = ast.parse(data).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == [_NAME]:
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError, RecursionError):
                return None
            return _checked(value)
    return None


def write_sysconfigdata(variables: Mapping[str, str | int]) -> bytes:
    """Write the variables in one fixed form: sorted, one a line, ASCII."""
    rows = "".join(f" {name!a}: {value!a},\n" for name, value in sorted(variables.items()))
    return f"{_HEADER}{_NAME} = {{\n{rows}}}\n".encode()


def relocate_sysconfigdata(data: bytes, relocate: Callable[[bytes], bytes]) -> bytes:
    """Apply a relocation to every string of the file; a file of another form is relocated as plain text."""
    variables = read_sysconfigdata(data)
    if variables is None:
        return relocate(data)
    return write_sysconfigdata(
        {
            name: relocate(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
            if isinstance(value, str)
            else value
            for name, value in variables.items()
        }
    )


def _checked(value: object) -> Mapping[str, str | int] | None:
    if not isinstance(value, dict):
        return None
    if not all(isinstance(key, str) and isinstance(item, str | int) for key, item in value.items()):
        return None
    return value
