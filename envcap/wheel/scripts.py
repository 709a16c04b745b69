"""Scripts of an environment: what entry points become, and how a live script maps to the image's interpreter.

Installers write console scripts in words of their own (pip and uv differ, and each over time), so the recipe has one
wording, and a live script counts as generated if its syntax tree can only have come from its entry point.
Source: PyPA "Entry points specification", "Use for scripts"; wheel format, "Recommended installer features".
"""

import ast
import configparser
import re

from envcap.environment import EntryPoint
from envcap.errors import ArchiveError
from envcap.recipe import ENVIRONMENT_ROOT

SHEBANG = f"#!/{ENVIRONMENT_ROOT}/bin/python".encode()

_VERSIONED = re.compile(r"bin/(?P<base>pip|easy_install)-?\d+(?:\.\d+)?\Z")
_NAME = re.compile(r"[\w.+-][\w .+-]*\Z")
_REFERENCE = re.compile(
    r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*:\s*(?P<attribute>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\Z"
)
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' (?P<python>\"[^\"\n]+\"|[^ \n]+) \"\$0\" \"\$@\"\n' '''\n")
_FIRST_LINE = re.compile(rb"#![ \t]*(?P<python>[^\n]*?)\r?\n")
_PYTHON = re.compile(rb"pythonw?(?P<arguments>(?:[ \t][^\n\r]*)?)\Z")
_LIVE_PYTHON = re.compile(rb"(?P<folder>.*)/bin/python(?:\d(?:\.\d+)?)?(?P<arguments>(?:[ \t].*)?)\Z")


def parse_entry_points(text: str, *, archive: str) -> tuple[EntryPoint, ...]:
    """Read the console and GUI scripts of an `entry_points.txt`, sorted by name.

    Raises:
        ArchiveError: Not INI, or a name or reference that could leave `bin/` or inject code.
    """
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ArchiveError(f"{archive}: entry_points.txt can't be read: {str(error).splitlines()[0]}") from None
    points: dict[str, EntryPoint] = {}
    for group in ("gui_scripts", "console_scripts"):
        if not parser.has_section(group):
            continue
        for name, value in parser.items(group):
            reference = value.split("[", 1)[0].strip()
            if not _NAME.match(name) or not _REFERENCE.match(reference):
                raise ArchiveError(
                    f"{archive}: unexpected entry point {name!r} = {value!r} (expected `module:function`)"
                )
            points[name] = EntryPoint(name=name, value=reference, gui=group == "gui_scripts")
    return tuple(points[name] for name in sorted(points))


def console_script(point: EntryPoint) -> bytes:
    """Write the script of an entry point, in the recipe's one wording."""
    module, attribute = _reference(point)
    imported = attribute.split(".", 1)[0]
    lines = [
        "import sys\n",
        f"from {module} import {imported}\n",
        'if __name__ == "__main__":',
        f"    sys.exit({attribute}())\n",
    ]
    return SHEBANG + b"\n" + "\n".join(lines).encode()


def is_generated_script(data: bytes, point: EntryPoint) -> bool:
    """Tell whether a live script is what some installer writes for this entry point.

    Accepted is a module that imports nothing but `re`, `sys` and the entry point, cleans `sys.argv[0]`, and exits
    with the result of the call; a script edited by hand has another tree.
    """
    try:
        body = ast.parse(_without_shebang(data)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    module, attribute = _reference(point)
    called = False
    for statement in body:
        match statement:
            case ast.Import(names=names) if all(name.name in {"re", "sys"} and not name.asname for name in names):
                continue
            case ast.ImportFrom(module=name, names=[ast.alias(name=imported, asname=None)], level=0):
                if (name, imported) != (module, attribute.split(".", 1)[0]):
                    return False
            case ast.If(test=test, body=inner, orelse=[]) if ast.unparse(test) == "__name__ == '__main__'":
                called = _calls(inner, attribute)
            case _:
                return False
    return called


def versioned_twin(path: str, points: tuple[EntryPoint, ...]) -> EntryPoint | None:
    """Give the entry point that a script such as `bin/pip3.11` or `bin/easy_install-3.11` repeats, if it does.

    pip writes such scripts for itself and setuptools, by the version of the interpreter; they are its own and left out.
    """
    name = _VERSIONED.match(path)
    points_by_name = {point.name: point for point in points}
    return points_by_name.get(name["base"]) if name and path.removeprefix("bin/") not in points_by_name else None


def install_script(data: bytes) -> bytes:
    """Rewrite the `#!python` line of a wheel's script to the image's interpreter; other files stay as they are."""
    line = _FIRST_LINE.match(data)
    python = _PYTHON.match(line["python"]) if line else None
    return SHEBANG + python["arguments"] + b"\n" + data[line.end() :] if line and python else data


def map_live_script(data: bytes, *, prefixes: tuple[bytes, ...]) -> bytes:
    """Map a live script back to the image: its first line names the image's interpreter instead of the live one.

    Args:
        data: The live bytes.
        prefixes: Spellings of the live environment's prefix (as given, symlinks resolved).
    """
    trampoline = _TRAMPOLINE.match(data)
    if trampoline:
        command, rest = trampoline["python"].strip(b'"'), data[trampoline.end() :]
    else:
        line = _FIRST_LINE.match(data)
        if not line:
            return data
        command, rest = line["python"], data[line.end() :]
    python = _LIVE_PYTHON.match(command)
    if not python or python["folder"] not in prefixes:
        return data
    return SHEBANG + python["arguments"] + b"\n" + rest


def _reference(point: EntryPoint) -> tuple[str, str]:
    found = _REFERENCE.match(point.value)
    if not found:
        raise ArchiveError(f"Unexpected entry point {point.name!r} = {point.value!r} (expected `module:function`)")
    return found["module"], found["attribute"]


def _without_shebang(data: bytes) -> bytes:
    trampoline = _TRAMPOLINE.match(data)
    return data[trampoline.end() :] if trampoline else data


def _calls(statements: list[ast.stmt], attribute: str) -> bool:
    """Check that a block only cleans `sys.argv[0]` and then exits with the call."""
    *cleaning, last = statements
    return ast.unparse(last) == f"sys.exit({attribute}())" and all(_cleans(statement) for statement in cleaning)


def _cleans(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[target], value=value):
            return ast.unparse(target) == "sys.argv[0]" and ast.unparse(value) in _CLEANED
        case ast.If(test=test, body=body, orelse=orelse):
            return ast.unparse(test).startswith("sys.argv[0].endswith(") and all(map(_cleans, [*body, *orelse]))
        case _:
            return False


_CLEANED = frozenset(
    {
        r"re.sub('(-script\\.pyw|\\.exe)?$', '', sys.argv[0])",
        r"re.sub('(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])",
        "sys.argv[0].removesuffix('.exe')",
        "sys.argv[0][:-4]",
        "sys.argv[0][:-11]",
    }
)
"""What pip (distlib), uv and installer write to clean the script's own name."""
