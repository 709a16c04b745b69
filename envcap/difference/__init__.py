"""What of one lock is not as in another, in the order in which it matters to results. Pure.

Differences come in the order of `Topic`: the interpreter, versions of packages, edited files, GPU stacks, OS packages
and so on; what changes neither results nor the image's bytes comes last (DESIGN §7, `envcap diff`).
"""

from collections.abc import Iterator
from dataclasses import replace

from envcap.difference.conda import compare_conda
from envcap.difference.cosmetic import compare_details
from envcap.difference.environment import compare_environments, compare_images
from envcap.difference.gpu import compare_gpu
from envcap.difference.kept import compare_patches, compare_unowned
from envcap.difference.python import compare_interpreters, compare_packages
from envcap.difference.row import Difference, Topic
from envcap.difference.system import compare_system
from envcap.lockfile.codec import to_table
from envcap.lockfile.model import Lockfile

__all__ = ["Difference", "Topic", "compare_locks", "matters"]


def compare_locks(before: Lockfile, after: Lockfile) -> tuple[Difference, ...]:
    """Compare two locks; the result is empty if and only if they are equal but for `[expected]`."""
    found = (
        *compare_interpreters(before, after),
        *compare_packages(before.packages, after.packages),
        *compare_conda(before.conda, after.conda),
        *compare_patches(before, after),
        *compare_gpu(before, after),
        *compare_system(before.system, after.system),
        *compare_unowned(before.captured, after.captured),
        *compare_environments(before, after),
        *compare_images(before, after),
        *compare_details(before, after),
    )
    order = {topic: number for number, topic in enumerate(Topic)}
    return tuple(sorted(found, key=lambda row: order[row.topic])) or tuple(_rest(before, after))


def matters(difference: Difference) -> bool:
    """Tell whether a difference may change results or the image, rather than how the lock came about."""
    return difference.topic is not Topic.COSMETIC


def _rest(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Name the tables of which nothing above speaks: where from, why, and on what evidence."""
    one, two = (to_table(replace(lock, expected=())) for lock in (before, after))
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            yield Difference(topic=Topic.COSMETIC, name=f"[{name}]", before="", after="", note="details differ")
