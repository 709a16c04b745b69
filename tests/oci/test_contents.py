"""Reading an image that somebody gives us: every form that there is, and everything that may be wrong with it."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.contents import FoundImage, open_archive, open_image
from envcap.oci.layers import FileFacts, read_files
from envcap.oci.layout import write_tar
from envcap.oci.layout_folder import write_layout
from tests.archives.tar_builder import file
from tests.oci.images import (
    SMALL,
    compress,
    directory,
    docker_archive,
    layout_folder,
    make_image,
    put_blob,
    silent,
    symlink,
    tar,
)

TAR = tar(directory(b"etc/"), file(b"etc/motd", b"hello\n", mode=b"0000640\0"), symlink(b"etc/link", b"motd"))
DIFF_ID = str(Digest.of(TAR))
FILES = {
    "etc": FileFacts(kind="directory", mode=0o755),
    "etc/motd": FileFacts(
        kind="file", mode=0o640, size=6, sha256="5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    ),
    "etc/link": FileFacts(kind="symlink", mode=0o777, target="motd"),
}


def files_of(found: FoundImage) -> list[dict[str, FileFacts]]:
    rows = [read_files(layer, name="a layer") for layer in found.layers]
    assert tuple(diff_id for diff_id, _ in rows) == found.diff_ids
    return [files for _, files in rows]


def open_files(path: Path) -> list[dict[str, FileFacts]]:
    with open_image(path) as found:
        return files_of(found)


def multi_member(data: bytes) -> bytes:
    return b"".join(gzip.compress(data[start : start + 700], mtime=0) for start in range(0, len(data), 700))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def as_is(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("pack", [as_is, compress, multi_member, zstd])
def test_a_layer_is_read_whatever_compresses_it(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    folder = layout_folder(tmp_path / "layout", [pack(TAR)], [DIFF_ID])
    assert open_files(folder) == [FILES]


def test_a_layout_folder_and_its_tar_hold_the_same(tmp_path: Path) -> None:
    write_layout(SMALL, tmp_path / "layout", progress=silent)
    write_tar(SMALL, tmp_path / "image.tar", progress=silent)
    assert open_files(tmp_path / "layout") == open_files(tmp_path / "image.tar")
    with open_image(tmp_path / "image.tar") as found:
        assert (found.image_id, found.manifest) == (SMALL.image_id, SMALL.descriptor.digest)


def test_an_archive_may_be_an_open_file_without_a_name(tmp_path: Path) -> None:
    write_tar(SMALL, tmp_path / "image.tar", progress=silent)
    with (tmp_path / "image.tar").open("rb") as stream:
        (tmp_path / "image.tar").unlink()
        with open_archive(stream, name="docker:a") as found:
            assert found.image_id == SMALL.image_id
            assert len(files_of(found)) == 2


def docker_members(layers: list[str], diff_ids: list[str]) -> dict[str, bytes | str]:
    config = json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode()
    return {
        "config.json": config,
        "manifest.json": json.dumps([{"Config": "config.json", "Layers": layers, "RepoTags": None}]).encode(),
    }


def test_docker_archive_with_a_linked_repeated_layer_is_read(tmp_path: Path) -> None:
    members = docker_members(["aa/layer.tar", "bb/layer.tar"], [DIFF_ID, DIFF_ID])
    path = docker_archive(tmp_path / "saved.tar", {"aa/layer.tar": TAR, "bb/layer.tar": "../aa/layer.tar", **members})
    with open_image(path) as found:
        assert found.manifest is None
        assert files_of(found) == [FILES, FILES]


@pytest.mark.parametrize(
    "target", ["../gone/layer.tar", "../../../etc/passwd", "/etc/passwd", "layer.tar", "../cc/layer.tar"]
)
def test_a_link_in_a_docker_archive_leads_to_a_member_or_nowhere(tmp_path: Path, target: str) -> None:
    members = docker_members(["bb/layer.tar"], [DIFF_ID])
    path = docker_archive(
        tmp_path / "saved.tar", {"bb/layer.tar": target, "cc/layer.tar": "../bb/layer.tar", **members}
    )
    with open_image(path) as found, pytest.raises(SinkError):
        files_of(found)


HOSTILE_NAMES = [
    "../outside",
    "/etc/passwd",
    "a/../../outside",
    "",
    ".",
    "..",
    "a\0b",
    "\ud800",
    "a\nb",
    "a//b",
    "blobs/sha256/",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("place", ["Config", "Layers"])
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, place: str, form: str) -> None:
    (tmp_path / "outside").write_bytes(json.dumps({"rootfs": {"diff_ids": [DIFF_ID]}}).encode())
    row = {"Config": "config.json", "Layers": ["layer.tar"]} | {place: [name] if place == "Layers" else name}
    members = {
        "config.json": json.dumps({"rootfs": {"diff_ids": [DIFF_ID]}}).encode(),
        "layer.tar": TAR,
        "manifest.json": json.dumps([row]).encode(),
    }
    path = tmp_path / "image"
    if form == "tar":
        docker_archive(path, members)
    else:
        path.mkdir()
        for member, data in members.items():
            (path / member).write_bytes(data)
    with pytest.raises(SinkError):
        open_files(path)


def test_a_damaged_layer_is_named(tmp_path: Path) -> None:
    blob = compress(TAR)
    folder = layout_folder(tmp_path / "layout", [blob], [DIFF_ID])
    path = folder / "blobs" / "sha256" / Digest.of(blob).hex
    path.write_bytes(compress(tar()))
    with pytest.raises(SinkError, match="a layer is damaged"):
        open_files(folder)
    path.write_bytes(blob[:-4])
    with pytest.raises(SinkError, match=r"truncated|damaged"):
        open_files(folder)


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    blob = compress(TAR)
    folder = layout_folder(tmp_path / "layout", [blob], [DIFF_ID])
    (folder / "blobs" / "sha256" / Digest.of(blob).hex).unlink()
    with pytest.raises(SinkError, match="No such file"):
        open_files(folder)


@pytest.mark.parametrize("size", [0, 1, 10**30, -1, None, "6", [], True])
def test_a_wrong_size_is_refused(tmp_path: Path, size: object) -> None:
    def lie(manifest: dict[str, object]) -> None:
        manifest["layers"][0]["size"] = size  # type: ignore[index]

    folder = layout_folder(tmp_path / "layout", [compress(TAR)], [DIFF_ID], change=lie)
    with pytest.raises(SinkError, match=r"size|bytes"):
        open_files(folder)


@pytest.mark.parametrize("key", ["config", "layers"])
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1], [None], [{}], {"digest": "md5:1", "size": 1}])
def test_a_manifest_of_another_shape_is_one_error(tmp_path: Path, key: str, value: object) -> None:
    folder = layout_folder(
        tmp_path / "layout", [compress(TAR)], [DIFF_ID], change=lambda manifest: manifest.update({key: value})
    )
    if key == "layers" and value == []:
        with open_image(folder) as found:
            assert found.layers == ()
        return
    with pytest.raises(SinkError):
        open_files(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"a"',
        "{}",
        '{"manifests": {}}',
        '{"manifests": []}',
        '{"manifests": [1]}',
        '{"manifests": [{}, {}]}',
        '{"manifests": [{"digest": "sha256:../../../etc/passwd", "size": 1}]}',
        '{"manifests": [{"digest": "sha512:' + "a" * 128 + '", "size": 1}]}',
        '{"manifests": ' + "[" * 100_000,
        '{"manifests": [{"digest": 1, "size": ' + "9" * 5000 + "}]}",
        "\ufeff{}",
    ],
)
def test_an_index_of_another_shape_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    with pytest.raises(SinkError), open_image(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", "[{}]", "[{}, {}]", '[{"Config": 1, "Layers": 7}]', "\0\0"])
def test_docker_manifest_of_another_shape_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SinkError), open_image(tmp_path):
        pass


@pytest.mark.parametrize("config", [b"", b"[]", b"{}", b'{"rootfs": 1}', b'{"rootfs": {"diff_ids": ["x"]}}', b"\xff"])
def test_a_config_of_another_shape_is_one_error(tmp_path: Path, config: bytes) -> None:
    def replace(manifest: dict[str, object]) -> None:
        manifest["config"] = put_blob(tmp_path / "layout" / "blobs" / "sha256", config)

    folder = layout_folder(tmp_path / "layout", [], [], change=replace)
    with pytest.raises(SinkError), open_image(folder):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"garbage", bytes(10240), b"\x1f\x8b" + bytes(600), b"PK\x03\x04" + bytes(999)]
)
def test_a_file_that_is_no_image_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(SinkError), open_image(tmp_path / "image"):
        pass


def test_no_image_at_all_is_one_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in (tmp_path / "missing", tmp_path / "fifo", tmp_path / "dangling", Path("/dev/null")):
        with pytest.raises(SinkError, match="There is no image at"), open_image(path):
            pass
    with pytest.raises(SinkError, match=r"expected `index\.json`"), open_image(tmp_path):
        pass


@pytest.mark.parametrize("what", ["fifo", "folder", "symlink", "loop"])
@pytest.mark.parametrize("place", ["index.json", "layer"])
def test_something_else_in_the_place_of_a_file_is_one_error(tmp_path: Path, what: str, place: str) -> None:
    blob = compress(TAR)
    folder = layout_folder(tmp_path / "layout", [blob], [DIFF_ID])
    path = folder / "index.json" if place == "index.json" else folder / "blobs" / "sha256" / Digest.of(blob).hex
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    match what:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "symlink":
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            path.symlink_to(path)
    with pytest.raises(SinkError):
        open_files(folder)


def test_an_image_may_have_any_number_of_layers(tmp_path: Path) -> None:
    image = make_image(*[tar(file(b"f%d" % number, b"x")) for number in range(60)])
    write_layout(image, tmp_path / "layout", progress=silent)
    assert [list(files) for files in open_files(tmp_path / "layout")] == [[f"f{number}"] for number in range(60)]
