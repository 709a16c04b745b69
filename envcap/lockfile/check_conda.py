"""What a lock's `[[conda]]`, `[[virtual]]` and `[session.virtual]` must satisfy beyond their types."""

import re

from envcap.conda.channel import CHANNEL_NAME, FILE, SUBDIR
from envcap.conda.virtual import FACT, VIRTUAL_NAME
from envcap.errors import LockfileError
from envcap.lockfile.check_content import MAX_SIZE, check_content, check_patches
from envcap.lockfile.model import CondaPackage, Lockfile
from envcap.lockfile.rules import matches, one_of, sorted_unique
from envcap.lockfile.virtual import required_virtual

_CONDA_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,127}\Z")
_CONDA_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]{0,127}\Z")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
NOARCH = frozenset({"", "python", "generic"})
CONDA_CAPTURED = frozenset({"", "archive", "files"})


def check_conda_package(package: CondaPackage, where: str) -> None:
    """Names become folders and URLs: `conda-meta/NAME-VERSION-BUILD.json`, `CHANNEL/SUBDIR/FILE` (CEP 26).

    Raises:
        LockfileError: Says which field of which row.
    """
    matches(_CONDA_NAME, package.name, f"{where}.name", "a conda package name")
    matches(_CONDA_VERSION, package.version, f"{where}.version", "a conda version")
    matches(_CONDA_VERSION, package.build, f"{where}.build", "a conda build string")
    matches(CHANNEL_NAME, package.channel, f"{where}.channel", "a channel's name such as `conda-forge`")
    matches(SUBDIR, package.subdir, f"{where}.subdir", "a folder such as `linux-64` or `noarch`")
    matches(FILE, package.file, f"{where}.file", "the file name of a `.conda` or `.tar.bz2` package")
    one_of(NOARCH, package.noarch, f"{where}.noarch")
    one_of(CONDA_CAPTURED, package.captured, f"{where}.captured")
    if not 0 <= package.build_number <= MAX_SIZE:
        raise LockfileError(f"Unexpected build-number {package.build_number} in {where!r} (expected 0 to {MAX_SIZE})")
    if package.md5 and not _MD5.match(package.md5):
        raise LockfileError(f"Unexpected md5 {package.md5[:80]!r} in {where!r} (expected 32 lower-case hex digits)")
    check_content(package.sha256, package.size, where, needed=True)
    is_made = package.captured == "files"
    check_content(package.made_sha256, package.made_size, f"{where}.made", needed=is_made)
    if not is_made and (package.made_sha256 or package.made_size):
        raise LockfileError(f"Unexpected made-sha256 in {where!r} (expected it only where captured is `files`)")
    sorted_unique(package.requested, lambda row: row, f"{where}.requested")
    check_patches(package.patches, f"{where}.patches")


def check_virtual(lockfile: Lockfile) -> None:
    """Refuse rows that don't follow from the conda packages: whoever reads only these must not be misled.

    Raises:
        LockfileError: Says which field of which row.
    """
    if lockfile.virtual and lockfile.virtual != required_virtual(lockfile.conda):
        raise LockfileError("Unexpected rows in 'virtual' (expected just what the rows of 'conda' ask for)")
    for name, fact in lockfile.session.virtual.items():
        matches(VIRTUAL_NAME, name, "session.virtual", "a name such as `__glibc`")
        matches(FACT, fact, f"session.virtual.{name}", "a version, and a build behind a space")
