"""An environment on a python-build-standalone interpreter: proved by its archive, rebuilt from a mirror of archives."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.acceptance.environments import MACHINE, UV, Program, Workshop, need_python
from tests.acceptance.standalone import Build, facts_of, install, pack, served

pytestmark = [pytest.mark.network, pytest.mark.slow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """A virtual environment on an interpreter that uv installed from a mirror.

    Attributes:
        build: The interpreter.
        prefix: The environment.
        mirror: The mirror's folder.
        envcap: The program, with the mirror in its settings.
    """

    build: Build
    prefix: Path
    mirror: Path
    envcap: Program


@pytest.fixture(scope="module")
def standalone(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    root = tmp_path_factory.mktemp("standalone")
    build, prefix, libraries = facts_of(need_python("3.12"))
    mirror, environment = root / "mirror", root / "env"
    pack(build, prefix, libraries, mirror)
    python = install(build, mirror, root / "uv")
    subprocess.run([UV, "venv", "--quiet", "--python", python, environment], env=MACHINE, check=True)
    with served(mirror) as address:
        envcap = replace(workshop.envcap, settings={"UV_PYTHON_INSTALL_MIRROR": address})
        yield Standalone(build=build, prefix=environment, mirror=mirror, envcap=envcap)


def test_the_archive_is_locked_by_name_and_hash_and_no_place(standalone: Standalone, tmp_path: Path) -> None:
    said = standalone.envcap("snapshot", standalone.prefix, "--name", "a", "--output", tmp_path).fine()
    lock = (tmp_path / "a" / "envcap.lock").read_text()
    assert "python-build-standalone" in said.out
    assert 'origin = "standalone"' in lock
    assert f'file = "{standalone.build.file}"' in lock
    assert "127.0.0.1" not in lock
    assert not (tmp_path / "a" / "blobs").exists(), "an interpreter with an archive is not kept beside the lock"


def test_a_machine_that_has_only_the_mirror_rebuilds_the_same_image(standalone: Standalone, tmp_path: Path) -> None:
    taken = standalone.envcap("snapshot", standalone.prefix, "--name", "b", "--output", tmp_path, "--json").fine().json
    elsewhere = replace(standalone.envcap, store=tmp_path / "store")
    rebuilt = elsewhere("rebuild", tmp_path / "b", "--rootfs", tmp_path / "root", "--json").fine().json
    assert rebuilt["image_id"] == taken["image_id"]
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed, so the image is not run")
    program = "import ssl, sqlite3, sys, sysconfig; print(sys.base_prefix, sysconfig.get_config_var('prefix'))"
    command = ["bwrap", "--ro-bind", f"{tmp_path}/root", "/", "--proc", "/proc", "--dev", "/dev", "--clearenv"]
    done = subprocess.run([*command, "/opt/env/bin/python", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("/opt/python /opt/python\n", "")


def test_an_interpreter_that_was_edited_is_captured_and_said_to_be(standalone: Standalone, tmp_path: Path) -> None:
    home = next(line for line in (standalone.prefix / "pyvenv.cfg").read_text().splitlines() if "home" in line)
    file = Path(home.partition("=")[2].strip()).parent / "lib" / "python3.12" / "this.py"
    before = file.read_bytes()
    file.write_bytes(before + b"# mine\n")
    try:
        said = standalone.envcap("snapshot", standalone.prefix, "--name", "c", "--output", tmp_path).fine()
    finally:
        file.write_bytes(before)
    assert "no archive proves it" in said.err
    assert "this.py" in said.err or "has another size" in said.err
    assert 'origin = "captured"' in (tmp_path / "c" / "envcap.lock").read_text()


def test_a_mirror_with_other_bytes_is_refused_and_named(standalone: Standalone, tmp_path: Path) -> None:
    standalone.envcap("snapshot", standalone.prefix, "--name", "d", "--output", tmp_path).fine()
    other = tmp_path / "other"
    shutil.copytree(standalone.mirror, other)
    archive = other / standalone.build.file
    archive.write_bytes(archive.read_bytes()[:-1] + b"\0")
    with served(other) as address:
        elsewhere = replace(standalone.envcap, store=tmp_path / "store", settings={"ENVCAP_PYTHON_MIRROR": address})
        said = elsewhere("rebuild", tmp_path / "d")
    assert said.status == 1
    assert standalone.build.file.rpartition("/")[2] in said.err
    assert "Traceback" not in said.err
