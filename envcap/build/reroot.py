"""Moves the entries of an environment to another root: conda's prefix in the image is `/opt/conda`, not `/opt/env`.

Wheels, patches and unowned files are mapped for `/opt/env` on both sides, live and rebuilt; this is the last step of
both. What the mapping writes beside the path, and nothing else, is mapped once more: the first line of a script, the
folders in a `.pth` file, a kernel's interpreter, and the target of a link (`build/live.py`).
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from envcap.entry import Content, Entry, EntryKind, LiteralContent
from envcap.recipe import ENVIRONMENT_ROOT
from envcap.wheel.scripts import SHEBANG

_OLD = f"{ENVIRONMENT_ROOT}/"
_MAX_TEXT = 16 << 20
_PATH_FILE = re.compile(r"(?:\A|/)(?:site|dist)-packages/[^/]+\.pth\Z")
_KERNEL = re.compile(r"(?:\A|/)kernels/[^/]+/kernel\.json\Z")
_FOLDER_LINE = re.compile(rb"^/" + re.escape(ENVIRONMENT_ROOT.encode()) + rb"(?=/|[ \t\r\f\v]*$)", re.MULTILINE)
_QUOTED = b'"/' + _OLD.encode()


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
    moved = _at(entry, f"{root}/{below}")
    if entry.kind is EntryKind.SYMLINK and f"{entry.target}/".startswith(f"/{_OLD}"):
        return replace(moved, target=f"/{root}{entry.target.removeprefix(f'/{ENVIRONMENT_ROOT}')}")
    if entry.kind is not EntryKind.FILE or entry.content.size > _MAX_TEXT:
        return moved
    before = _text(entry.content, below)
    if not before:
        return moved
    after = _mapped(before, below, root)
    return moved if after == before else replace(moved, content=LiteralContent(after), sha256="")


def _at(entry: Entry, path: str) -> Entry:
    """Give an entry at another path; as `replace` does, without its detours: every file comes by here."""
    return Entry(
        path, entry.kind, entry.mode, entry.content, entry.target, entry.uid, entry.gid, entry.owner, entry.sha256
    )


def _text(content: Content, path: str) -> bytes:
    """Read a file that may name the root; nothing of any other."""
    if _PATH_FILE.search(path) or _KERNEL.search(path):
        return b"".join(content.chunks())
    if not path.startswith("bin/"):
        return b""
    chunks = content.chunks()
    head = next(chunks, b"")
    return b"".join((head, *chunks)) if head.startswith(SHEBANG) else b""


def _mapped(data: bytes, path: str, root: str) -> bytes:
    if _PATH_FILE.search(path):
        return _FOLDER_LINE.sub(f"/{root}".encode(), data)
    if _KERNEL.search(path):
        return data.replace(_QUOTED, f'"/{root}/'.encode())
    return reroot_script(data, root)
