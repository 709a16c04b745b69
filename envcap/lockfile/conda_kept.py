"""Conda packages that no channel has: which archive a rebuild reads in their place. It lies beside the lock.

Where `captured` is `archive`, this machine had the archive. Where it is `files`, nobody has it, and one was made of the
installed files. Of file, size and hashes the row still says what the record says of the lost one, so that the image is
the same; it proves nothing then.
"""

from envcap.conda.channel import archive_stem
from envcap.lockfile.model import CondaPackage

_FILES = "files"


def archive_content(package: CondaPackage) -> tuple[str, int]:
    """Give the sha256 and size of the archive that a rebuild reads."""
    is_made = package.captured == _FILES
    return (package.made_sha256, package.made_size) if is_made else (package.sha256, package.size)


def archive_name(package: CondaPackage) -> str:
    """Give its file name, which tells its format: what is made is a `.conda`."""
    return f"{archive_stem(package.file)}.conda" if package.captured == _FILES else package.file
