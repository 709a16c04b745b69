"""The folder of a lock: `envcap.lock` and the bytes kept beside it, `blobs/sha256/…`.

A lock folder is written whole or not at all; a blob is believed only if its bytes hash to its name.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from envcap.archives.access import RegionStream
from envcap.archives.held import Held
from envcap.digest import Digest, is_sha256
from envcap.errors import LockfileError
from envcap.lockfile.conda_kept import archive_content
from envcap.lockfile.document import MAX_TEXT, read_lockfile, write_lockfile
from envcap.lockfile.model import CAPTURED, Lockfile
from envcap.staging import new_file, synced_file

LOCK_NAME = "envcap.lock"
_BLOBS = PurePath("blobs", "sha256")

BlobBytes = Callable[[BinaryIO], object]
"""Writes the bytes of one blob to an open file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFolder:
    """A lock where it lies.

    Attributes:
        path: The lockfile, or the bundle that holds it.
        lockfile: What it says.
        bundle: What lies in the bundle with it, if it came in one.
    """

    path: Path
    lockfile: Lockfile
    bundle: Held | None = None

    @property
    def blobs(self) -> Path:
        """The folder of kept bytes; it need not exist, and beside a bundle there is none."""
        return (self.path if self.bundle else self.path.parent) / _BLOBS

    @property
    def held(self) -> tuple[Held, ...]:
        """What is at hand beside that folder."""
        return (self.bundle,) if self.bundle else ()

    def open_blob(self, sha256: str) -> BinaryIO:
        """Open kept bytes, unchecked.

        Raises:
            LockfileError: They are not there.
        """
        reader = self.bundle.reader(sha256) if self.bundle else None
        if reader is not None:
            return RegionStream(reader, 0, reader.size)  # type: ignore[return-value]  # reads only
        try:
            return (self.blobs / sha256).open("rb")
        except OSError as error:
            raise LockfileError(
                f"The blob {sha256[:12]} beside the lock can't be read: {error.strerror}",
                hint="copy the lock's whole folder, with its `blobs`",
            ) from None


_GIVE = "give a lockfile, or the folder that `envcap snapshot` wrote"
_NOT_OURS = f"{_GIVE}; `envcap import` makes one of another tool's lock"


def open_lock(path: Path) -> LockFolder:
    """Read a lock, given as the file or its folder.

    Raises:
        LockfileError: There is none, or it can't be read.
    """
    file = path
    try:
        file = path / LOCK_NAME if path.is_dir() else path
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):  # a FIFO would never end
            raise LockfileError(f"{file} is not a lockfile (expected a regular file)")
        if state.st_size > MAX_TEXT:
            raise LockfileError(f"{file} is too long for a lockfile (at most {MAX_TEXT} bytes)")
        text = file.read_bytes().decode()
    except OSError as error:
        raise LockfileError(
            f"{file} can't be read: {error.strerror}",
            hint=_GIVE,
        ) from None
    except UnicodeDecodeError:
        raise LockfileError(f"{file} is not a lockfile (expected UTF-8 text)", hint=_NOT_OURS) from None
    try:
        return LockFolder(path=file, lockfile=read_lockfile(text))
    except LockfileError as error:
        raise LockfileError(f"{file}: {error.message}", hint=error.hint or _NOT_OURS) from None


def kept_hashes(lockfile: Lockfile) -> dict[str, int]:
    """Name the bytes that lie beside a lock: size by sha256."""
    artifacts = [
        *lockfile.interpreter.artifacts,
        *(artifact for package in lockfile.packages for artifact in package.artifacts),
    ]
    patched = [package.patches for package in lockfile.packages] + [package.patches for package in lockfile.conda]
    patches = [patch for patches in patched for patch in patches if patch.sha256]
    return (
        {artifact.sha256: artifact.size for artifact in artifacts if artifact.source == CAPTURED}
        | dict(archive_content(package) for package in lockfile.conda if package.captured)
        | {patch.sha256: patch.size for patch in patches}
        | {file.sha256: file.size for file in lockfile.captured if file.sha256}
    )


def pinned_hashes(lockfile: Lockfile) -> set[str]:
    """Name every file that a lock pins by its sha256: `doctor --fix` keeps some of them beside it."""
    artifacts = [
        *lockfile.interpreter.artifacts,
        *(artifact for package in lockfile.packages for artifact in package.artifacts),
    ]
    packages = {archive_content(row)[0] for row in lockfile.conda} | {row.sha256 for row in lockfile.system}
    return packages | {artifact.sha256 for artifact in artifacts} | kept_hashes(lockfile).keys()


