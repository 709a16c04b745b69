"""Layout folders and tars: golden bytes, whole or not at all, and nothing else touched."""

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from envcap.digest import Digest
from envcap.errors import SinkError, StoreError
from envcap.oci.image import Image
from envcap.oci.layout import (
    LAYOUT,
    check_layout_place,
    check_tar_place,
    docker_manifest_json,
    index_json,
    write_tar,
)
from envcap.oci.layout_folder import write_layout
from tests.oci.images import SMALL, MemoryBlobs, make_image, read_image, silent, tar

NAMES = ["blobs", "index.json", "oci-layout"]


def test_oci_layout_is_golden() -> None:
    assert LAYOUT == b'{"imageLayoutVersion":"1.0.0"}'


def test_index_json_is_golden() -> None:
    assert index_json(SMALL, tag="example.org/a/b:c").decode() == (
        '{"manifests":[{"annotations":{"io.containerd.image.name":"example.org/a/b:c",'
        '"org.opencontainers.image.ref.name":"c"},"digest":"' + str(SMALL.descriptor.digest) + '",'
        '"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        '"platform":{"architecture":"amd64","os":"linux"},"size":' + str(len(SMALL.manifest)) + "}],"
        '"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
    )


def test_an_image_without_a_tag_has_no_annotations_and_no_repository() -> None:
    assert "annotations" not in json.loads(index_json(SMALL, tag=""))["manifests"][0]
    assert json.loads(docker_manifest_json(SMALL, tag=""))[0]["RepoTags"] is None


def test_manifest_json_names_the_same_blobs() -> None:
    assert json.loads(docker_manifest_json(SMALL, tag="a:b")) == [
        {
            "Config": f"blobs/sha256/{SMALL.image_id.hex}",
            "Layers": [f"blobs/sha256/{layer.digest.hex}" for layer in SMALL.layers],
            "RepoTags": ["a:b"],
        }
    ]


