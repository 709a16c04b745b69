"""Reading a `pylock.toml` and choosing from it the wheels for one interpreter.

Source: PEP 751 (PyPA "pylock.toml Specification"), "Installing", through `packaging.pylock`, which takes hashes of any
kind and length (notes/capture.md §3): what is chosen is checked here.
"""

import tomllib
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)

from envcap.conda.listed import HINT, INSTALL_HINT, ListedWheel, named, sorted_wheels
from envcap.digest import is_sha256
from envcap.environment import InterpreterFacts
from envcap.errors import LockfileError
from envcap.importing.wheels import python_tags
from envcap.secrets.urls import scrub_text

if TYPE_CHECKING:
    from packaging.markers import Environment

MAX_PACKAGES = 20_000


def read_pylock(text: str, *, name: str) -> Pylock:
    """Read a lock; keys that the specification doesn't know are passed over, as it says.

    Args:
        text: What the file holds.
        name: Its name, for messages.

    Raises:
        LockfileError: It is damaged, of another version, or breaks the specification.
    """
    try:
        pylock = Pylock.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        # The message has the place, and no more of the text than one character.
        raise LockfileError(f"{name} is damaged: {scrub_text(str(error))}") from None
    except PylockUnsupportedVersionError as error:
        raise LockfileError(f"{name}: {scrub_text(str(error))} (expected lock-version 1.0)") from None
    except (PylockValidationError, ValueError, RecursionError) as error:
        raise LockfileError(f"{name} is no `pylock.toml`: {scrub_text(str(error))}", hint=HINT) from None
    if len(pylock.packages) > MAX_PACKAGES:
        raise LockfileError(f"{name} has {len(pylock.packages)} packages (expected {MAX_PACKAGES} at most)")
    return pylock


def select_wheels(pylock: Pylock, facts: InterpreterFacts, *, name: str) -> tuple[ListedWheel, ...]:
    """Choose what an installer would for an interpreter, without extras and with the default groups.

    Args:
        pylock: The lock.
        facts: The interpreter.
        name: The file's name, for messages.

    Returns:
        The wheels, sorted by project.

    Raises:
        LockfileError: The lock is not for the interpreter, or a package is no wheel with a sha256.
    """
    environment = cast("Environment", dict(facts.markers))
    tags = python_tags(facts.version, abi=facts.tags.partition("-")[2])
    try:
        chosen = list(pylock.select(environment=environment, tags=tags))
    except (PylockSelectError, ValueError, RecursionError) as error:
        raise LockfileError(f"{name} is not for Python {facts.version}: {scrub_text(str(error))}") from None
    if sources := [package.name for package, what in chosen if isinstance(what, PackageSdist)]:
        raise LockfileError(
            f"{name} has no wheel for Python {facts.version}, only sources, of {named(sources)} "
            "(expected wheels: building sources runs their code, and gives other bytes each time)",
            hint=f"choose another Python with `--python`, or {INSTALL_HINT}",
        )
    folders = [package.name for package, what in chosen if isinstance(what, PackageVcs | PackageDirectory)]
    if folders:
        raise LockfileError(
            f"{name} builds from folders or repositories: {named(folders)} (expected wheels)", hint=INSTALL_HINT
        )
    if not chosen:
        raise LockfileError(f"{name} has no package for Python {facts.version} without extras (expected some)")
    files = [(package, what) for package, what in chosen if isinstance(what, PackageWheel | PackageArchive)]
    return sorted_wheels(_listed(package, what) for package, what in files)


def _listed(package: Package, what: PackageWheel | PackageArchive) -> ListedWheel:
    """Name the chosen file: what is read is that of an index, of an https address, or one beside the lock."""
    sha256 = what.hashes.get("sha256", "").lower()
    if not is_sha256(sha256):
        kinds = ", ".join(sorted(what.hashes)) or "none"
        raise LockfileError(
            f"{package.name!r} has no sha256 (found: {kinds[:80]})", hint="lock it anew with a tool that writes sha256"
        )
    if isinstance(what, PackageArchive):
        return ListedWheel(name=package.name, url=(what.url or what.path or "").partition("#")[0], sha256=sha256)
    file = what.filename
    return ListedWheel(name=package.name, url=what.url or quote(file), sha256=sha256, file=file, path=what.path or "")
