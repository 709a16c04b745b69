"""Source archives made by hand."""

import io
import tarfile
import zipfile
from collections.abc import Mapping


def make_sdist(top: str, files: Mapping[str, bytes], *, mode: str = "w:gz") -> bytes:
    """Make a tar of files below one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload] # modes are literals
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def make_zip_sdist(top: str, files: Mapping[str, bytes]) -> bytes:
    """Make a zip of files below one folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{top}/{name}", data)
    return buffer.getvalue()
