"""The conda packages of two locks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from envcap.difference.row import Difference, Topic, compare_facts, direction, short
from envcap.lockfile.model import CondaPackage


def compare_conda(before: Sequence[CondaPackage], after: Sequence[CondaPackage]) -> Iterator[Difference]:
    """Compare the conda packages: version, build, channel, archive, and at most one thing of each."""
    one, two = {row.name: row for row in before}, {row.name: row for row in after}
    for name in sorted({*one, *two}):
        left, right = one.get(name), two.get(name)
        if left is None or right is None or left.version != right.version:
            texts = [row.version if row else "" for row in (left, right)]
            yield Difference(topic=Topic.CONDA, name=name, before=texts[0], after=texts[1], note=direction(*texts))
        elif left.build != right.build:
            yield Difference(
                topic=Topic.CONDA, name=name, before=left.build, after=right.build, note="another build of the version"
            )
        else:
            rows = {
                "another channel": (f"{left.channel}/{left.subdir}", f"{right.channel}/{right.subdir}"),
                "another file of the same build": (left.file, right.file),
                "another archive under the same name": (short(left.sha256), short(right.sha256)),
                "the image ID tells whether its files are the same": (_kept(left), _kept(right)),
            }
            changed = [(note, pair) for note, pair in rows.items() if pair[0] != pair[1]]
            if not changed and _record(left) != _record(right):
                # Dependencies and specs are written into the image's `conda-meta`.
                changed = [("another record of the same archive", ("", ""))]
            for note, pair in changed[:1]:
                yield Difference(topic=Topic.CONDA, name=name, before=pair[0], after=pair[1], note=note)


def _record(package: CondaPackage) -> CondaPackage:
    """Give a row without what has differences of its own: patches, and where its archive is to be had."""
    return replace(package, patches=(), captured="", made_sha256="", made_size=0)


def _kept(package: CondaPackage) -> str:
    return f"made of its files ({short(package.made_sha256)})" if package.captured == "files" else "its own archive"


def compare_archives(before: Sequence[CondaPackage], after: Sequence[CondaPackage]) -> Iterator[Difference]:
    """Tell where archives of the same bytes are to be had."""
    known = {(row.name, row.sha256): row.captured for row in before}
    for row in after:
        pair = known.get((row.name, row.sha256), row.captured), row.captured
        if "files" not in pair:
            texts = ["kept with the lock" if captured else "on its channel" for captured in pair]
            yield from compare_facts(Topic.COSMETIC, {f"archive of {row.name}": (texts[0], texts[1])})
