"""The entries of a layer in order: sorted, with every parent, each path once (recipe 1, rule 2)."""

import re
from collections.abc import Iterable

from envcap.digest import Digest
from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError
from envcap.recipe import DIRECTORY_MODE

_UNSAFE = re.compile(r"(?:\A|/)(?:\.{0,2}(?:/|\Z)|\.wh\.)|\0")


def arrange(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries by raw path bytes, add missing parents, and drop repeated equal ones (rule 2).

    Raises:
        BuildError: Two entries of one path differ, one lies below a file or link, or a path could leave the root or
            delete files of other layers (OCI image-spec, layer.md, "Whiteouts").
    """
    found: dict[bytes, Entry] = {}
    for entry in entries:
        if _UNSAFE.search(entry.path):
            raise BuildError(f"{entry.owner}: {entry.path!r} is no path for a layer (`..`, `.wh.` and the like)")
        key = entry.path.encode("utf-8", "surrogateescape")
        other = found.get(key)
        if other is None:
            found[key] = entry
        elif not _equal(other, entry):
            raise BuildError(
                f"{other.owner} and {entry.owner} both bring {entry.path!r}, and they differ",
                hint="take a new snapshot: it records which of the two the live environment holds",
            )
    for key in list(found):
        parent = key.rpartition(b"/")[0]
        while parent and parent not in found:
            path = parent.decode("utf-8", "surrogateescape")
            found[parent] = Entry(path=path, kind=EntryKind.DIRECTORY, mode=DIRECTORY_MODE, owner="envcap")
            parent = parent.rpartition(b"/")[0]
        if parent and found[parent].kind is not EntryKind.DIRECTORY:
            raise BuildError(f"{found[key].owner}: {found[key].path!r} lies below {found[parent].path!r}, not a folder")
    return [found[key] for key in sorted(found)]


def _equal(one: Entry, other: Entry) -> bool:
    facts = [(entry.kind, entry.mode, entry.uid, entry.gid, entry.target, entry.content.size) for entry in (one, other)]
    return facts[0] == facts[1] and Digest.of_chunks(one.content.chunks()) == Digest.of_chunks(other.content.chunks())
