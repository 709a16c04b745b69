"""What is in the layers of an image, and what they give together."""

from io import BytesIO

import pytest

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.layers import FileFacts, FoundLayer, merge_layers, read_files
from tests.archives.tar_builder import file, header
from tests.oci.images import compress, directory, hardlink, symlink, tar

TAR = tar(directory(b"etc/"), file(b"etc/motd", b"hello\n"), symlink(b"etc/link", b"motd"))


def found_layer(data: bytes, *, digest: Digest | None = None) -> FoundLayer:
    return FoundLayer(digest=digest, open=lambda: BytesIO(data))


def test_owners_links_and_odd_kinds_are_told() -> None:
    data = tar(
        file(b"a", b"x", uid=b"0001750\0", gid=b"0000012\0"),
        hardlink(b"b", b"./a"),
        header(b"./dev/null", kind=b"3"),
    )
    _, files = read_files(found_layer(data), name="a layer")
    assert (files["a"].uid, files["a"].gid) == (1000, 10)
    assert files["b"] == FileFacts(kind="hardlink", mode=0o644, target="a")
    assert files["dev/null"].kind == "type 3"


def test_the_diff_id_counts_every_byte_of_the_tar() -> None:
    padded = TAR + bytes(10240)
    diff_id, files = read_files(found_layer(padded), name="a layer")
    assert diff_id == Digest.of(padded)
    assert list(files) == ["etc", "etc/motd", "etc/link"]


def test_bytes_after_the_compressed_stream_are_refused() -> None:
    with pytest.raises(SinkError):
        read_files(found_layer(compress(TAR) + b"more"), name="a layer")
    with pytest.raises(SinkError):
        read_files(found_layer(TAR + b"more"), name="a layer")


def test_a_damaged_layer_is_named_once() -> None:
    damaged = bytearray(compress(TAR))
    damaged[-8] ^= 1  # RFC 1952: the checksum, before the size
    with pytest.raises(SinkError) as caught:
        read_files(found_layer(bytes(damaged)), name="layer 2")
    assert caught.value.message.startswith("layer 2: damaged or hostile compressed data")


def facts(kind: str = "file", **fields: str) -> FileFacts:
    return FileFacts(kind=kind, mode=0o644, **fields)  # type: ignore[arg-type]  # texts only


def test_upper_layers_win() -> None:
    assert merge_layers([{"a": facts(sha256="1"), "b": facts()}, {"a": facts(sha256="2")}]) == {
        "a": facts(sha256="2"),
        "b": facts(),
    }


def test_a_whiteout_takes_a_file_or_a_folder_away_and_is_no_file_itself() -> None:
    lower = {"d": facts("directory"), "d/a": facts(), "d/b": facts(), "e": facts("directory"), "e/f": facts()}
    assert merge_layers([lower, {"d/.wh.a": facts(), ".wh.e": facts()}]) == {"d": facts("directory"), "d/b": facts()}


def test_a_whiteout_leaves_names_that_only_begin_alike() -> None:
    lower = {"d": facts("directory"), "d/a": facts(), "d2": facts()}
    assert merge_layers([lower, {".wh.d": facts()}]) == {"d2": facts()}


def test_an_opaque_folder_hides_what_lies_below_but_not_what_comes_with_it() -> None:
    lower = {"d": facts("directory"), "d/a": facts(), "d/b": facts(), "x": facts()}
    upper = {"d": facts("directory"), "d/.wh..wh..opq": facts(), "d/b": facts(sha256="new")}
    assert merge_layers([lower, upper]) == {"d": facts("directory"), "d/b": facts(sha256="new"), "x": facts()}


def test_a_file_in_the_place_of_a_folder_takes_its_content_away() -> None:
    lower = {"d": facts("directory"), "d/a": facts(), "d/e": facts("directory"), "d/e/f": facts(), "da": facts()}
    assert merge_layers([lower, {"d": facts("symlink", target="x")}]) == {
        "d": facts("symlink", target="x"),
        "da": facts(),
    }
