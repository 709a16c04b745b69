"""Tells conda's files of a prefix from pip's and nobody's, and who wrote last where two packages claim a file.

conda's packages bring metadata folders of their own (`INSTALLER` says `conda`, `direct_url.json` names the machine
that built them): those distributions are conda's, and never looked for on an index.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from envcap.conda.paths import DIRECTORY
from envcap.environment import CondaRecord
from envcap.finding import FindingLevel
from envcap.scan.conda_records import FOLDER, set_aside
from envcap.scan.distributions import Installed
from envcap.scan.files import Tree
from envcap.scan.hashing import HashedFile
from envcap.scan.owners import Ownership, assign_owners
from envcap.scan.reader import TreeReader

CONDA = "conda"
SKIPPED_FOLDERS = frozenset({"pkgs", "envs", "conda-bld"})
"""Of a base environment: the package cache, other environments, and what conda-build makes."""

_OWN = re.compile(
    rf"(?:{FOLDER}/|\.(?:condarc|mambarc|nonadmin|messages\.txt|lock)\Z|\.(?:condatmp|trash|pixi|installed\.lock)"
    r"|CACHEDIR\.TAG\Z|conda-meta\.tmp|pixi-[a-z-]+\.json\Z|pyvenv\.cfg\Z)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaOwners:
    """Who owns what in a conda prefix.

    Attributes:
        records: With `missing` and `lost`; `files` are still empty.
        owned: For each record, the paths that are its own and are there, sorted.
        installed: The distributions that are not conda's.
        ownership: Their files, and nobody's.
    """

    records: tuple[CondaRecord, ...]
    owned: tuple[tuple[str, ...], ...]
    installed: tuple[Installed, ...]
    ownership: Ownership

    @property
    def rest(self) -> tuple[list[Installed], Ownership]:
        """What is not conda's."""
        return list(self.installed), self.ownership

    @property
    def paths(self) -> list[str]:
        """All of conda's paths."""
        return [path for paths in self.owned for path in paths]


def assign_conda_owners(
    reader: TreeReader,
    records: tuple[CondaRecord, ...],
    installed: Sequence[Installed],
    hashes: Mapping[str, HashedFile],
) -> CondaOwners:
    """Give every file to its owner; what is odd becomes a finding of the reader.

    Args:
        reader: Reads the prefix.
        records: Those of the prefix; their `files` are empty.
        installed: All distributions that were found.
        hashes: Of the regular files.
    """
    by_path: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        for row in record.paths:
            by_path.setdefault(row.path, []).append(index)
    others = tuple(one for one in installed if not _is_condas(one, by_path))
    _forget_findings(reader, [one for one in installed if one not in others])
    claims = _pip_claims(others, reader.tree)
    writers = {path: indices[0] for path, indices in by_path.items()}
    shared = {path: indices for path, indices in by_path.items() if len(indices) > 1 or path in claims}
    expected = _expected(records, shared)
    clobbers: Counter[tuple[str, str]] = Counter()
    for path, indices in shared.items():
        found = hashes.get(path)
        live = found.sha256 if found else ""
        fits = [index for index in indices if live in expected[index, path]]
        if path in claims and (not fits or live in claims[path][1]):
            writers[path] = -1
            clobbers.update((records[index].name, f"pip's {claims[path][0]}") for index in indices)
            continue
        writers[path] = (fits or indices)[0]
        winner = f"conda's {records[writers[path]].name}"
        # Who has the same bytes lost nothing.
        clobbers.update(
            (records[index].name, winner) for index in indices if index not in fits and index != writers[path]
        )
    _note_clobbers(reader, clobbers)
    owned, final = [], []
    for index, record in enumerate(records):
        paths = [row.path for row in record.paths if writers[row.path] == index]
        folders = {row.path for row in record.paths if row.kind == DIRECTORY}
        owned.append(tuple(path for path in paths if path in reader.tree.files))
        missing = tuple(path for path in paths if path not in reader.tree.files and path not in folders)
        lost = tuple(row.path for row in record.paths if writers[row.path] != index)
        final.append(replace(record, missing=missing, lost=lost))
    _note_missing(reader, final)
    left = {path for paths in owned for path in paths} | set_aside(reader, records)
    return CondaOwners(
        records=tuple(final), owned=tuple(owned), installed=others, ownership=_rest(reader, others, left)
    )


def _expected(records: Sequence[CondaRecord], shared: Mapping[str, Sequence[int]]) -> dict[tuple[int, str], set[str]]:
    """Give the hashes that each record has for the paths that others claim too."""
    wanted = {index for indices in shared.values() for index in indices}
    return {
        (index, row.path): {row.sha256, row.installed_sha256} - {""}
        for index in sorted(wanted)
        for row in records[index].paths
        if row.path in shared
    }


def _rest(reader: TreeReader, installed: Sequence[Installed], left: set[str]) -> Ownership:
    """Give what is not conda's to its owner, as in a virtual environment."""
    tree = reader.tree
    rest = {path: file for path, file in tree.files.items() if path not in left and not _OWN.match(path)}
    below = TreeReader(replace(tree, files=rest), reader.findings)
    ownership = assign_owners(below, installed)
    own = [path for path in tree.files if _OWN.match(path)]
    if own:
        ownership.ignored.setdefault(CONDA, []).extend(own)
    return ownership


def _is_condas(one: Installed, by_path: Mapping[str, object]) -> bool:
    folder = one.distribution.directory
    return any(path in by_path for path in (f"{folder}/METADATA", f"{folder}/PKG-INFO", folder))


def _forget_findings(reader: TreeReader, condas: Sequence[Installed]) -> None:
    """Drop what was odd about the metadata of conda's own distributions: nobody looks for their wheels."""
    folders = tuple(f"{one.distribution.directory}/" for one in condas)
    reader.findings[:] = [finding for finding in reader.findings if not f"{finding.path}/".startswith(folders)]


def _pip_claims(installed: Sequence[Installed], tree: Tree) -> dict[str, tuple[str, set[str]]]:
    """Give, for each path that pip's distributions list, whose it is and the hashes that RECORD has for it."""
    claims: dict[str, tuple[str, set[str]]] = {}
    for one in installed:
        rows = {row.path: row.sha256 for row in one.distribution.record}
        for path in one.claims:
            if path in tree.files:
                claims.setdefault(path, (one.distribution.name, set()))[1].add(rows.get(path, ""))
    return claims


def _note_clobbers(reader: TreeReader, clobbers: Counter[tuple[str, str]]) -> None:
    for (loser, winner), count in sorted(clobbers.items()):
        files = "1 file" if count == 1 else f"{count} files"
        message = f"{winner} wrote {files} of conda's {loser} last: the image gets what is live"
        reader.note("file-clobbered", message, "", FindingLevel.WARNING)


def _note_missing(reader: TreeReader, records: Sequence[CondaRecord]) -> None:
    for record in records:
        if record.missing:
            count = len(record.missing)
            files = f"{record.missing[0]!r} is" if count == 1 else f"{count} files are"
            message = f"{files} gone from conda's {record.name}: the image goes without too"
            reader.note("conda-files-missing", message, record.missing[0] if count == 1 else "")
