"""Generated import finders of editable installs, read without running them: which module lies where.

Known are the finders of setuptools (`MAPPING = {…}`), of the `editables` library that hatchling and pdm-backend use
(`F.map_module(name, path)`), and of scikit-build-core (`install({module: path}, {module: file in site-packages}, …)`).
"""

import ast
from collections.abc import Iterator


def read_finder(text: str) -> dict[str, str]:
    """Give the modules of a finder and the place of each: a package's folder or `__init__.py`, or a module's file.

    An unknown finder gives none.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    for statement in body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="MAPPING")], value=value)
                | ast.AnnAssign(target=ast.Name(id="MAPPING"), value=ast.expr() as value)
            ):
                found |= dict(_texts(value))
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="map_module"), args=[name, place])):
                found |= dict(_texts(ast.Dict(keys=[name], values=[place])))
            case ast.Expr(value=ast.Call(func=ast.Name(id="install"), args=[known, *_])):
                found |= dict(_texts(known))
            case _:
                continue
    return found


def imported_by(text: str) -> frozenset[str]:
    """Name the modules that the lines of a `.pth` file import when Python starts."""
    modules = set()
    for line in text.splitlines():
        if line.startswith(("import ", "import\t")):
            modules.add(line[len("import ") :].partition(";")[0].strip())
    return frozenset(module for module in modules if module.isidentifier())


def _texts(value: ast.expr) -> Iterator[tuple[str, str]]:
    try:
        table = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return
    for name, place in table.items() if isinstance(table, dict) else ():
        if isinstance(name, str) and isinstance(place, str):
            yield name, place
