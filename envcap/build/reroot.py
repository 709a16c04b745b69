"""Moves the entries of an environment to another root: conda's prefix in the image is `/opt/conda`, not `/opt/env`.

Wheels, patches and unowned files are mapped for `/opt/env` on both sides, live and rebuilt; this is the last step of
both. Beside the path only the first line of a script names the root.
"""

from collections.abc import Iterable
from dataclasses import replace

from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.recipe import ENVIRONMENT_ROOT
from envcap.wheel.scripts import SHEBANG

_OLD = f"{ENVIRONMENT_ROOT}/"
_MAX_SCRIPT = 16 << 20


def reroot(entries: Iterable[Entry], root: str) -> list[Entry]:
    """Give the entries below another root; nothing changes for `ENVIRONMENT_ROOT`."""
    if root == ENVIRONMENT_ROOT:
        return list(entries)
    return [_moved(entry, root) for entry in entries]


def reroot_script(data: bytes, root: str) -> bytes:
    """Let a script name the interpreter below another root."""
    if not data.startswith(SHEBANG):
        return data
    return f"#!/{root}/bin/python".encode() + data.removeprefix(SHEBANG)


def _moved(entry: Entry, root: str) -> Entry:
    below = entry.path.removeprefix(_OLD)
    moved = replace(entry, path=f"{root}/{below}")
    if entry.kind is not EntryKind.FILE or not below.startswith("bin/") or entry.content.size > _MAX_SCRIPT:
        return moved
    script = _script(entry.content)
    return replace(moved, content=LiteralContent(reroot_script(script, root)), sha256="") if script else moved


def _script(content: Content) -> bytes:
    chunks = content.chunks()
    head = next(chunks, b"")
    return b"".join((head, *chunks)) if head.startswith(SHEBANG) else b""