def test_a_folder_holds_every_blob_under_its_hash(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "layout"
    write_layout(SMALL, folder, tag="a:b", progress=silent)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    for path in (folder / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert len(list((folder / "blobs" / "sha256").iterdir())) == 4
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}
    assert read_image(folder).image_id == SMALL.image_id
    assert read_image(folder).manifest == SMALL.descriptor.digest


def test_a_tar_is_read_by_tarfile_and_holds_what_the_folder_holds(tmp_path: Path) -> None:
    write_tar(SMALL, tmp_path / "image.tar", tag="a:b", progress=silent)
    write_layout(SMALL, tmp_path / "layout", tag="a:b", progress=silent)
    with tarfile.open(tmp_path / "image.tar", "r:") as archive:
        members = archive.getmembers()
        found = {member.name: archive.extractfile(member) for member in members}
        files = {name: file.read() for name, file in found.items() if file}
    assert [member.name for member in members][:3] == ["oci-layout", "index.json", "manifest.json"]
    assert {(member.uid, member.gid, member.uname, member.mtime, member.mode) for member in members} == {
        (0, 0, "", 0, 0o644)
    }
    del files["manifest.json"]
    folder = tmp_path / "layout"
    assert files == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert (tmp_path / "image.tar").stat().st_size % 10240 == 0


def test_the_tar_is_golden(tmp_path: Path) -> None:
    write_tar(make_image(tar()), tmp_path / "image.tar", tag="a:b", progress=silent)
    sha256 = hashlib.sha256((tmp_path / "image.tar").read_bytes()).hexdigest()
    assert sha256 == "971949df3b56455b15106915459c77d6d8a32ddb0f1cdb3ac373e54125202c99"


def test_the_same_image_gives_the_same_bytes_whatever_the_umask(tmp_path: Path) -> None:
    written = []
    for number, umask in enumerate((0o000, 0o077)):
        old = os.umask(umask)
        try:
            write_tar(SMALL, tmp_path / f"{number}.tar", tag="a:b", progress=silent)
            write_layout(SMALL, tmp_path / f"{number}", tag="a:b", progress=silent)
        finally:
            os.umask(old)
        folder = tmp_path / f"{number}"
        modes = {path.relative_to(folder): path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
        files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        written.append(((tmp_path / f"{number}.tar").read_bytes(), modes, files, folder.stat().st_mode))
    assert written[0] == written[1]


def test_a_layer_that_is_there_twice_is_written_once(tmp_path: Path) -> None:
    image = make_image(tar(), tar())
    write_tar(image, tmp_path / "image.tar", tag="", progress=silent)
    write_layout(image, tmp_path / "layout", tag="", progress=silent)
    with tarfile.open(tmp_path / "image.tar") as archive:
        assert len(archive.getnames()) == len(set(archive.getnames())) == 6
    assert len(read_image(tmp_path / "layout").layers) == 2


def test_an_older_layout_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    write_layout(make_image(tar()), folder, progress=silent)
    write_layout(SMALL, folder, progress=silent)
    assert read_image(folder).image_id == SMALL.image_id
    assert len(list((folder / "blobs" / "sha256").iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "layout").mkdir()
    write_layout(SMALL, tmp_path / "layout", progress=silent)
    assert read_image(tmp_path / "layout").image_id == SMALL.image_id


@pytest.mark.parametrize("marked", [False, True])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path, *, marked: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    if marked:
        (folder / "oci-layout").write_bytes(LAYOUT)
    with pytest.raises(SinkError, match="not an OCI layout"):
        write_layout(SMALL, folder, progress=silent)
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SinkError, match="not an OCI layout"):
        write_layout(SMALL, tmp_path / "file", progress=silent)
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_is_written_through_a_symlink(tmp_path: Path) -> None:
    write_layout(make_image(tar()), tmp_path / "theirs", progress=silent)
    before = (tmp_path / "theirs" / "index.json").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(SinkError, match="symlink"):
        write_layout(SMALL, tmp_path / "link", progress=silent)
    (tmp_path / "file").write_text("theirs")
    (tmp_path / "link.tar").symlink_to(tmp_path / "file")
    write_tar(SMALL, tmp_path / "link.tar", progress=silent)
    assert (tmp_path / "theirs" / "index.json").read_bytes() == before
    assert (tmp_path / "file").read_text() == "theirs"
    assert not (tmp_path / "link.tar").is_symlink()


def test_a_tar_replaces_a_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    os.mkfifo(tmp_path / "fifo.tar")
    (tmp_path / "old.tar").write_text("old")
    for name in ("folder.tar", "fifo.tar"):
        with pytest.raises(SinkError, match="no regular file"):
            write_tar(SMALL, tmp_path / name, progress=silent)
    write_tar(SMALL, tmp_path / "old.tar", progress=silent)
    assert read_image(tmp_path / "old.tar").image_id == SMALL.image_id
    assert (tmp_path / "fifo.tar").is_fifo()


def test_places_can_be_checked_before_an_image_is_built(tmp_path: Path) -> None:
    check_layout_place(tmp_path / "new")
    check_tar_place(tmp_path / "new.tar")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(SinkError):
        check_layout_place(tmp_path)
    with pytest.raises(SinkError):
        check_tar_place(tmp_path)
    with pytest.raises(SinkError):
        check_tar_place(tmp_path / "mine" / "below.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


class BreakingBlobs(MemoryBlobs):
    """Gives half of the second layer, then fails as the disk or the store would."""

    error: BaseException = StoreError("Unexpected bytes")

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        if digest == SMALL.layers[1].digest:
            destination.write(self.blobs[digest][:40])
            raise self.error
        super().copy_to(digest, destination)


@pytest.mark.parametrize("error", [StoreError("damaged"), OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("form", ["tar", "layout"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_in_the_middle_leaves_what_was_there(
    tmp_path: Path, error: BaseException, form: str, *, existing: bool
) -> None:
    path = tmp_path / f"image.{form}"
    write = write_tar if form == "tar" else write_layout
    if existing:
        write(make_image(tar()), path, progress=silent)
    blobs = BreakingBlobs(SMALL.blobs.blobs)  # type: ignore[attr-defined]  # they are in memory
    type(blobs).error = error
    broken = Image(platform=SMALL.platform, config=SMALL.config, layers=SMALL.layers, blobs=blobs)
    with pytest.raises(SinkError if isinstance(error, OSError) else type(error)):
        write(broken, path, progress=silent)
    assert [found.name for found in tmp_path.iterdir()] == ([path.name] if existing else [])
    if existing:
        assert read_image(path).image_id == make_image(tar()).image_id


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_one_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="Permission denied"):
        write_layout(SMALL, tmp_path / "layout", progress=silent)


def test_a_parent_that_is_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for write in (write_tar, write_layout):
        with pytest.raises(SinkError, match="can't be written"):
            write(SMALL, tmp_path / "file" / "image", progress=silent)
