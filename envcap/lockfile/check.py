"""What a lock must satisfy beyond its types: everything in it is hostile until checked here.

Names and paths become folders and URLs, so each has one strict alphabet; hashes are whole sha256; rows are sorted and
unique, so that one environment has one lock. Source: DESIGN §3 and §8, `notes/security.md` T1 to T3.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from envcap.conda.channel import CHANNEL_NAME, FILE, SUBDIR
from envcap.conda.virtual import FACT, VIRTUAL_NAME
from envcap.cpu import LEVELS
from envcap.digest import is_sha256
from envcap.errors import LockfileError
from envcap.lockfile.check_gpu import check_gpu_machine, check_gpu_stack
from envcap.lockfile.codec import to_table
from envcap.lockfile.model import (
    Artifact,
    CapturedFile,
    CondaPackage,
    Expected,
    Interpreter,
    Lockfile,
    Package,
    Patch,
    Source,
    SourceArchive,
    SystemPackage,
)
from envcap.lockfile.virtual import required_virtual
from envcap.variables import is_reduced

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
_PROJECT = re.compile(r"(?=.{1,128}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{1,127}\Z")  # Debian policy 5.6.1: it may end in `+`, as `g++` does
_PYTHON = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:(?:a|b|rc)[0-9]{1,3})?\+?\Z")
_CONDA_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,127}\Z")
_CONDA_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]{0,127}\Z")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!~:_-]{0,199}\Z")
_PLATFORM = re.compile(r"linux/(amd64|arm64)\Z")
_FILE = re.compile(r"[^\\]{1,1024}\Z")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MAX_PATH = 4096
_MAX_SIZE = 1 << 40
_MAX_EPOCH = 0o77777777777  # POSIX ustar: the time of a header is 11 octal digits
ORIGINS = frozenset({"index", "url", "vcs", "editable", "local"})
PROOFS = frozenset({"record", "content", "url", "cache", "tags", "captured"})
KINDS = frozenset({"venv", "system", "conda"})
SOURCES = frozenset({"simple-index", "conda-channel", "debian", "local", "python-build-standalone"})
INTERPRETERS = frozenset({"debian", "standalone", "captured", "conda"})
NOARCH = frozenset({"", "python", "generic"})
CONDA_CAPTURED = frozenset({"", "archive", "files"})
CHANGES = frozenset({"edited", "added", "deleted"})


def check_lockfile(lockfile: Lockfile) -> None:
    """Refuse a lock whose values are not what envcap writes.

    Raises:
        LockfileError: Says which field of which row, what was expected and what was found.
    """
    _texts(to_table(lockfile), "")
    _matches(_NAME, lockfile.name, "name", "letters, digits, `.`, `_` and `-`")
    if lockfile.recipe < 1:
        raise LockfileError(f"Unexpected recipe {lockfile.recipe} (expected 1 or more)")
    _one_of(KINDS, lockfile.environment.kind, "environment.kind")
    _facts(lockfile)
    _virtual(lockfile)
    _interpreter(lockfile.interpreter) if lockfile.has_python else _without_python(lockfile)
    for index, source in enumerate(lockfile.sources):
        _source(source, f"sources[{index}]")
    for index, package in enumerate(lockfile.packages):
        _package(package, f"packages[{index}]")
    for index, conda in enumerate(lockfile.conda):
        _conda_package(conda, f"conda[{index}]")
    for index, deb in enumerate(lockfile.system):
        _system_package(deb, f"system[{index}]")
    for index, file in enumerate(lockfile.captured):
        _captured(file, f"captured[{index}]")
    for index, expected in enumerate(lockfile.expected):
        _expected(expected, f"expected[{index}]")
    _sorted_unique(lockfile.packages, lambda row: (row.name, row.version), "packages")
    _sorted_unique(lockfile.conda, lambda row: row.name, "conda")
    _sorted_unique(lockfile.system, lambda row: (row.platform, row.name, row.architecture), "system")
    _sorted_unique(lockfile.captured, lambda row: row.path, "captured")
    _sorted_unique(lockfile.sources, lambda row: row.name, "sources")
    _sorted_unique(lockfile.expected, lambda row: row.platform, "expected")
    check_gpu_stack(lockfile.gpu)
    check_gpu_machine(lockfile.session.gpu)
    _image(lockfile)


def _facts(lockfile: Lockfile) -> None:
    for blas in lockfile.environment.blas:
        _matches(_PROJECT, blas.library, "environment.blas.library", "a name such as `openblas`")
        _matches(_PROJECT, blas.provider, "environment.blas.provider", "a package's normalised name or `system`")
    _sorted_unique(lockfile.environment.blas, lambda row: (row.provider, row.file), "environment.blas")
    if lockfile.environment.cpu:
        _one_of(frozenset(LEVELS), lockfile.environment.cpu, "environment.cpu")
    for name, value in lockfile.session.variables.items():
        if not is_reduced(name, value):
            raise LockfileError(
                f"Unexpected variable {name[:100]!r} in 'session.variables' (expected one that changes results, "
                "with a value that names no place)"
            )


def _virtual(lockfile: Lockfile) -> None:
    """Refuse rows that don't follow from the conda packages: whoever reads only these must not be misled."""
    if lockfile.virtual and lockfile.virtual != required_virtual(lockfile.conda):
        raise LockfileError("Unexpected rows in 'virtual' (expected just what the rows of 'conda' ask for)")
    for name, fact in lockfile.session.virtual.items():
        _matches(VIRTUAL_NAME, name, "session.virtual", "a name such as `__glibc`")
        _matches(FACT, fact, f"session.virtual.{name}", "a version, and a build behind a space")


