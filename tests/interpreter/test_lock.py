from pathlib import Path

from envcap.digest import Digest
from envcap.interpreter import (
    CapturedTree,
    StandaloneArchive,
    lock_captured,
    lock_debian,
    lock_standalone,
)
from envcap.lockfile.model import Artifact, Interpreter
from tests.interpreter.fakes import build_python

SHA = "ab" * 32


def expected(origin: str, home: str, *artifacts: Artifact) -> Interpreter:
    return Interpreter(
        implementation="cpython",
        version="3.11.7",
        build="main, Dec  4 2023, GCC 12.2.0",
        soabi="cpython-311-x86_64-linux-gnu",
        origin=origin,
        home=home,
        artifacts=artifacts,
    )


def test_debians_interpreter_stays_in_usr_and_has_no_artifact(tmp_path: Path) -> None:
    assert lock_debian(build_python(tmp_path)) == expected("debian", "usr")


def test_a_standalone_interpreter_names_its_archive_and_no_place(tmp_path: Path) -> None:
    archive = StandaloneArchive(file="20240107/cpython-3.11.7.tar.gz", url="https://mirror.example.org/x")
    locked = lock_standalone(build_python(tmp_path), archive, platform="linux/amd64", sha256=SHA, size=7)
    assert locked == expected(
        "standalone",
        "opt/python",
        Artifact(
            platform="linux/amd64",
            source="python-build-standalone",
            file="20240107/cpython-3.11.7.tar.gz",
            size=7,
            sha256=SHA,
        ),
    )


def test_a_captured_interpreter_names_its_blob(tmp_path: Path) -> None:
    tree = CapturedTree(digest=Digest(SHA), size=9, tar_size=90, files=3)
    assert lock_captured(build_python(tmp_path), tree, platform="linux/arm64") == expected(
        "captured",
        "opt/python",
        Artifact(platform="linux/arm64", source="captured", file="python-3.11.7.tar.gz", size=9, sha256=SHA),
    )
