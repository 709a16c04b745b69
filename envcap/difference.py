"""What of one lock is not as in another, in the order in which it matters to results. Pure.

Differences come in the order of `Topic`: the interpreter, versions of packages, edited files, GPU stacks, OS packages
and so on; what changes neither results nor the image's bytes comes last (DESIGN §7, `envcap diff`).
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from packaging.version import InvalidVersion, Version

from envcap.gpu.model import CodeSet
from envcap.lockfile.codec import to_table
from envcap.lockfile.model import Artifact, CapturedFile, CondaPackage, Lockfile, Package, Patch, Session, SystemPackage
from envcap.lockfile.virtual import required_virtual

T = TypeVar("T")


class Topic(enum.Enum):
    """What a difference is about; its value is the heading."""

    INTERPRETER = "interpreter"
    PACKAGES = "packages"
    CONDA = "conda packages"
    PATCHES = "patched files"
    GPU = "GPU"
    SYSTEM = "OS packages"
    UNOWNED = "files of no package"
    ENVIRONMENT = "environment"
    IMAGE = "image"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that two locks say otherwise.

    Attributes:
        topic: What it is about.
        name: The package, file or fact.
        before: What the first lock says, or empty where it says nothing.
        after: What the second lock says, or empty.
        note: What it means, or empty: `downgrade`, `another file of the same version`.
    """

    topic: Topic
    name: str
    before: str
    after: str
    note: str = ""