def _interpreter(interpreter: Interpreter) -> None:
    _matches(_PROJECT, interpreter.implementation, "interpreter.implementation", "a name such as `cpython`")
    _matches(_PYTHON, interpreter.version, "interpreter.version", "a version such as `3.11.7`")
    _one_of(INTERPRETERS, interpreter.origin, "interpreter.origin")
    _relative_path(interpreter.home, "interpreter.home")
    for artifact in interpreter.artifacts:
        # Standalone builds are named by release and file.
        _artifact(artifact, "interpreter.artifacts", folders=1)
    _sorted_unique(interpreter.artifacts, lambda row: row.platform, "interpreter.artifacts")


def _without_python(lockfile: Lockfile) -> None:
    """Refuse a lock without an interpreter that holds what only Python can run, or nothing."""
    if lockfile.environment.kind != "conda":
        raise LockfileError("Missing key 'interpreter' in the lockfile")
    if not lockfile.conda:
        raise LockfileError("Missing key 'interpreter' in the lockfile, which holds no conda packages either")
    wanting = [row.name for row in lockfile.packages]
    wanting += [row.name for row in lockfile.conda if row.noarch == "python" or row.name == "python"]
    if wanting:
        raise LockfileError(f"Missing key 'interpreter' in the lockfile, whose package {wanting[0]!r} is for Python")


def _source(source: Source, where: str) -> None:
    _matches(_NAME, source.name, f"{where}.name", "letters, digits, `.`, `_` and `-`")
    _one_of(SOURCES, source.kind, f"{where}.kind")
    if not 0 <= source.release <= _MAX_EPOCH:
        raise LockfileError(f"Unexpected release {source.release} in {where!r} (expected 0 to {_MAX_EPOCH})")


def _package(package: Package, where: str) -> None:
    _matches(_PROJECT, package.name, f"{where}.name", "a normalised project name (PEP 503)")
    _matches(_VERSION, package.version, f"{where}.version", "a version without spaces")
    _one_of(ORIGINS, package.origin, f"{where}.origin")
    _one_of(PROOFS, package.proof, f"{where}.proof")
    if not package.artifacts:
        raise LockfileError(f"Missing artifact in {where!r}: {package.name} {package.version} pins nothing")
    if not 0 <= package.uncommitted <= _MAX_SIZE:
        raise LockfileError(f"Unexpected uncommitted {package.uncommitted} in {where!r} (expected a number of files)")
    if package.sdist != SourceArchive():
        _file_name(package.sdist.file, f"{where}.sdist", folders=0)
        _content(package.sdist.sha256, 0, f"{where}.sdist", needed=True)
    for artifact in package.artifacts:
        _artifact(artifact, f"{where}.artifacts")
    _sorted_unique(package.artifacts, lambda row: row.platform, f"{where}.artifacts")
    _patches(package.patches, f"{where}.patches")


def _patches(patches: Sequence[Patch], where: str) -> None:
    for patch in patches:
        _one_of(CHANGES, patch.change, where)
        _relative_path(patch.path, where)
        kept = patch.change != "deleted" and not patch.target
        _content(patch.sha256 if kept else "", patch.size, where, needed=kept)
    _sorted_unique(patches, lambda row: row.path, where)


def _conda_package(package: CondaPackage, where: str) -> None:
    """Names become folders and URLs: `conda-meta/NAME-VERSION-BUILD.json`, `CHANNEL/SUBDIR/FILE` (CEP 26)."""
    _matches(_CONDA_NAME, package.name, f"{where}.name", "a conda package name")
    _matches(_CONDA_VERSION, package.version, f"{where}.version", "a conda version")
    _matches(_CONDA_VERSION, package.build, f"{where}.build", "a conda build string")
    _matches(CHANNEL_NAME, package.channel, f"{where}.channel", "a channel's name such as `conda-forge`")
    _matches(SUBDIR, package.subdir, f"{where}.subdir", "a folder such as `linux-64` or `noarch`")
    _matches(FILE, package.file, f"{where}.file", "the file name of a `.conda` or `.tar.bz2` package")
    _one_of(NOARCH, package.noarch, f"{where}.noarch")
    _one_of(CONDA_CAPTURED, package.captured, f"{where}.captured")
    if not 0 <= package.build_number <= _MAX_SIZE:
        raise LockfileError(f"Unexpected build-number {package.build_number} in {where!r} (expected 0 to {_MAX_SIZE})")
    if package.md5 and not _MD5.match(package.md5):
        raise LockfileError(f"Unexpected md5 {package.md5[:80]!r} in {where!r} (expected 32 lower-case hex digits)")
    _content(package.sha256, package.size, where, needed=True)
    is_made = package.captured == "files"
    _content(package.made_sha256, package.made_size, f"{where}.made", needed=is_made)
    if not is_made and (package.made_sha256 or package.made_size):
        raise LockfileError(f"Unexpected made-sha256 in {where!r} (expected it only where captured is `files`)")
    _sorted_unique(package.requested, lambda row: row, f"{where}.requested")
    _patches(package.patches, f"{where}.patches")


