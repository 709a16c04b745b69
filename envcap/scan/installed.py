"""Reads all distributions that some folders of packages hold: wheels and eggs."""

from collections.abc import Sequence

from envcap.scan.distributions import Installed, children, read_wheel_installs
from envcap.scan.eggs import read_egg_installs
from envcap.scan.reader import TreeReader


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
        installed += read_wheel_installs(reader, site, names, roots)
        installed += read_egg_installs(reader, site, names, roots)
    return installed
