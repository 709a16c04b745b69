"""What a lock must satisfy beyond its types: everything in it is hostile until checked here.

Names and paths become folders and URLs, so each has one strict alphabet; hashes are whole sha256; rows are sorted and
unique, so that one environment has one lock. Source: DESIGN §3 and §8, `notes/security.md` T1 to T3.
"""

import re

from envcap.cpu import LEVELS
from envcap.digest import is_sha256
from envcap.errors import LockfileError
from envcap.lockfile.check_conda import check_conda_package, check_virtual
from envcap.lockfile.check_content import (
    MAX_SIZE,
    NAME,
    PLATFORM,
    check_artifact,
    check_content,
    check_file_name,
    check_patches,
)
from envcap.lockfile.check_gpu import check_gpu_machine, check_gpu_stack
from envcap.lockfile.codec import to_table
from envcap.lockfile.model import (
    CapturedFile,
    Expected,
    Interpreter,
    Lockfile,
    Package,
    Source,
    SourceArchive,
    SystemPackage,
)
from envcap.lockfile.rules import matches, one_of, relative_path, sorted_unique
from envcap.variables import is_reduced

_PROJECT = re.compile(r"(?=.{1,128}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{1,127}\Z")  # Debian policy 5.6.1: it may end in `+`, as `g++` does
_PYTHON = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:(?:a|b|rc)[0-9]{1,3})?\+?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!~:_-]{0,199}\Z")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MAX_PATH = 4096
_MAX_EPOCH = 0o77777777777  # POSIX ustar: the time of a header is 11 octal digits
ORIGINS = frozenset({"index", "url", "vcs", "editable", "local"})
PROOFS = frozenset({"record", "content", "url", "cache", "tags", "captured"})
KINDS = frozenset({"venv", "system", "conda"})
SOURCES = frozenset({"simple-index", "conda-channel", "debian", "local", "python-build-standalone"})
INTERPRETERS = frozenset({"debian", "standalone", "captured", "conda"})


def is_lock_name(name: str) -> bool:
    """Tell whether a text can be the name of a lock, and so of its folder."""
    return NAME.match(name) is not None


def check_lockfile(lockfile: Lockfile) -> None:
    """Refuse a lock whose values are not what envcap writes.

    Raises:
        LockfileError: Says which field of which row, what was expected and what was found.
    """
    _texts(to_table(lockfile), "")
    matches(NAME, lockfile.name, "name", "letters, digits, `.`, `_` and `-`")
    if lockfile.recipe < 1:
        raise LockfileError(f"Unexpected recipe {lockfile.recipe} (expected 1 or more)")
    one_of(KINDS, lockfile.environment.kind, "environment.kind")
    _facts(lockfile)
    check_virtual(lockfile)
    _interpreter(lockfile.interpreter) if lockfile.has_python else _without_python(lockfile)
    for index, source in enumerate(lockfile.sources):
        _source(source, f"sources[{index}]")
    for index, package in enumerate(lockfile.packages):
        _package(package, f"packages[{index}]")
    for index, conda in enumerate(lockfile.conda):
        check_conda_package(conda, f"conda[{index}]")
    for index, deb in enumerate(lockfile.system):
        _system_package(deb, f"system[{index}]")
    for index, file in enumerate(lockfile.captured):
        _captured(file, f"captured[{index}]")
    for index, expected in enumerate(lockfile.expected):
        _expected(expected, f"expected[{index}]")
    sorted_unique(lockfile.packages, lambda row: (row.name, row.version), "packages")
    sorted_unique(lockfile.conda, lambda row: row.name, "conda")
    sorted_unique(lockfile.system, lambda row: (row.platform, row.name, row.architecture), "system")
    sorted_unique(lockfile.captured, lambda row: row.path, "captured")
    sorted_unique(lockfile.sources, lambda row: row.name, "sources")
    sorted_unique(lockfile.expected, lambda row: row.platform, "expected")
    check_gpu_stack(lockfile.gpu)
    check_gpu_machine(lockfile.session.gpu)
    _image(lockfile)