def compare_locks(before: Lockfile, after: Lockfile) -> tuple[Difference, ...]:
    """Compare two locks; the result is empty if and only if they are equal but for `[expected]`."""
    found = (
        *_interpreters(before, after),
        *_packages(before.packages, after.packages),
        *_conda(before.conda, after.conda),
        *_patches(before, after),
        *_gpu(before, after),
        *_system(before.system, after.system),
        *_unowned(before.captured, after.captured),
        *_environments(before, after),
        *_images(before, after),
        *_cosmetic(before, after),
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


def _interpreters(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    one, two = before.interpreter, after.interpreter
    rows = {
        "implementation": (one.implementation, two.implementation),
        "version": (one.version, two.version),
        "build": (one.build, two.build),
        "ABI": (one.soabi, two.soabi),
        "origin": (one.origin, two.origin),
        "place": (one.home, two.home),
        "content": (_contents(one.artifacts), _contents(two.artifacts)),
    }
    yield from _facts(Topic.INTERPRETER, rows)


def _packages(before: Sequence[Package], after: Sequence[Package]) -> Iterator[Difference]:
    one, two = _by_name(before, lambda row: row.name), _by_name(after, lambda row: row.name)
    for name in sorted({*one, *two}):
        gone, new = one.get(name, []), two.get(name, [])
        versions = [", ".join(row.version for row in rows) for rows in (gone, new)]
        if versions[0] != versions[1]:
            yield Difference(
                topic=Topic.PACKAGES, name=name, before=versions[0], after=versions[1], note=_direction(*versions)
            )
            continue
        for left, right in zip(gone, new, strict=True):
            yield from _same_version(left, right)


def _same_version(before: Package, after: Package) -> Iterator[Difference]:
    one, two = _contents(before.artifacts), _contents(after.artifacts)
    rows = {
        "another file of the same version": (one, two),
        "another commit": (before.commit, after.commit),
        "another origin": (before.origin, after.origin),
        "another address": (before.url, after.url),
        "uncommitted files": (str(before.uncommitted), str(after.uncommitted)),
    }
    for note, (left, right) in rows.items():
        if left != right:
            files = [", ".join(sorted({artifact.file for artifact in row.artifacts})) for row in (before, after)]
            shown = files if left == one and files[0] != files[1] else [_short(left), _short(right)]
            yield Difference(topic=Topic.PACKAGES, name=before.name, before=shown[0], after=shown[1], note=note)


def _conda(before: Sequence[CondaPackage], after: Sequence[CondaPackage]) -> Iterator[Difference]:
    one, two = {row.name: row for row in before}, {row.name: row for row in after}
    for name in sorted({*one, *two}):
        left, right = one.get(name), two.get(name)
        if left is None or right is None or left.version != right.version:
            texts = [row.version if row else "" for row in (left, right)]
            yield Difference(topic=Topic.CONDA, name=name, before=texts[0], after=texts[1], note=_direction(*texts))
        elif left.build != right.build:
            yield Difference(
                topic=Topic.CONDA, name=name, before=left.build, after=right.build, note="another build of the version"
            )
        else:
            rows = {
                "another channel": (f"{left.channel}/{left.subdir}", f"{right.channel}/{right.subdir}"),
                "another file of the same build": (left.file, right.file),
                "another archive under the same name": (_short(left.sha256), _short(right.sha256)),
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
    return f"made of its files ({_short(package.made_sha256)})" if package.captured == "files" else "its own archive"


def _patches(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare the patches of packages that both have; those of one that came or went came or went with it."""
    one, two = _patched(before), _patched(after)
    both = _names(before) & _names(after)
    for key in sorted(key for key in {*one, *two} if key[0] in both):
        left, right = one.get(key), two.get(key)
        if left != right:
            note = "edited otherwise" if left and right and left.change == right.change else ""
            yield Difference(
                topic=Topic.PATCHES, name=": ".join(key), before=_patch(left), after=_patch(right), note=note
            )


def _names(lock: Lockfile) -> set[str]:
    return {row.name for row in lock.packages} | {row.name for row in lock.conda}


def _patched(lock: Lockfile) -> dict[tuple[str, str], Patch]:
    rows: Iterable[Package | CondaPackage] = (*lock.packages, *lock.conda)
    return {(row.name, patch.path): patch for row in rows for patch in row.patches}


def _patch(patch: Patch | None) -> str:
    if patch is None:
        return ""
    if patch.target:
        return f"{patch.change} -> {patch.target}"
    return f"{patch.change} {_short(patch.sha256)}{' executable' if patch.executable else ''}".rstrip()


def _gpu(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    one, two = before.gpu, after.gpu
    needs = [
        _joined(
            (row.subject, " ".join((_bounds(row.at_least, row.at_most), ", ".join(row.one_of))).strip()) for row in s
        )
        for s in (one.needs, two.needs)
    ]
    yield from _tables(Topic.GPU, *needs)
    libraries = [_joined((row.name, row.version) for row in stack.libraries) for stack in (one, two)]
    yield from _tables(Topic.GPU, *libraries)
    frameworks = [{row.name: f"{row.version} for {row.built_for}" for row in stack.frameworks} for stack in (one, two)]
    yield from _tables(Topic.GPU, *frameworks)
    code = [{row.file: row for row in stack.code} for stack in (one, two)]
    for file in sorted({*code[0], *code[1]}):
        left, right = code[0].get(file), code[1].get(file)
        if left != right:
            texts = [_targets(row.sets) if row else "" for row in (left, right)]
            note = "the same targets in other numbers" if texts[0] == texts[1] else ""
            yield Difference(topic=Topic.GPU, name=file, before=texts[0], after=texts[1], note=note)
    yield from _listed(Topic.GPU, "not seen by analysis", one.blind, two.blind)
    if one.rules and two.rules:
        yield from _facts(Topic.COSMETIC, {"GPU rules": (one.rules, two.rules)})


def _joined(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join what is said of one name several times: two packages bring a library, two drivers compile PTX."""
    found: dict[str, dict[str, None]] = {}
    for name, text in rows:
        found.setdefault(name, {})[text] = None
    return {name: "; ".join(texts) for name, texts in found.items()}


def _targets(sets: Iterable[CodeSet]) -> str:
    return " ".join(sorted({target for row in sets for target in row.targets}))


def _bounds(lowest: str, highest: str) -> str:
    return " ".join(filter(None, (f">={lowest}" if lowest else "", f"<={highest}" if highest else "")))


def _system(before: Sequence[SystemPackage], after: Sequence[SystemPackage]) -> Iterator[Difference]:
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
                before=_short(left.sha256),
                after=_short(right.sha256),
                note="another archive of the same version",
            )
        elif left != right and left and right:
            yield Difference(
                topic=Topic.COSMETIC,
                name=f"why {name}",
                before="; ".join(left.because),
                after="; ".join(right.because),
            )


def _unowned(before: Sequence[CapturedFile], after: Sequence[CapturedFile]) -> Iterator[Difference]:
    one, two = {row.path: row for row in before}, {row.path: row for row in after}
    for path in sorted({*one, *two}):
        left, right = one.get(path), two.get(path)
        if left != right:
            yield Difference(topic=Topic.UNOWNED, name=path, before=_captured(left), after=_captured(right))


def _captured(file: CapturedFile | None) -> str:
    if file is None:
        return ""
    return f"-> {file.target}" if file.target else f"{_short(file.sha256)}{' executable' if file.executable else ''}"


def _environments(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    one, two = before.environment, after.environment
    rows = {
        "kind": (one.kind, two.kind),
        "CPU": (one.cpu, two.cpu),
        "system site packages": (_truth(one.system_site_packages), _truth(two.system_site_packages)),
        "recipe": (str(before.recipe), str(after.recipe)),
    }
    yield from _facts(Topic.ENVIRONMENT, rows)
    yield from _tables(Topic.ENVIRONMENT, _wishes(before), _wishes(after))
    blas = [{f"{row.library} of {row.provider}": row.version or row.file for row in side.blas} for side in (one, two)]
    yield from _tables(Topic.ENVIRONMENT, *blas)
    markers = [{name: value for name, value in side.markers.items() if "version" not in name} for side in (one, two)]
    yield from _tables(Topic.ENVIRONMENT, *markers)


def _wishes(lock: Lockfile) -> dict[str, str]:
    """Say what conda packages ask of a machine, by virtual package; a lock that is older than these rows too."""
    found: dict[str, list[str]] = {}
    for row in lock.virtual or required_virtual(lock.conda):
        text = f"{row.wanted or 'any'}{' (where there is one)' if row.optional else ''}"
        found.setdefault(f"asks for {row.name}", []).append(text)
    return {name: ", ".join(texts) for name, texts in found.items()}


def _images(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    one, two = before.image, after.image
    rows = {
        "epoch": (str(one.epoch), str(two.epoch)),
        "user": (one.user, two.user),
        "working directory": (one.workdir, two.workdir),
        "entrypoint": (" ".join(one.entrypoint), " ".join(two.entrypoint)),
        "command": (" ".join(one.cmd), " ".join(two.cmd)),
    }
    yield from _facts(Topic.IMAGE, rows)
    yield from _tables(Topic.IMAGE, one.env, two.env)
    yield from _tables(Topic.IMAGE, one.labels, two.labels)


def _cosmetic(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    one, two = before.session, after.session
    rows = {
        "name": (before.name, after.name),
        "newest upload": (before.environment.newest_upload, after.environment.newest_upload),
        "system BLAS": (one.system_blas, two.system_blas),
        "machine's driver": (_drivers(one), _drivers(two)),
        "machine's GPUs": (_devices(one), _devices(two)),
    }
    yield from _facts(Topic.COSMETIC, rows)
    yield from _tables(Topic.COSMETIC, one.variables, two.variables)
    machines = [{f"machine's {name}": fact for name, fact in side.virtual.items()} for side in (one, two)]
    yield from _tables(Topic.COSMETIC, *machines)
    yield from _archives(before.conda, after.conda)
    left, right = {row.name: row for row in before.packages}, {row.name: row for row in after.packages}
    both = {*left} & {*right}
    for name in sorted(both):
        if left[name].proof != right[name].proof:
            yield Difference(
                topic=Topic.COSMETIC, name=f"proof of {name}", before=left[name].proof, after=right[name].proof
            )
    names = [[row.name for row in lock.packages if row.requested and row.name in both] for lock in (before, after)]
    yield from _listed(Topic.COSMETIC, "requested", *names)
    sources = [{row.name: row.url or row.suite or row.kind for row in lock.sources} for lock in (before, after)]
    yield from _tables(Topic.COSMETIC, *sources)


def _archives(before: Sequence[CondaPackage], after: Sequence[CondaPackage]) -> Iterator[Difference]:
    """Tell where archives of the same bytes are to be had."""
    known = {(row.name, row.sha256): row.captured for row in before}
    for row in after:
        pair = known.get((row.name, row.sha256), row.captured), row.captured
        if "files" not in pair:
            texts = ["kept with the lock" if captured else "on its channel" for captured in pair]
            yield from _facts(Topic.COSMETIC, {f"archive of {row.name}": (texts[0], texts[1])})


def _drivers(session: Session) -> str:
    return ", ".join(f"{row.vendor} {row.version or row.user or 'unknown'}" for row in session.gpu.drivers)


def _devices(session: Session) -> str:
    return ", ".join(f"{row.count} x {row.name}" for row in session.gpu.devices)


def _facts(topic: Topic, rows: Mapping[str, tuple[str, str]]) -> Iterator[Difference]:
    for name, (before, after) in rows.items():
        if before != after:
            yield Difference(topic=topic, name=name, before=before, after=after)


def _tables(topic: Topic, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        left, right = before.get(name, ""), after.get(name, "")
        if left != right:
            yield Difference(topic=topic, name=name, before=left, after=right)


def _listed(topic: Topic, name: str, before: Iterable[str], after: Iterable[str]) -> Iterator[Difference]:
    one, two = set(before), set(after)
    for text in sorted(one ^ two):
        yield Difference(topic=topic, name=name, before=text if text in one else "", after=text if text in two else "")


def _by_name(rows: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return found


def _contents(artifacts: Iterable[Artifact]) -> str:
    return " ".join(f"{row.platform}:{row.sha256}" for row in artifacts)


def _direction(before: str, after: str) -> str:
    """Name a step back, which is seldom wanted (PEP 440 order; versions of another form have none)."""
    try:
        return "downgrade" if Version(after) < Version(before) else ""
    except InvalidVersion:
        return ""


def _short(text: str) -> str:
    return text[:12] if len(text) in {40, 64} else text


def _truth(value: bool) -> str:  # noqa: FBT001  # it writes this one value
    return "yes" if value else "no"
