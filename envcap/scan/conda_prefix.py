"""Completes the records of a conda prefix, and finds out where it was when its packages were installed."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from envcap.conda.paths import LIBRARY
from envcap.environment import CondaRecord, Distribution
from envcap.scan.assemble import installed_files
from envcap.scan.conda_moved import find_former_prefix
from envcap.scan.conda_owners import CondaOwners
from envcap.scan.files import Tree, TreeFile
from envcap.scan.hashing import HashedFile
from envcap.scan.reader import TreeReader

_SHEBANG = re.compile(rb"#![ \t]*(/[^\n]*?)/bin/[^/\n]+(?:[ \t][^\n]*)?\n")
_CONFIGURED = re.compile(rb"'prefix': '(/[^'\n]*)'")
_SYSCONFIG = re.compile(r"lib/python3\.\d+t?/_sysconfigdata_[^/]*\.py\Z")
_DATA = re.compile(
    r"(?:\.(?:h|hpp|txt|json|md|rst|html|css|pyi|typed|toml|cfg|csv|xml|png|svg|a|pc|cmake)"
    r"|\.(?:dist|egg)-info/[A-Z-]{1,40})\Z"
)
"""Names of what nobody can execute."""

_HEAD = 512
_MOST = 3


def complete_records(
    conda: CondaOwners, tree: Tree, hashed: Mapping[str, HashedFile], distributions: Iterable[Distribution]
) -> tuple[CondaRecord, ...]:
    """Give the records with their files; where a distribution of the user's own is seen first, theirs are lost."""
    taken = {file.path for one in distributions for file in one.files}
    found = []
    for record, paths in zip(conda.records, conda.owned, strict=True):
        lost = tuple(sorted({*record.lost, *taken.intersection(paths)}))
        files = installed_files(tree, [path for path in paths if path not in taken], hashed)
        found.append(replace(record, files=files, lost=lost, touched=_is_touched(record, paths, tree)))
    return tuple(found)


def _is_touched(record: CondaRecord, paths: Iterable[str], tree: Tree) -> bool:
    """Tell whether somebody may have changed permissions: a record or data can be executed, or an odd file changed.

    Installers write a record behind the files, and nothing says which of these can be executed. An inode changes also
    when another environment is linked to it, so this is a reason to look, and no proof. Files that were linked from a
    package cache have been changed before that, where somebody swept another environment.
    """
    written = tree.files.get(record.directory)
    if written is None or written.mode & 0o111:
        return True
    after = written.stamp[1]
    odd = [path for path in paths if _is_odd(path, tree.files[path])]
    return any(tree.files[path].stamp[1] > after or _DATA.search(path) for path in odd)


def _is_odd(path: str, file: TreeFile) -> bool:
    """Tell whether a file can be executed and is no library, or is one and can't; what lies in `bin` always can."""
    if file.is_link or path.startswith("bin/"):
        return False
    return bool(file.mode & 0o111) is (LIBRARY.search(path) is None)


def find_baked_prefixes(reader: TreeReader, prefix: Path, records: Iterable[CondaRecord]) -> tuple[str, ...]:
    """Find the prefixes that the files may name, likeliest first: where it lies, and where it lay before it was moved.

    Scripts and Python's build variables name it; the commonest names count. Without any, a file of a package must
    prove it (`envcap.scan.conda_moved`).
    """
    found: Counter[bytes] = Counter()
    for path, file in reader.tree.files.items():
        if file.is_link:
            continue
        if path.startswith("bin/") and path.count("/") == 1:
            match = _SHEBANG.match(_head(reader, path))
            found.update([match[1]] if match else [])
        elif _SYSCONFIG.match(path):
            found.update(_CONFIGURED.findall(reader.read(path, limit=1 << 20) or b""))
    own = str(prefix)
    named = [name.decode("utf-8", "surrogateescape") for name, _ in found.most_common()]
    others = [name for name in named if name not in {own, "", "/usr", "/usr/local"}]
    return (own, *(others[:_MOST] or find_former_prefix(reader, os.fsencode(own), records)))


def _head(reader: TreeReader, path: str) -> bytes:
    try:
        with (Path(reader.tree.prefix) / path).open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