def keep_blob(folder: LockFolder, sha256: str, write: BlobBytes) -> None:
    """Lay the bytes of a pinned file beside a lock, where a rebuild finds them before it asks anybody.

    Args:
        folder: The lock.
        sha256: What they must hash to.
        write: Writes them.

    Raises:
        LockfileError: The place is a symlink, or can't be written.
    """
    target = folder.blobs / sha256
    for path in (folder.blobs.parent, folder.blobs, target):
        if path.is_symlink():
            raise LockfileError(f"{path} is a symlink (expected none in a lock's folder)", hint="nothing was changed")
    try:
        _make_folders(folder.blobs)
        with new_file(target) as file:
            _fill(file, sha256, write)
    except OSError as error:
        raise LockfileError(f"{target} can't be written: {error.strerror or error}") from None


def write_lock_folder(folder: Path, lockfile: Lockfile, blobs: Iterable[tuple[str, BlobBytes]]) -> None:
    """Write a lock's folder: a new one appears whole, an earlier one of the name is brought up to date.

    At every moment the lock that lies there has all its blobs beside it. Other files in the folder stay.

    Args:
        folder: `lockfiles/NAME`.
        lockfile: What to write.
        blobs: The sha256 of each kept blob, and what writes its bytes.

    Raises:
        LockfileError: The place holds something else, or can't be written.
    """
    check_lock_place(folder)
    text = write_lockfile(lockfile).encode()
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for sha256, write in blobs:
            _write_blob(staging / _BLOBS / sha256, sha256, write)
        with synced_file(staging / LOCK_NAME) as file:
            file.write(text)
        staging.chmod(0o755)
        if folder.exists():
            _update(folder, staging, pinned_hashes(lockfile))
        else:
            staging.rename(folder)
    except OSError as error:
        raise LockfileError(
            f"{folder} can't be written: {error.strerror or error}", hint="check the folder's rights and the space left"
        ) from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def check_lock_place(folder: Path) -> None:
    """Write into nothing but a new folder or a lock's own, and never through a symlink.

    Raises:
        LockfileError: The place holds something else, or can't be written.
    """
    try:
        _refuse_foreign(folder)
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
    except OSError as error:
        raise LockfileError(f"{folder} can't be written: {error.strerror or error}") from None
    if not parent.is_dir():
        raise LockfileError(f"{folder} can't be written: {parent} is not a folder", hint="choose another `--output`")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise LockfileError(f"{folder} can't be written: {parent} is not yours", hint="choose another `--output`")


def _refuse_foreign(folder: Path) -> None:
    for path in (folder, *(folder / name for name in (LOCK_NAME, _BLOBS.parent, _BLOBS))):
        if path.is_symlink():
            raise LockfileError(
                f"{path} is a symlink (expected none in a lock's folder)",
                hint="choose another `--name` or `--output`, nothing was changed",
            )
    if folder.exists() and not (folder / LOCK_NAME).is_file():
        raise LockfileError(
            f"{folder} exists and holds no {LOCK_NAME}",
            hint="choose another `--name` or `--output`, nothing was changed",
        )


def rewrite_lock(folder: LockFolder, lockfile: Lockfile) -> None:
    """Replace the lockfile in its folder; the blobs stay.

    Raises:
        LockfileError: It can't be written, or lies in a bundle.
    """
    if folder.bundle is not None:
        raise LockfileError(f"{folder.path} is a bundle, which is never changed", hint="make a new one from the lock")
    text = write_lockfile(lockfile).encode()
    try:
        with new_file(folder.path) as file:
            file.write(text)
    except OSError as error:
        raise LockfileError(f"{folder.path} can't be written: {error.strerror or error}") from None


def _update(folder: Path, staging: Path, pinned: set[str]) -> None:
    """Add the new blobs, replace the lock in one step, then drop the blobs that only the old one knew.

    What `doctor --fix` kept stays as long as the lock pins it.
    """
    known, new = folder / _BLOBS, staging / _BLOBS
    names = {path.name for path in new.iterdir()} if new.is_dir() else set()
    if names:
        _make_folders(known)
    for name in names:
        (new / name).replace(known / name)
    (staging / LOCK_NAME).replace(folder / LOCK_NAME)
    for path in known.iterdir() if known.is_dir() else ():
        if is_sha256(path.name) and path.name not in names | pinned:
            path.unlink()
    for path in (known, known.parent):
        with contextlib.suppress(OSError):  # not empty, or not there
            path.rmdir()


def _make_folders(blobs: Path) -> None:
    for path in (blobs.parent, blobs):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)  # whatever the umask: the lock and the blobs are for everybody too


def _write_blob(path: Path, sha256: str, write: BlobBytes) -> None:
    if path.exists():
        return
    _make_folders(path.parent)
    with synced_file(path) as file:
        _fill(file, sha256, write)


def _fill(file: BinaryIO, sha256: str, write: BlobBytes) -> None:
    write(file)
    file.seek(0)
    found = Digest.of_file(file)
    if found.hex != sha256:
        raise LockfileError(
            f"A captured file changed while it was read (expected sha256 {sha256}, found {found.hex})",
            hint="take the snapshot again when nothing writes to the environment",
        )
