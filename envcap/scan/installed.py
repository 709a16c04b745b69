"""Reads all that some folders of packages hold: wheels, eggs, and the code that runs at start."""

from collections.abc import Sequence

from envcap.scan.distributions import Installed, children, read_wheel_installs
from envcap.scan.eggs import read_egg_installs
from envcap.scan.reader import TreeReader
from envcap.scan.startup import note_startup_code


def read_installed(reader: TreeReader, sites: Sequence[str], roots: Sequence[str]) -> list[Installed]:
    """Read the distributions in some folders.

    Args:
        reader: Reads the tree; findings gather in it.
        sites: The folders, relative to the tree's prefix.
        roots: Absolute names of the prefix, for absolute RECORD rows.
    """
    installed: list[Installed] = []
    for site in sites:
        names = children(reader.tree, site)
        found = [
            *read_wheel_installs(reader, site, names, roots),
            *read_egg_installs(reader, site, names, roots),
        ]
        editables = [
            one for one in found if one.distribution.direct_url and one.distribution.direct_url.kind == "editable"
        ]
        note_startup_code(reader, site, names, frozenset(path for one in editables for path in one.claims))
        installed += found
    return installed
