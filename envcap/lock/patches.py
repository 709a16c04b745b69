"""What the lock says of files that differ from a package's artifact, ready for the image. Effects: reads live scripts.

The proof names edited, added and deleted files by their live bytes. Here those bytes become the image's (a script names
the image's interpreter), scripts of entry points that are not there are recorded, and a file that another distribution
overwrote is left to that one.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from envcap.build.live import live_script
from envcap.entry import Content, LiteralContent
from envcap.environment import Distribution, InstalledFile
from envcap.files import FileContent
from envcap.lockfile.model import Patch

KeptContent = tuple[str, Content]
"""The sha256 of some bytes that are kept with the lock, and the bytes."""


def shared_paths(distributions: Iterable[Distribution]) -> frozenset[str]:
    """Name the paths that several distributions own."""
    seen: set[str] = set()
    shared: set[str] = set()
    for distribution in distributions:
        for file in distribution.files:
            (shared if file.path in seen else seen).add(file.path)
    return frozenset(shared)


def final_patches(
    distribution: Distribution, patches: Sequence[Patch], *, prefix: Path, lost: frozenset[str], generates: bool
) -> tuple[tuple[Patch, ...], tuple[KeptContent, ...]]:
    """Finish a distribution's patches.

    Args:
        distribution: What the scan found.
        patches: What the proof found.
        prefix: The live environment.
        lost: Paths that another distribution owns, with the bytes that are live.
        generates: Whether the artifact is a wheel, so that the image gets a script for each entry point.

    Returns:
        The patches, sorted by path, and the bytes to keep.
    """
    files = {file.path: file for file in distribution.files}
    found = {patch.path: patch for patch in patches}
    for point in distribution.entry_points:
        path = f"bin/{point.name}"
        if generates and path not in files:
            found[path] = Patch(path=path, change="deleted")
    kept: list[KeptContent] = []
    for path, patch in found.items():
        if patch.change == "edited" and path in lost:
            found[path] = Patch(path=path, change="deleted")
        elif patch.change != "deleted" and not patch.target:
            found[path], content = image_patch(patch, files[path], prefix=prefix, distribution=distribution)
            kept.append((found[path].sha256, content))
    return tuple(found[path] for path in sorted(found)), tuple(kept)


def image_patch(
    patch: Patch, file: InstalledFile, *, prefix: Path, distribution: Distribution
) -> tuple[Patch, Content]:
    """Give a patch with the bytes that go into the image, and those bytes."""
    script = live_script(file, prefix=prefix, distribution=distribution)
    executable = bool(file.mode & 0o111)
    if script is None:
        content: Content = FileContent(path=file.location(prefix), size=file.size)
        sha256 = file.sha256
    else:
        content, sha256 = LiteralContent(script), hashlib.sha256(script).hexdigest()
    return (
        Patch(path=patch.path, change=patch.change, sha256=sha256, size=content.size, executable=executable),
        content,
    )


def captured_patches(distribution: Distribution, generated: Mapping[str, bool]) -> tuple[Patch, ...]:
    """Give the patches of a captured distribution: what its archive can't hold.

    Args:
        distribution: What the scan found.
        generated: For each script of an entry point that is there, whether it is what installers generate.
    """
    links = [Patch(path=file.path, change="added", target=file.target) for file in distribution.files if file.target]
    edited = [Patch(path=path, change="edited") for path, is_generated in generated.items() if not is_generated]
    return (*links, *edited)


def lost_paths(
    distribution: Distribution, patched: Mapping[str, frozenset[str]], owners: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Name the paths of a distribution whose live bytes are another one's.

    Args:
        distribution: The one that lost.
        patched: The patched paths of each distribution, by metadata folder.
        owners: The metadata folders of the distributions that own each shared path.
    """
    own = patched.get(distribution.directory, frozenset())
    return frozenset(
        path
        for path in own
        for other in owners.get(path, ())
        if other != distribution.directory and path not in patched.get(other, frozenset())
    )
