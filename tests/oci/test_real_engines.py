"""The engines of this machine take an image through their own programs, and run it."""

import gzip
import os
import shutil
import subprocess
from hashlib import sha256

import pytest

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.container_run import ContainerRun, run_arguments
from envcap.oci.engine import Engine, RealPrograms, find_engine, find_image, load_into
from envcap.oci.image import ConfigSettings, Image, Layer, image_config
from tests.archives.tar_builder import END, file
from tests.oci.images import MemoryBlobs, silent

pytestmark = pytest.mark.engine

PROGRAMS = RealPrograms(environ=dict(os.environ), search=shutil.which)
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int c;
    while ((c = getchar()) != EOF) putchar(c);
    printf("%s\\n", getenv("GREETING"));
    return atoi(argv[1]);
}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if shutil.which("gcc") is None:
        pytest.skip("this machine has no gcc to compile a program without libraries with")
    folder = tmp_path_factory.mktemp("program")
    (folder / "say.c").write_text(SOURCE)
    subprocess.run(["gcc", "-static", "-Os", "-s", "-o", folder / "say", folder / "say.c"], check=True)
    tar = file(b"say", (folder / "say").read_bytes(), mode=b"0000755\0") + END
    blob = gzip.compress(tar, mtime=0)
    layer = Layer(diff_id=Digest(sha256(tar).hexdigest()), digest=Digest.of(blob), size=len(blob))
    config = image_config(
        f"linux/{architecture()}", [layer.diff_id], ConfigSettings(environment={}, labels={}), epoch=0
    )
    return Image(
        platform=f"linux/{architecture()}", config=config, layers=(layer,), blobs=MemoryBlobs({layer.digest: blob})
    )


def architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    try:
        return find_engine(request.param, PROGRAMS)
    except SinkError as error:
        pytest.skip(error.message)


def test_an_image_is_loaded_found_and_run(engine: Engine, image: Image) -> None:
    names = [str(image.image_id), str(image.descriptor.digest)]
    tag = f"envcap-test-{os.getpid()}:engine"
    try:
        name = load_into(engine, image, tag=tag, programs=PROGRAMS, progress=silent)
        assert name == find_image(engine, names, PROGRAMS)
        assert name in names
        if reason := cannot_run(engine, name):
            pytest.skip(f"{engine.name} of this machine runs nothing: {reason}")
        run = ContainerRun(
            image=name,
            command=("/say", "42"),
            variables=("GREETING=hello",),
            memory=engine.facts.memory,
            options=("--network=none",),
        )
        done = subprocess.run(
            [engine.path, *run_arguments(run)], input="words ", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (42, "words hello\n"), done.stderr
    finally:
        subprocess.run([engine.path, "image", "rm", "--force", tag], capture_output=True, check=False)


def cannot_run(engine: Engine, image: str) -> str:
    """Tell why the engine can't run anything here, such as a sandbox without the right to raise limits."""
    argv = [engine.path, "run", "--rm", "--network=none", image, "/say", "0"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def test_an_image_that_nobody_has_is_not_found(engine: Engine) -> None:
    assert find_image(engine, ["sha256:" + "0" * 64], PROGRAMS) == ""
