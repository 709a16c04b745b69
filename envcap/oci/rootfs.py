"""An image as a root filesystem: what a chroot, bubblewrap, apptainer or a debugger wants.

Layers are written in order below one folder that must be new. Every parent of a written path is checked to be a real
folder, so no link of an image can lead a write outside.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from envcap.archives.decompress import decompress
from envcap.archives.tar import TarMember, read_tar
from envcap.digest import CHUNK_SIZE
from envcap.entry import EntryKind
from envcap.errors import SinkError
from envcap.oci.image import Image
from envcap.oci.layout import Progress


def check_rootfs_place(folder: Path) -> None:
    """Write into nothing but a new or empty folder, and never through a symlink.

    Raises:
        SinkError: Something else is there.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SinkError(f"{folder} is not an empty folder (expected a new one)", hint="choose another `--rootfs`")
        if folder.is_symlink():
            raise SinkError(f"{folder} is a symlink (expected a new folder)", hint="choose another `--rootfs`")
    except OSError as error:
        raise SinkError(f"{folder} can't be read: {error.strerror or error}") from None


def write_rootfs(image: Image, folder: Path, *, epoch: int, scratch: Path, progress: Progress) -> None:
    """Write an image's files to a new folder.

    Owners are set where the caller is root; times are the image's epoch.

    Args:
        image: What to write.
        folder: Must not exist, or be empty.
        epoch: Modification time of every file, seconds since the epoch.
        scratch: Folder for temporary files.
        progress: Told of each finished layer.

    Raises:
        SinkError: The folder is not empty, or can't be written.
    """
    check_rootfs_place(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write_layers(image, folder, epoch, scratch, progress)
        except BaseException:
            _clear(folder)
            raise
    except OSError as error:
        raise SinkError(
            f"{folder} can't be written: {error.strerror or error}", hint="check the folder's rights and the space left"
        ) from None


def _write_layers(image: Image, folder: Path, epoch: int, scratch: Path, progress: Progress) -> None:
    folders: dict[Path, int] = {}
    for number, layer in enumerate(image.layers):
        with tempfile.TemporaryFile(dir=scratch) as blob, tempfile.TemporaryFile(dir=scratch) as spool:
            image.blobs.copy_to(layer.digest, blob)
            blob.seek(0)
            for member in read_tar(decompress(blob, ".gz", name=layer.what), name=layer.what, spool=spool):
                _write(folder, member, epoch, folders)
        progress(layer.what, number + 1, len(image.layers))
    for path, mode in sorted(folders.items(), reverse=True):
        path.chmod(mode)
        os.utime(path, (epoch, epoch))


def _clear(folder: Path) -> None:
    """Take half of an image away again: it was an empty folder before."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _write(root: Path, member: TarMember, epoch: int, folders: dict[Path, int]) -> None:
    path = root / member.path
    _check_parents(root, path)
    match member.kind:
        case EntryKind.DIRECTORY:
            if not path.is_dir() or path.is_symlink():
                path.mkdir(mode=0o700)
            folders[path] = member.mode
        case EntryKind.SYMLINK:
            path.unlink(missing_ok=True)
            path.symlink_to(member.target)
        case EntryKind.HARDLINK:
            target = root / member.target
            _check_parents(root, target)
            path.unlink(missing_ok=True)
            os.link(target, path, follow_symlinks=False)
            return
        case EntryKind.FILE:
            path.unlink(missing_ok=True)
            with _create(path) as file:
                file.writelines(member.content.chunks())
    if os.geteuid() == 0:
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if member.kind is EntryKind.FILE:
        path.chmod(member.mode)  # after chown, which drops setuid bits
    if member.kind is not EntryKind.DIRECTORY:
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=CHUNK_SIZE)


def _check_parents(root: Path, path: Path) -> None:
    for parent in path.parents:
        if parent == root:
            return
        if parent.is_symlink() or not parent.is_dir():
            raise SinkError(f"{path.relative_to(root)} lies below {parent.relative_to(root)}, which is no folder")
