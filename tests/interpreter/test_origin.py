import dataclasses
import json
from pathlib import Path

import pytest

from envcap.environment import InterpreterFacts
from envcap.interpreter.origin import (
    CapturedInterpreter,
    DebianInterpreter,
    StandaloneInterpreter,
    identify_interpreter,
)
from tests.interpreter.fakes import build_python

DEBIAN = 'NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\nID=debian\n'
UBUNTU = 'NAME="Ubuntu"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n'
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9

Package: python3.11-minimal
Status: install ok installed
Architecture: amd64
Version: 3.11.2-6+deb12u6
Description: Minimal subset
 Version: of something else
"""


def dpkg(root: Path, *paths: str, name: str = "python3.11-minimal", status: str = STATUS) -> Path:
    (root / "info").mkdir(parents=True)
    (root / "info" / f"{name}.list").write_text("/.\n/usr\n" + "".join(f"{path}\n" for path in paths))
    (root / "status").write_text(status)
    return root


def system_python(tmp_path: Path, executable: str = "/usr/bin/python3.11") -> InterpreterFacts:
    facts = build_python(tmp_path / "usr")
    return dataclasses.replace(facts, executable=Path(executable), base_prefix=Path("/usr"), config={})


@pytest.mark.parametrize("listed", ["/usr/bin/python3.11", "/bin/python3.11"])
@pytest.mark.parametrize("real", ["/usr/bin/python3.11", "/bin/python3.11"])
def test_debians_python_is_found_in_either_spelling(tmp_path: Path, listed: str, real: str) -> None:
    root = dpkg(tmp_path / "dpkg", listed)
    origin = identify_interpreter(system_python(tmp_path, real), os_release=DEBIAN, dpkg_root=root)
    assert origin == DebianInterpreter(package="python3.11-minimal", version="3.11.2-6+deb12u6", architecture="amd64")


def test_a_list_with_an_architecture_finds_that_architectures_stanza(tmp_path: Path) -> None:
    status = STATUS.replace("Architecture: amd64", "Architecture: i386") + "\n" + STATUS
    root = dpkg(tmp_path / "dpkg", "/usr/bin/python3.11", name="python3.11-minimal:amd64", status=status)
    origin = identify_interpreter(system_python(tmp_path), os_release=DEBIAN, dpkg_root=root)
    assert isinstance(origin, DebianInterpreter)
    assert origin.architecture == "amd64"


def test_ubuntus_python_is_captured_and_the_reason_names_ubuntu(tmp_path: Path) -> None:
    root = dpkg(tmp_path / "dpkg", "/usr/bin/python3.11")
    origin = identify_interpreter(system_python(tmp_path), os_release=UBUNTU, dpkg_root=root)
    assert isinstance(origin, CapturedInterpreter)
    assert "Ubuntu" in origin.reason


@pytest.mark.parametrize(
    "status", [STATUS.replace("Status: install ok installed", "Status: deinstall ok config-files"), ""]
)
def test_a_package_that_is_not_installed_owns_nothing(tmp_path: Path, status: str) -> None:
    root = dpkg(tmp_path / "dpkg", "/usr/bin/python3.11", status=status)
    origin = identify_interpreter(system_python(tmp_path), os_release=DEBIAN, dpkg_root=root)
    assert isinstance(origin, CapturedInterpreter)


def test_a_python_that_no_package_lists_is_captured(tmp_path: Path) -> None:
    root = dpkg(tmp_path / "dpkg", "/usr/bin/python3.11")
    facts = system_python(tmp_path, "/usr/local/bin/python3.11")
    assert isinstance(identify_interpreter(facts, os_release=DEBIAN, dpkg_root=root), CapturedInterpreter)


def test_a_system_without_dpkg_captures(tmp_path: Path) -> None:
    facts = system_python(tmp_path)
    assert isinstance(identify_interpreter(facts, os_release="", dpkg_root=tmp_path / "no"), CapturedInterpreter)


def test_another_implementation_is_captured(tmp_path: Path) -> None:
    facts = dataclasses.replace(system_python(tmp_path), implementation="pypy")
    assert identify_interpreter(facts, os_release=DEBIAN, dpkg_root=tmp_path) == CapturedInterpreter(
        reason="it is pypy, not CPython"
    )


BUILD = "main, Oct  7 2025, Clang 20.1.4"


@pytest.mark.parametrize("config", [{"CONFIG_ARGS": "'--prefix=/install' '--x'"}, {"PYTHON_BUILD_STANDALONE": "1"}])
def test_either_mark_tells_a_standalone_build(tmp_path: Path, config: dict[str, str]) -> None:
    facts = build_python(tmp_path / "py", config=config, build=BUILD)
    assert identify_interpreter(facts, os_release=DEBIAN, dpkg_root=tmp_path) == StandaloneInterpreter(
        version="3.11.7", triple="x86_64-unknown-linux-gnu", built="20251007"
    )


def test_a_prefix_that_only_begins_like_the_mark_is_none(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", config={"CONFIG_ARGS": "'--prefix=/install-here'"})
    assert isinstance(identify_interpreter(facts, os_release=DEBIAN, dpkg_root=tmp_path), CapturedInterpreter)


def test_uvs_build_file_names_the_release(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", files={"BUILD": b"20251031\n"}, config={"PYTHON_BUILD_STANDALONE": "1"})
    origin = identify_interpreter(facts, os_release="", dpkg_root=tmp_path)
    assert isinstance(origin, StandaloneInterpreter)
    assert origin.tag == "20251031"


def test_a_build_file_with_anything_else_is_ignored(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", files={"BUILD": b"../../etc"}, config={"PYTHON_BUILD_STANDALONE": "1"})
    origin = identify_interpreter(facts, os_release="", dpkg_root=tmp_path)
    assert isinstance(origin, StandaloneInterpreter)
    assert origin.tag == ""


def test_hatchs_note_names_release_triple_and_flavor(tmp_path: Path) -> None:
    url = "https://example.org/20240107/cpython-3.11.7%2B20240107-x86_64_v3-unknown-linux-gnu-install_only.tar.gz"
    (tmp_path / "hatch-dist.json").write_text(json.dumps({"source": url, "python_path": "python/bin/python3"}))
    facts = build_python(tmp_path / "python", config={"CONFIG_ARGS": "--prefix=/install"})
    origin = identify_interpreter(facts, os_release="", dpkg_root=tmp_path)
    assert isinstance(origin, StandaloneInterpreter)
    assert (origin.tag, origin.triple, origin.flavor) == ("20240107", "x86_64_v3-unknown-linux-gnu", "install_only")


@pytest.mark.parametrize("note", ["[]", "{", '{"source": 1}', '{"source": "https://example.org/x.tar.gz"}'])
def test_a_note_of_another_form_is_ignored(tmp_path: Path, note: str) -> None:
    (tmp_path / "hatch-dist.json").write_text(note)
    facts = build_python(tmp_path / "python", config={"CONFIG_ARGS": "--prefix=/install"})
    origin = identify_interpreter(facts, os_release="", dpkg_root=tmp_path)
    assert isinstance(origin, StandaloneInterpreter)
    assert (origin.tag, origin.flavor) == ("", "")


def test_a_free_threaded_build_is_told(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", config={"PYTHON_BUILD_STANDALONE": "1", "Py_GIL_DISABLED": "1"})
    origin = identify_interpreter(facts, os_release="", dpkg_root=tmp_path)
    assert isinstance(origin, StandaloneInterpreter)
    assert origin.freethreaded
