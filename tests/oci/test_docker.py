"""Docker in and out, against a small engine of our own: every way in which it can refuse is one `SinkError`."""

import gc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from envcap.errors import SinkError, StoreError
from envcap.oci.contents import open_archive
from envcap.oci.docker import docker_reference, load_image, save_image
from envcap.oci.image import Image
from envcap.oci.layout import write_tar
from tests.oci.docker_engine import Engine, image_id, serve
from tests.oci.images import SMALL, MemoryBlobs, silent


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    engine = Engine()
    # pytest's own folders are too deep for the 108 bytes of a socket's name.
    with TemporaryDirectory() as folder, serve(engine, Path(folder) / "s") as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
        monkeypatch.setenv("HOME", folder)
        yield engine


def archive() -> bytes:
    with TemporaryDirectory() as folder:
        write_tar(SMALL, Path(folder) / "image.tar", tag="a:b", progress=silent)
        return (Path(folder) / "image.tar").read_bytes()


def test_an_image_is_loaded_whole_under_its_own_id(engine: Engine) -> None:
    told: list[str] = []
    found = load_image(SMALL, tag="a:b", progress=lambda what, _done, _total: told.append(what))
    assert found == SMALL.image_id
    assert engine.loaded == [archive()]
    assert told == ["layer 0", "layer 1"]


def test_an_engine_may_name_an_image_by_its_manifest(engine: Engine) -> None:
    engine.reported_id = str(SMALL.descriptor.digest)
    assert load_image(SMALL, tag="a:b", progress=silent) == SMALL.image_id


def test_an_engine_that_reports_another_id_is_not_believed(engine: Engine) -> None:
    engine.reported_id = "sha256:" + "f" * 64
    with pytest.raises(SinkError, match="Docker names the image otherwise"):
        load_image(SMALL, tag="a:b", progress=silent)


@pytest.mark.parametrize(
    "stream",
    [
        [{"errorDetail": {"message": "invalid tar header"}, "error": "invalid tar header"}],
        [{"stream": "Loaded nothing\n"}],
        [],
    ],
)
def test_an_engine_that_refuses_the_image_says_why_in_one_line(engine: Engine, stream: list[dict[str, object]]) -> None:
    engine.stream = stream
    with pytest.raises(SinkError) as caught:
        load_image(SMALL, tag="a:b", progress=silent)
    assert "\n" not in caught.value.message
    assert "invalid tar header" in caught.value.message or not stream or "stream" in stream[0]


def test_an_engine_that_fails_is_one_error(engine: Engine) -> None:
    engine.status = 500
    with pytest.raises(SinkError, match="no space left on device"):
        load_image(SMALL, tag="a:b", progress=silent)


def test_an_engine_that_hangs_up_is_one_error(engine: Engine) -> None:
    engine.hang_up = True
    with pytest.raises(SinkError, match="Docker did not load the image"):
        load_image(SMALL, tag="a:b", progress=silent)


def test_a_damaged_blob_is_told_as_such_and_never_loaded_as_a_whole_image(engine: Engine) -> None:
    blobs = dict(SMALL.blobs.blobs)  # type: ignore[attr-defined]  # they are in memory
    del blobs[SMALL.layers[1].digest]
    broken = Image(platform=SMALL.platform, config=SMALL.config, layers=SMALL.layers, blobs=MemoryBlobs(blobs))
    with pytest.raises(StoreError, match="Missing object"):
        load_image(broken, tag="a:b", progress=silent)
    assert engine.images == {}


def test_an_image_is_saved_and_read_back(engine: Engine, tmp_path: Path) -> None:
    engine.images["a:b"] = archive()
    assert image_id(engine.images["a:b"]) == str(SMALL.image_id)
    with (tmp_path / "saved.tar").open("w+b") as file:
        save_image("a:b", file)
        file.flush()
        with open_archive(file, name="docker:a:b") as found:
            assert found.image_id == SMALL.image_id


def test_saving_a_missing_image_is_one_error(engine: Engine) -> None:
    with pytest.raises(SinkError, match="Docker does not give the image 'a:b'"):
        save_image("a:b", BytesIO())


@pytest.mark.parametrize("host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "nonsense://x", "tcp://"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # docker-py leaves its sockets open
def test_no_engine_is_one_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SinkError, match="No docker engine answers") as caught:
        load_image(SMALL, tag="a:b", progress=silent)
    assert "--output image.oci.tar" in caught.value.hint
    with pytest.raises(SinkError, match="No docker engine answers"):
        save_image("a:b", BytesIO())
    gc.collect()  # here, and not in some later test


def test_a_reference_is_told_from_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert docker_reference("docker:a/b:c") == "a/b:c"
    assert docker_reference("image.tar") == ""
    (tmp_path / "docker:odd").write_text("x")
    assert docker_reference("docker:odd") == ""
