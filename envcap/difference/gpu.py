"""The GPU stacks of two locks."""

from collections.abc import Iterable, Iterator

from envcap.difference.row import Difference, Topic, compare_facts, compare_lists, compare_tables
from envcap.gpu.model import CodeSet
from envcap.lockfile.model import Lockfile


def compare_gpu(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare needs, libraries, frameworks, code by file, and what no analysis saw."""
    one, two = before.gpu, after.gpu
    needs = [
        _joined(
            (row.subject, " ".join((_bounds(row.at_least, row.at_most), ", ".join(row.one_of))).strip()) for row in s
        )
        for s in (one.needs, two.needs)
    ]
    yield from compare_tables(Topic.GPU, *needs)
    libraries = [_joined((row.name, row.version) for row in stack.libraries) for stack in (one, two)]
    yield from compare_tables(Topic.GPU, *libraries)
    frameworks = [{row.name: f"{row.version} for {row.built_for}" for row in stack.frameworks} for stack in (one, two)]
    yield from compare_tables(Topic.GPU, *frameworks)
    code = [{row.file: row for row in stack.code} for stack in (one, two)]
    for file in sorted({*code[0], *code[1]}):
        left, right = code[0].get(file), code[1].get(file)
        if left != right:
            texts = [_targets(row.sets) if row else "" for row in (left, right)]
            note = "the same targets in other numbers" if texts[0] == texts[1] else ""
            yield Difference(topic=Topic.GPU, name=file, before=texts[0], after=texts[1], note=note)
    yield from compare_lists(Topic.GPU, "not seen by analysis", one.blind, two.blind)
    if one.rules and two.rules:
        yield from compare_facts(Topic.COSMETIC, {"GPU rules": (one.rules, two.rules)})


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