def _artifact(artifact: Artifact, where: str, *, folders: int = 0) -> None:
    _matches(_PLATFORM, artifact.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
    _matches(_NAME, artifact.source, f"{where}.source", "the name of a source")
    _file_name(artifact.file, where, folders=folders)
    _content(artifact.sha256, artifact.size, where, needed=True)


def _file_name(file: str, where: str, *, folders: int) -> None:
    _matches(_FILE, file, f"{where}.file", "a file name")
    _relative_path(file, f"{where}.file")
    if file.count("/") > folders:
        raise LockfileError(f"Unexpected file {file!r} in {where!r} (expected a name without folders)")


def _system_package(deb: SystemPackage, where: str) -> None:
    _matches(_DEBIAN_NAME, deb.name, f"{where}.name", "a Debian package name")
    _matches(_VERSION, deb.version, f"{where}.version", "a Debian version")
    _matches(_PLATFORM, deb.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
    _relative_path(deb.file, f"{where}.file")
    _content(deb.sha256, deb.size, where, needed=True)


def _captured(file: CapturedFile, where: str) -> None:
    _relative_path(file.path, f"{where}.path")
    _content(file.sha256, file.size, where, needed=not file.target)


def _expected(expected: Expected, where: str) -> None:
    _matches(_PLATFORM, expected.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
    digests = [expected.image_id, *expected.diff_ids, *([expected.manifest] if expected.manifest else [])]
    for digest in digests:
        if not digest.startswith("sha256:") or not is_sha256(digest.removeprefix("sha256:")):
            raise LockfileError(
                f"Unexpected digest {digest[:80]!r} in {where!r} (expected `sha256:` and 64 hex digits)"
            )


def _image(lockfile: Lockfile) -> None:
    image = lockfile.image
    if not 0 <= image.epoch <= _MAX_EPOCH:
        raise LockfileError(f"Unexpected epoch {image.epoch} in 'image' (expected 0 to {_MAX_EPOCH})")
    for name in image.env:
        _matches(_VARIABLE, name, "image.env", "a variable's name")


def _content(sha256: str, size: int, where: str, *, needed: bool) -> None:
    if needed and not is_sha256(sha256):
        raise LockfileError(
            f"Unexpected sha256 {sha256[:80]!r} in {where!r} (expected 64 lower-case hex digits)",
            hint="a weaker or missing hash pins nothing: make the lock again with `envcap snapshot`",
        )
    if not 0 <= size <= _MAX_SIZE:
        raise LockfileError(f"Unexpected size {size} in {where!r} (expected 0 to {_MAX_SIZE})")


def _relative_path(path: str, where: str) -> None:
    parts = path.split("/")
    if not path or len(path) > _MAX_PATH or "\\" in path or not {"", ".", ".."}.isdisjoint(parts):
        raise LockfileError(
            f"Unexpected path {path[:200]!r} in {where!r} (expected a relative path without `.` or `..`)"
        )
    if any(part.startswith(".wh.") for part in parts):
        raise LockfileError(f"Unexpected path {path[:200]!r} in {where!r} (OCI layers read `.wh.` as a deletion)")


def _texts(value: object, where: str) -> None:
    """Refuse strings, anywhere, that are no single line of Unicode: they end up in messages, paths and headers."""
    if isinstance(value, dict):
        for key, item in value.items():
            _one_line(key, where)
            _texts(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _texts(item, f"{where}[{index}]")
    elif isinstance(value, str):
        _one_line(value, where)


def _one_line(text: str, where: str) -> None:
    if len(text) > _MAX_PATH or _NOT_TEXT.search(text):
        raise LockfileError(
            f"Unexpected text {text[:80]!r} in {where!r} (expected one line without control characters)"
        )


def _matches(pattern: re.Pattern[str], text: str, where: str, expected: str) -> None:
    if not pattern.match(text):
        raise LockfileError(f"Unexpected {text[:100]!r} in {where!r} (expected {expected})")


def _one_of(allowed: frozenset[str], text: str, where: str) -> None:
    if text not in allowed:
        raise LockfileError(f"Unexpected {text[:100]!r} in {where!r} (expected one of: {', '.join(sorted(allowed))})")


def _sorted_unique(rows: Sequence[T], key: Callable[[T], object], where: str) -> None:
    keys = [key(row) for row in rows]
    for before, after in itertools.pairwise(keys):
        if not before < after:  # type: ignore[operator]  # keys are strings or tuples of strings
            raise LockfileError(
                f"Unexpected order in {where!r}: {after!r} after {before!r} (expected sorted, unique rows)"
            )
