"""Finds code and paths that Python takes up at every start: `.pth` files, sitecustomize and usercustomize.

Source: CPython's `Lib/site.py`. They are reported and never run; an attacker's foothold looks just like a helpful hook.
"""

from collections.abc import Sequence

from envcap.environment import FindingLevel
from envcap.scan.reader import TreeReader

_HOOKS = ("sitecustomize", "usercustomize")
_PTH_LIMIT = 256 << 10


def note_startup_code(reader: TreeReader, site: str, names: Sequence[str], editables: frozenset[str]) -> None:
    """Report what runs or is searched at start, among the `names` in the folder `site`.

    Args:
        reader: Reads the tree; findings gather in it.
        site: A site-packages folder, relative to the prefix.
        names: What lies directly in it.
        editables: Paths of editable installs: that they point out of the environment is reported elsewhere.
    """
    for name in names:
        path = f"{site}/{name}"
        if name.partition(".")[0] in _HOOKS and (name.endswith((".py", ".so", ".pyc")) or path in reader.tree.folders):
            reader.note("startup-code", "Python runs it at every start", path, FindingLevel.NOTE)
        elif name.endswith(".pth") and not name.startswith("."):
            _note_path_file(reader, path, is_editable=path in editables)


def _note_path_file(reader: TreeReader, path: str, *, is_editable: bool) -> None:
    lines = [line.rstrip() for line in (reader.read_text(path, limit=_PTH_LIMIT) or "").splitlines()]
    if any(line.startswith(("import ", "import\t")) for line in lines):
        reader.note("startup-code", "It holds code that Python runs at every start", path, FindingLevel.NOTE)
    prefix = reader.tree.prefix
    outside = sum(line.startswith("/") and not f"{line}/".startswith(f"{prefix}/") for line in lines)
    if outside and not is_editable:
        message = f"It adds {outside} folders outside the environment to the module path: their files are not captured"
        reader.note("path-outside", message, path)
