"""Whatever an image's bytes are, reading it ends with an image or with one `SinkError`."""

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.contents import open_image
from envcap.oci.layers import read_files
from envcap.oci.layout import write_tar
from envcap.verify import check_integrity
from tests.archives.tar_builder import file
from tests.oci.images import compress, directory, docker_archive, layout_folder, make_image, silent, tar

TAR = tar(directory(b"etc/"), file(b"etc/motd", b"hello\n"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["manifests", "digest", "size", "config", "layers", "Config", "Layers", "rootfs", "diff_ids"]
            )
            | st.text(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def read_all(path: Path) -> None:
    """Read an image whole; any error but a `SinkError` fails the test."""
    with suppress(SinkError), open_image(path) as found:
        check_integrity(found)
        for layer in found.layers:
            read_files(layer, name="a layer")


def image_tar() -> bytes:
    with TemporaryDirectory() as folder:
        write_tar(make_image(TAR), Path(folder) / "image.tar", progress=silent)
        return (Path(folder) / "image.tar").read_bytes()


IMAGE = image_tar()


@given(
    edits=st.lists(st.tuples(st.integers(0, len(IMAGE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    end=st.integers(0, len(IMAGE)) | st.just(len(IMAGE)),
)
@settings(deadline=None, max_examples=120)
def test_a_damaged_archive_never_crashes_the_reader(edits: list[tuple[int, int]], end: int) -> None:
    data = bytearray(IMAGE)
    for place, value in edits:
        data[place] = value
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        path.write_bytes(data[:end])
        read_all(path)


@given(data=st.binary(max_size=2000))
@settings(deadline=None, max_examples=80)
def test_any_bytes_may_stand_in_the_place_of_a_layer(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        for number, blob in enumerate((data, compress(data), b"\x28\xb5\x2f\xfd" + data)):
            read_all(layout_folder(Path(folder) / str(number), [blob], [str(Digest.of(data))]))


@given(value=JSON)
@settings(deadline=None, max_examples=120)
@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_any_json_may_stand_in_the_place_of_a_table_of_contents(name: str, value: object) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(json.dumps(value), encoding="utf-8")
        read_all(Path(folder))


@given(value=JSON, place=st.sampled_from(["config", "layers", ""]))
@settings(deadline=None, max_examples=120)
def test_any_json_may_stand_in_a_manifest(place: str, value: object) -> None:
    def change(manifest: dict[str, object]) -> None:
        if place:
            manifest[place] = value
        elif isinstance(value, dict):
            manifest.update(value)

    with TemporaryDirectory() as folder:
        read_all(layout_folder(Path(folder) / "layout", [compress(TAR)], [str(Digest.of(TAR))], change=change))


@given(config=JSON, layers=JSON)
@settings(deadline=None, max_examples=80)
def test_any_json_may_stand_in_dockers_archive(config: object, layers: object) -> None:
    rows = [{"Config": "config.json", "Layers": layers}]
    with TemporaryDirectory() as folder:
        members = {
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(rows).encode(),
            "layer.tar": TAR,
        }
        read_all(docker_archive(Path(folder) / "saved.tar", members))
