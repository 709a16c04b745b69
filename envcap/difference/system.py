"""The OS packages of two locks."""

from collections.abc import Iterator, Sequence

from envcap.difference.row import Difference, Topic, short
from envcap.lockfile.model import SystemPackage


def compare_system(before: Sequence[SystemPackage], after: Sequence[SystemPackage]) -> Iterator[Difference]:
    """Compare the OS packages; of one and the same, why it is there."""

    def key(row: SystemPackage) -> str:
        return row.name if row.platform == platforms[0] else f"{row.name} ({row.platform})"

    platforms = sorted({row.platform for row in (*before, *after)})
    one, two = {key(row): row for row in before}, {key(row): row for row in after}
    for name in sorted({*one, *two}):
        left, right = one.get(name), two.get(name)
        texts = [row.version if row else "" for row in (left, right)]
        reason = (right or left or before[0]).because
        if texts[0] != texts[1]:
            note = reason[0] if not (left and right) and reason else ""
            yield Difference(topic=Topic.SYSTEM, name=name, before=texts[0], after=texts[1], note=note)
        elif left and right and left.sha256 != right.sha256:
            yield Difference(
                topic=Topic.SYSTEM,
                name=name,
                before=short(left.sha256),
                after=short(right.sha256),
                note="another archive of the same version",
            )
        elif left != right and left and right:
            yield Difference(
                topic=Topic.COSMETIC,
                name=f"why {name}",
                before="; ".join(left.because),
                after="; ".join(right.because),
            )
