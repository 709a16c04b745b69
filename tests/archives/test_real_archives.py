"""Real wheels and Debian packages from the machine's own configured sources are accepted and read alike."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from envcap.archives.access import FileReader
from envcap.archives.ar import open_section, read_deb
from envcap.archives.tar import read_tar
from envcap.archives.zip import open_zip
from envcap.entry import EntryKind

pytestmark = pytest.mark.network


@pytest.mark.parametrize("project", ["six", "pyyaml", "protobuf", "ninja"])
def test_wheel_reads_as_zipfile_reads_it(project: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", tmp_path, project], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with FileReader(wheel) as reader, zipfile.ZipFile(wheel) as theirs:
        archive = open_zip(reader, name=wheel.name)
        found = {m.name: b"".join(archive.content(m).chunks()) for m in archive.members if not m.is_directory}
        assert found == {info.filename: theirs.read(info) for info in theirs.infolist() if not info.is_dir()}
    assert found


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt on this machine")
@pytest.mark.parametrize("package", ["tzdata", "base-files"])
def test_debian_package_reads_as_dpkg_and_tarfile_read_it(package: str, tmp_path: Path) -> None:
    subprocess.run(["apt-get", "download", "--quiet", package], cwd=tmp_path, check=True, capture_output=True)
    (deb,) = tmp_path.glob("*.deb")
    with FileReader(deb) as reader, tempfile.TemporaryFile() as spool, (tmp_path / "data.tar").open("wb+") as plain:
        section = read_deb(reader, name=deb.name).data
        with open_section(reader, section, name=deb.name) as stream:
            members = read_tar(stream, name=deb.name, spool=spool, compressed_size=section.size)
        found = {m.path: b"".join(m.content.chunks()) for m in members if m.kind is EntryKind.FILE}
        subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=plain, check=True)
        plain.seek(0)
        with tarfile.open(fileobj=plain) as theirs:
            files = {info.name.removeprefix("./"): theirs.extractfile(info) for info in theirs if info.isreg()}
            assert found == {name: file.read() for name, file in files.items() if file is not None}
    assert found
