"""What the pinned files of a lock must satisfy: names without folders, whole hashes, sizes that files have."""

import re
from collections.abc import Sequence

from envcap.digest import is_sha256
from envcap.errors import LockfileError
from envcap.lockfile.model import Artifact, Patch
from envcap.lockfile.rules import matches, one_of, relative_path, sorted_unique

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
PLATFORM = re.compile(r"linux/(amd64|arm64)\Z")
_FILE = re.compile(r"[^\\]{1,1024}\Z")
MAX_SIZE = 1 << 40
CHANGES = frozenset({"edited", "added", "deleted"})


def check_artifact(artifact: Artifact, where: str, *, folders: int = 0) -> None:
    """Refuse an artifact for no platform, of no source, or that is not pinned by its hash.

    Raises:
        LockfileError: Says which field of which row.
    """
    matches(PLATFORM, artifact.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
    matches(NAME, artifact.source, f"{where}.source", "the name of a source")
    check_file_name(artifact.file, where, folders=folders)
    check_content(artifact.sha256, artifact.size, where, needed=True)


def check_file_name(file: str, where: str, *, folders: int) -> None:
    """Refuse what is no file name, with at most so many folders before it.

    Raises:
        LockfileError: Says which field of which row.
    """
    matches(_FILE, file, f"{where}.file", "a file name")
    relative_path(file, f"{where}.file")
    if file.count("/") > folders:
        raise LockfileError(f"Unexpected file {file!r} in {where!r} (expected a name without folders)")


def check_patches(patches: Sequence[Patch], where: str) -> None:
    """Refuse patches that lead out of the prefix or pin nothing.

    Raises:
        LockfileError: Says which field of which row.
    """
    for patch in patches:
        one_of(CHANGES, patch.change, where)
        relative_path(patch.path, where)
        kept = patch.change != "deleted" and not patch.target
        check_content(patch.sha256 if kept else "", patch.size, where, needed=kept)
    sorted_unique(patches, lambda row: row.path, where)


def check_content(sha256: str, size: int, where: str, *, needed: bool) -> None:
    """Refuse a weak or missing hash, and a size that none has.

    Raises:
        LockfileError: Says which field of which row.
    """
    if needed and not is_sha256(sha256):
        raise LockfileError(
            f"Unexpected sha256 {sha256[:80]!r} in {where!r} (expected 64 lower-case hex digits)",
            hint="a weaker or missing hash pins nothing: make the lock again with `envcap snapshot`",
        )
    if not 0 <= size <= MAX_SIZE:
        raise LockfileError(f"Unexpected size {size} in {where!r} (expected 0 to {MAX_SIZE})")
