"""The `[[virtual]]` rows of a lock: what its conda packages ask of a machine. They follow from the `[[conda]]` rows."""

from collections.abc import Iterable

from envcap.conda.virtual import FOREIGN, split_virtual
from envcap.lockfile.model import CondaPackage, VirtualPackage


def required_virtual(packages: Iterable[CondaPackage]) -> tuple[VirtualPackage, ...]:
    """Gather what some packages ask of virtual packages, with the packages that ask; sorted.

    What a package does not go with (`constrains`) counts only where a machine has the virtual package at all.
    """
    found: dict[tuple[str, str, bool], set[str]] = {}
    for package in packages:
        for optional, texts in ((False, package.depends), (True, package.constrains)):
            for text in texts:
                wish = split_virtual(text)
                if wish is not None and not (optional and (wish[0] in FOREIGN or not wish[1])):
                    found.setdefault((*wish, optional), set()).add(package.name)
    return tuple(
        VirtualPackage(
            name=name, wanted=wanted, optional=optional, because=tuple(sorted(found[name, wanted, optional]))
        )
        for name, wanted, optional in sorted(found)
    )
