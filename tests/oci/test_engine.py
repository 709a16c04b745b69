"""An engine by its own program: found, asked, given an image."""

import os
import shutil
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from envcap.errors import SinkError, StoreError
from envcap.oci.engine import Engine, RealPrograms, find_engine, find_image, load_into
from envcap.oci.engine_facts import EngineFacts
from envcap.oci.layout import stream_tar
from tests.oci.engine_program import INFO, EngineProgram
from tests.oci.images import SMALL, MemoryBlobs, silent

IMAGE_ID, MANIFEST = str(SMALL.image_id), str(SMALL.descriptor.digest)


def programs_in(*folders: Path) -> RealPrograms:
    path = os.pathsep.join(map(str, folders))
    return RealPrograms(environ={"PATH": path}, search=lambda name: shutil.which(name, path=path))


@pytest.fixture
def docker(tmp_path: Path) -> EngineProgram:
    return EngineProgram(tmp_path / "docker", python=sys.executable)


@pytest.fixture
def podman(tmp_path: Path) -> EngineProgram:
    program = EngineProgram(tmp_path / "podman", python=sys.executable, name="podman")
    program.set(info={"host": {"memTotal": 5, "security": {"rootless": True}}}, bare=True)
    return program


def engine_of(program: EngineProgram) -> Engine:
    return Engine(name=program.path.name, path=str(program.path), facts=EngineFacts())


def test_docker_is_tried_first(docker: EngineProgram, podman: EngineProgram) -> None:
    programs = programs_in(podman.folder, docker.folder)
    facts = EngineFacts(memory=2_000_000, runtimes=frozenset({"runc"}))
    assert find_engine("", programs) == Engine(name="docker", path=str(docker.path), facts=facts)
    assert podman.calls == []
    facts = EngineFacts(memory=5, rootless=True)
    assert find_engine("podman", programs) == Engine(name="podman", path=str(podman.path), facts=facts)


def test_podman_serves_where_docker_s_daemon_does_not_answer(docker: EngineProgram, podman: EngineProgram) -> None:
    docker.set(info={**INFO, "ServerErrors": ["Cannot connect"]})
    assert find_engine("", programs_in(docker.folder, podman.folder)).name == "podman"


def test_no_engine_is_one_line_with_each_reason(docker: EngineProgram, tmp_path: Path) -> None:
    docker.set(fail=("info",))
    with pytest.raises(SinkError) as caught:
        find_engine("", programs_in(docker.folder))
    assert caught.value.message == (
        "No container engine answers (docker: info failed: no space left; podman is not installed)"
    )
    docker.set(info={})
    with pytest.raises(SinkError, match=r"\(docker: no daemon answers\)"):
        find_engine("docker", programs_in(docker.folder))
    with pytest.raises(SinkError, match=r"\(docker is not installed; podman is not installed\)"):
        find_engine("", programs_in(tmp_path))


def test_an_image_is_loaded_whole_and_run_by_its_digest(docker: EngineProgram) -> None:
    programs, engine = programs_in(docker.folder), engine_of(docker)
    assert find_image(engine, [IMAGE_ID, MANIFEST], programs) == ""
    assert load_into(engine, SMALL, tag="a:b", programs=programs, progress=silent) == IMAGE_ID
    whole = BytesIO()
    stream_tar(SMALL, whole, tag="a:b", progress=silent)
    assert docker.loaded == whole.getvalue()
    assert find_image(engine, [IMAGE_ID, MANIFEST], programs) == IMAGE_ID


def test_docker_s_containerd_store_names_an_image_by_its_manifest(docker: EngineProgram) -> None:
    docker.set(containerd=True)
    programs = programs_in(docker.folder)
    assert load_into(engine_of(docker), SMALL, tag="a:b", programs=programs, progress=silent) == MANIFEST


def test_podman_names_no_algorithm(podman: EngineProgram) -> None:
    programs = programs_in(podman.folder)
    assert load_into(engine_of(podman), SMALL, tag="a:b", programs=programs, progress=silent) == IMAGE_ID


def test_an_engine_that_refuses_the_image_says_why_in_one_line(docker: EngineProgram) -> None:
    docker.set(fail=("load",))
    with pytest.raises(SinkError) as caught:
        load_into(engine_of(docker), SMALL, tag="a:b", programs=programs_in(docker.folder), progress=silent)
    assert caught.value.message == "docker did not load the image: load failed: no space left"


def test_an_engine_that_has_another_image_is_not_believed(docker: EngineProgram) -> None:
    docker.set(fail=("image",))
    with pytest.raises(SinkError, match=f"names the image otherwise .expected {IMAGE_ID}"):
        load_into(engine_of(docker), SMALL, tag="a:b", programs=programs_in(docker.folder), progress=silent)


def test_a_damaged_blob_is_told_as_such_and_never_loaded(docker: EngineProgram, tmp_path: Path) -> None:

    broken = replace(SMALL, blobs=MemoryBlobs(blobs={}))
    with pytest.raises(StoreError, match="Missing object"):
        load_into(engine_of(docker), broken, tag="a:b", programs=programs_in(docker.folder), progress=silent)
    assert find_image(engine_of(docker), [IMAGE_ID], programs_in(docker.folder)) == ""


def test_a_program_that_stops_reading_is_no_traceback(tmp_path: Path) -> None:
    script = tmp_path / "deaf"
    script.write_text("#!/bin/sh\nexec <&-\necho too large >&2\nexit 3\n")
    script.chmod(0o755)

    def produce(file: BinaryIO) -> None:
        file.writelines(b"x" * 100_000 for _ in range(100))

    answer = programs_in(tmp_path).feed([str(script)], produce)
    assert (answer.status, answer.reason) == (3, "too large")


def test_a_program_that_can_t_start_is_an_answer(tmp_path: Path) -> None:
    gone = [str(tmp_path / "gone")]
    assert programs_in(tmp_path).ask(gone).reason == "No such file or directory"
    assert programs_in(tmp_path).feed(gone, lambda _file: None).reason == "No such file or directory"


def test_a_silent_failure_has_its_status_for_a_reason(tmp_path: Path) -> None:
    script = tmp_path / "mute"
    script.write_text("#!/bin/sh\nexit 4\n")
    script.chmod(0o755)
    assert programs_in(tmp_path).ask([str(script)]).reason == "exit status 4"
