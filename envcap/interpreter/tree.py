"""What every interpreter's tree gets in the image: the usual names of the executable, and a place for packages."""

from collections.abc import Container, Iterator

from envcap.entry import Entry, EntryKind
from envcap.interpreter.layout import Layout
from envcap.recipe import DIRECTORY_MODE

OWNER = "python"


def own_entries(layout: Layout, present: Container[str]) -> Iterator[Entry]:
    """Yield the entries, relative to the prefix, that `Layout.keeps` leaves to us.

    In a shared prefix `python3` may be another version's, so the links are always ours.

    Args:
        layout: The interpreter's layout.
        present: Files of the tree, relative to the prefix.
    """
    yield Entry(path=f"{layout.stdlib}/site-packages", kind=EntryKind.DIRECTORY, mode=DIRECTORY_MODE, owner=OWNER)
    for suffix in ("", "-config"):
        target = f"{layout.name}{suffix}"
        if f"bin/{target}" in present:
            for name in ("python", "python3"):
                yield link(f"bin/{name}{suffix}", target)
    plain = f"python{layout.version}"
    if layout.name != plain and f"bin/{layout.name}" in present and f"bin/{plain}" not in present:
        yield link(f"bin/{plain}", layout.name)


def link(path: str, target: str) -> Entry:
    """Make a symlink of the tree."""
    return Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target=target, owner=OWNER)