def _facts(lockfile: Lockfile) -> None:
    for blas in lockfile.environment.blas:
        matches(_PROJECT, blas.library, "environment.blas.library", "a name such as `openblas`")
        matches(_PROJECT, blas.provider, "environment.blas.provider", "a package's normalised name or `system`")
    sorted_unique(lockfile.environment.blas, lambda row: (row.provider, row.file), "environment.blas")
    if lockfile.environment.cpu:
        one_of(frozenset(LEVELS), lockfile.environment.cpu, "environment.cpu")
    for name, value in lockfile.session.variables.items():
        if not is_reduced(name, value):
            raise LockfileError(
                f"Unexpected variable {name[:100]!r} in 'session.variables' (expected one that changes results, "
                "with a value that names no place)"
            )


def _interpreter(interpreter: Interpreter) -> None:
    matches(_PROJECT, interpreter.implementation, "interpreter.implementation", "a name such as `cpython`")
    matches(_PYTHON, interpreter.version, "interpreter.version", "a version such as `3.11.7`")
    one_of(INTERPRETERS, interpreter.origin, "interpreter.origin")
    relative_path(interpreter.home, "interpreter.home")
    for artifact in interpreter.artifacts:
        # Standalone builds are named by release and file.
        check_artifact(artifact, "interpreter.artifacts", folders=1)
    sorted_unique(interpreter.artifacts, lambda row: row.platform, "interpreter.artifacts")


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
    matches(NAME, source.name, f"{where}.name", "letters, digits, `.`, `_` and `-`")
    one_of(SOURCES, source.kind, f"{where}.kind")
    if not 0 <= source.release <= _MAX_EPOCH:
        raise LockfileError(f"Unexpected release {source.release} in {where!r} (expected 0 to {_MAX_EPOCH})")


def _package(package: Package, where: str) -> None:
    matches(_PROJECT, package.name, f"{where}.name", "a normalised project name (PEP 503)")
    matches(_VERSION, package.version, f"{where}.version", "a version without spaces")
    one_of(ORIGINS, package.origin, f"{where}.origin")
    one_of(PROOFS, package.proof, f"{where}.proof")
    if not package.artifacts:
        raise LockfileError(f"Missing artifact in {where!r}: {package.name} {package.version} pins nothing")
    if not 0 <= package.uncommitted <= MAX_SIZE:
        raise LockfileError(f"Unexpected uncommitted {package.uncommitted} in {where!r} (expected a number of files)")
    if package.sdist != SourceArchive():
        check_file_name(package.sdist.file, f"{where}.sdist", folders=0)
        check_content(package.sdist.sha256, 0, f"{where}.sdist", needed=True)
    for artifact in package.artifacts:
        check_artifact(artifact, f"{where}.artifacts")
    sorted_unique(package.artifacts, lambda row: row.platform, f"{where}.artifacts")
    check_patches(package.patches, f"{where}.patches")


def _system_package(deb: SystemPackage, where: str) -> None:
    matches(_DEBIAN_NAME, deb.name, f"{where}.name", "a Debian package name")
    matches(_VERSION, deb.version, f"{where}.version", "a Debian version")
    matches(PLATFORM, deb.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
    relative_path(deb.file, f"{where}.file")
    check_content(deb.sha256, deb.size, where, needed=True)


def _captured(file: CapturedFile, where: str) -> None:
    relative_path(file.path, f"{where}.path")
    check_content(file.sha256, file.size, where, needed=not file.target)


def _expected(expected: Expected, where: str) -> None:
    matches(PLATFORM, expected.platform, f"{where}.platform", "`linux/amd64` or `linux/arm64`")
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
        matches(_VARIABLE, name, "image.env", "a variable's name")


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
