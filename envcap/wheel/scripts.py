"""Scripts of an environment: what entry points become, and how a live script maps to the image's interpreter.

Installers write console scripts in words of their own (pip and uv differ, and each over time), so the recipe has one
wording, and a live script counts as generated if its syntax tree can only have come from its entry point.
Source: PyPA "Entry points specification", "Use for scripts"; wheel format, "Recommended installer features".
"""

import ast
import re
import shlex

from envcap.environment import EntryPoint
from envcap.errors import ArchiveError
from envcap.recipe import ENVIRONMENT_ROOT

SHEBANG = f"#!/{ENVIRONMENT_ROOT}/bin/python".encode()

_VERSIONED = re.compile(r"bin/(?P<base>pip|easy_install)-?\d+(?:\.\d+)?\Z")
_NAME = re.compile(r"(?!\.{1,2}\Z|\.wh\.)[\w.+-][\w .+-]*\Z")
_LONGEST_NAME = 255
_REFERENCE = re.compile(
    r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*:\s*(?P<attribute>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\Z"
)
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' (?P<python>[^\n]+) \"\$0\" \"\$@\"\n' '''\n")
_FIRST_LINE = re.compile(rb"#![ \t]*(?P<python>[^\n]*?)\r?\n")
_BARE_PYTHON = re.compile(rb"\"?(?:[^\"]*/)?(?:python|pypy)[\d.]*t?\"?\Z")
_RELOCATABLE = b'"$(dirname -- "$(realpath -- "$0")")"/\'python\''
_PLACEHOLDER = b"#!python"
_LIVE_PYTHON = re.compile(rb"(?P<folder>.*)/bin/python(?:\d(?:\.\d+)?)?(?P<arguments>(?:[ \t].*)?)\Z")


def parse_entry_points(text: str, *, archive: str) -> tuple[EntryPoint, ...]:
    """Read the console and GUI scripts of an `entry_points.txt`, sorted by name.

    Raises:
        ArchiveError: A name or reference that could leave `bin/`, delete files of other layers, or inject code.
    """
    points: dict[str, EntryPoint] = {}
    section = ""
    # Line by line, as the scan reads the live file: the two must agree on which scripts there are.
    for line in map(str.strip, text.split("\n")):
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section in _SECTIONS:
            point = _parse_line(line, gui=_SECTIONS[section], archive=archive)
            if not (point.gui and point.name in points):
                points[point.name] = point
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
    with the result of the call; a script edited by hand has another tree, or gives its interpreter arguments.
    """
    reference = _REFERENCE.match(point.value)
    code = _generated_code(data)
    if reference is None or code is None:
        return False
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _is_generated(body, reference["module"], reference["attribute"])


def _is_generated(body: list[ast.stmt], module: str, attribute: str) -> bool:
    imported = called = False
    for statement in body:
        if called:
            return False
        match statement:
            case ast.Import(names=names) if all(name.name in {"re", "sys"} and not name.asname for name in names):
                continue
            case ast.ImportFrom(module=name, names=[ast.alias(name=alias, asname=None)], level=0):
                if (name, alias) != (module, attribute.split(".", 1)[0]):
                    return False
                imported = True
            case ast.If(test=test, body=inner, orelse=[]) if ast.unparse(test) == "__name__ == '__main__'":
                if not imported or not _calls(inner, attribute):
                    return False
                called = True
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
    """Rewrite the `#!python` line of a wheel's script to the image's interpreter; other files stay as they are.

    The whole line is replaced, whatever follows `#!python` (`w`, `3`, arguments, CR), as pip and uv do.
    """
    return SHEBANG + b"\n" + data.partition(b"\n")[2] if data.startswith(_PLACEHOLDER) else data


def map_live_script(data: bytes, *, prefixes: tuple[bytes, ...]) -> bytes:
    """Map a live script back to the image: its first line names the image's interpreter instead of the live one.

    Args:
        data: The live bytes.
        prefixes: Spellings of the live environment's prefix (as given, symlinks resolved).
    """
    trampoline = _TRAMPOLINE.match(data)
    if trampoline:
        command, rest = _unquoted(trampoline["python"]), data[trampoline.end() :]
        if command == _RELOCATABLE:
            return SHEBANG + b"\n" + rest
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


def _parse_line(line: str, *, gui: bool, archive: str) -> EntryPoint:
    name, _, value = line.partition("=")
    name, reference = name.strip(), value.split("[", 1)[0].strip()
    if not _NAME.match(name) or len(name.encode()) > _LONGEST_NAME or not _REFERENCE.match(reference):
        raise ArchiveError(
            f"{archive}: unexpected entry point {name[:100]!r} = {value.strip()[:100]!r} (expected `module:function`)"
        )
    return EntryPoint(name=name, value=reference, gui=gui)


def _generated_code(data: bytes) -> bytes | None:
    """Give what follows the line that names a Python without arguments, or None if there is no such line."""
    found = _TRAMPOLINE.match(data)
    command = _unquoted(found["python"]) if found else b""
    if found is None and (found := _FIRST_LINE.match(data)):
        command = found["python"].rstrip()
    if found is None or not (command == _RELOCATABLE or _BARE_PYTHON.match(command)):
        return None
    return data[found.end() :]


def _unquoted(command: bytes) -> bytes:
    """Undo the shell quoting of a trampoline's interpreter: pip quotes with `"`, uv with `'`; nothing if no one word.

    uv's relocatable environments have an expression there, which stays as it is.
    """
    if command == _RELOCATABLE:
        return command
    try:
        words = shlex.split(command.decode("utf-8", "surrogateescape"))
    except ValueError:
        return b""
    return words[0].encode("utf-8", "surrogateescape") if len(words) == 1 else b""


def _calls(statements: list[ast.stmt], attribute: str) -> bool:
    """Check that a block only cleans `sys.argv[0]` and then exits with the call."""
    *cleaning, last = statements
    return ast.unparse(last) == f"sys.exit({attribute}())" and all(_cleans(statement) for statement in cleaning)


def _cleans(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[target], value=value):
            return ast.unparse(target) == "sys.argv[0]" and ast.unparse(value) in _CLEANED
        case ast.If(test=test, body=body, orelse=orelse):
            return ast.unparse(test) in _SUFFIX_TESTS and all(map(_cleans, [*body, *orelse]))
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

_SUFFIX_TESTS = frozenset({"sys.argv[0].endswith('.exe')", "sys.argv[0].endswith('-script.pyw')"})
_SECTIONS = {"console_scripts": False, "gui_scripts": True}
