"""A layout that is filled while its image is still being built: early copies, one rename, nothing left behind."""

from pathlib import Path

import pytest

from envcap.errors import SinkError, StoreError
from envcap.oci.image import Image
from envcap.oci.layout_folder import new_layout, write_layout
from tests.oci.images import SMALL, MemoryBlobs, make_image, read_image, silent, tar


def test_layers_may_come_before_the_image(tmp_path: Path) -> None:
    with new_layout(tmp_path / "early", SMALL.blobs) as layout:
        for layer in (*reversed(SMALL.layers), *SMALL.layers):
            layout.add(layer)
        assert not (tmp_path / "early").exists()
        layout.publish(SMALL, tag="a:b", progress=silent)
    write_layout(SMALL, tmp_path / "late", tag="a:b", progress=silent)
    assert files(tmp_path / "early") == files(tmp_path / "late")


def test_a_failure_in_between_leaves_nothing(tmp_path: Path) -> None:
    write_layout(make_image(tar()), tmp_path / "layout", progress=silent)
    before = files(tmp_path)
    with pytest.raises(StoreError, match="damaged"):
        begin(tmp_path / "layout", SMALL)
    assert files(tmp_path) == before


def test_a_layout_that_is_never_published_leaves_nothing(tmp_path: Path) -> None:
    with new_layout(tmp_path / "layout", SMALL.blobs) as layout:
        layout.add(SMALL.layers[0])
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_can_t_be_copied_is_told_at_the_end(tmp_path: Path) -> None:
    image = Image(platform=SMALL.platform, config=SMALL.config, layers=SMALL.layers, blobs=MemoryBlobs({}))
    with pytest.raises(StoreError, match="Missing object"):
        write_layout(image, tmp_path / "layout", progress=silent)
    assert files(tmp_path) == {}


def test_what_came_there_meanwhile_is_replaced_only_if_it_is_a_layout(tmp_path: Path) -> None:
    with new_layout(tmp_path / "layout", SMALL.blobs) as layout:
        write_layout(make_image(tar()), tmp_path / "layout", progress=silent)
        layout.publish(SMALL, progress=silent)
    assert read_image(tmp_path / "layout").image_id == SMALL.image_id
    with pytest.raises(SinkError, match="not an OCI layout"):
        overtaken(tmp_path / "theirs")
    assert (tmp_path / "theirs" / "thesis.tex").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layout", "theirs"]


def begin(folder: Path, image: Image) -> None:
    """Begin a layout, and fail before its image is known."""
    with new_layout(folder, image.blobs) as layout:
        layout.add(image.layers[0])
        raise StoreError("damaged")


def overtaken(folder: Path) -> None:
    """Begin a layout, and find something else in its place at the end."""
    with new_layout(folder, SMALL.blobs) as layout:
        folder.mkdir()
        (folder / "thesis.tex").write_text("x")
        layout.publish(SMALL, progress=silent)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
