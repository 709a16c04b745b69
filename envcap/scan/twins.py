"""One distribution installed twice, in two forms or under two spellings of its name: taken as one.

`foo-1.0.dist-info` beside `foo-1.0.egg-info`, or `Foo-1.0.dist-info` beside `foo-1.0.dist-info`: a lock has one row for
a name and version. The form that says most is the distribution, and the other one's files are files of it.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from packaging.utils import canonicalize_name

from envcap.environment import Distribution
from envcap.finding import Finding, FindingLevel

_FORMS = ("wheel", "egg-info", "egg", "egg-link")


def merge_twins(distributions: Iterable[Distribution]) -> tuple[tuple[Distribution, ...], tuple[Finding, ...]]:
    """Merge distributions of one normalised name and version; the order stays, and each merging is a finding."""
    twins: dict[tuple[str, str], list[Distribution]] = {}
    for one in distributions:
        twins.setdefault((canonicalize_name(one.name), one.version), []).append(one)
    findings = tuple(
        Finding(
            code="distribution-merged",
            message=f"{rows[0].name} {rows[0].version} is installed {len(rows)} times: taken as one, with all files",
            path=min(row.directory for row in rows),
            level=FindingLevel.NOTE,
        )
        for rows in twins.values()
        if len(rows) > 1
    )
    return tuple(_merged(rows) for rows in twins.values()), findings


def _merged(rows: Sequence[Distribution]) -> Distribution:
    if len(rows) == 1:
        return rows[0]
    # An installation whose WHEEL and RECORD are there can be proved; one without can't.
    first, *others = sorted(rows, key=lambda row: (_FORMS.index(row.form), not row.tags, not row.record, row.directory))
    files = {file.path: file for row in (*others, first) for file in row.files}
    record = {entry.path: entry for row in (*others, first) for entry in row.record}
    return dataclasses.replace(
        first,
        requested=any(row.requested for row in rows),
        record=tuple(record[path] for path in sorted(record)),
        files=tuple(files[path] for path in sorted(files)),
    )
