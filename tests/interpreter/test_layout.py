from pathlib import Path

import pytest

from envcap.errors import ScanError
from envcap.interpreter.layout import Layout, find_stdlib, is_generated

PLAIN = Layout(stdlib="lib/python3.11")
WHOLE = Layout(stdlib="lib/python3.11", whole=True)


@pytest.mark.parametrize(
    "path",
    [
        "bin/python3.11",
        "bin/python3.11-config",
        "lib/python3.11/os.py",
        "lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "lib/python3.11/unittest/case.py",
        "lib/python3.11/ensurepip/_bundled/pip-23.2.1-py3-none-any.whl",
        "lib/python3.11/config-3.11-x86_64-linux-gnu/Makefile",
        "lib/libpython3.11.so.1.0",
        "lib/libpython3.so",
        "lib/x86_64-linux-gnu/libpython3.11.so.1.0",
        "lib64/python3.11/os.py",
        "lib/pkgconfig/python-3.11-embed.pc",
        "include/python3.11/Python.h",
        "include/x86_64-linux-gnu/python3.11/pyconfig.h",
    ],
)
def test_pythons_own_files_are_kept(path: str) -> None:
    assert PLAIN.keeps(path)


@pytest.mark.parametrize(
    "path",
    [
        "bin/python",
        "bin/python3",
        "bin/python3.1",
        "bin/python3.110",
        "bin/pip3",
        "bin/idle3.11",
        "lib/python3.11/site-packages/pip/__init__.py",
        "lib/python3.11/dist-packages/x.py",
        "lib/python3.11/test/test_os.py",
        "lib/python3.11/unittest/test/support.py",
        "lib/python3.11/idlelib/idle_test/htest.py",
        "lib/python3.11/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so",
        "lib/python3.11/lib-dynload/_ctypes_test.cpython-311-x86_64-linux-gnu.so",
        "lib/python3.11/__pycache__/os.cpython-311.pyc",
        "lib/python3.11/os.pyc",
        "lib/python3.11/EXTERNALLY-MANAGED",
        "lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11.a",
        "lib/python3.11/config-3.11-x86_64-linux-gnu/python.o",
        "lib/python3.12/os.py",
        "lib/python3/dist-packages/apt.py",
        "lib/libpython3.12.so.1.0",
        "lib/libssl.so.3",
        "share/man/man1/python3.11.1",
        "include/openssl/ssl.h",
    ],
)
def test_other_peoples_files_and_what_no_image_needs_are_left_out(path: str) -> None:
    assert not PLAIN.keeps(path)


@pytest.mark.parametrize("path", ["lib/tcl8.6/init.tcl", "lib/libtcl8.6.so", "share/terminfo/x/xterm"])
def test_a_prefix_of_pythons_alone_keeps_tcl_and_terminfo(path: str) -> None:
    assert WHOLE.keeps(path)
    assert not PLAIN.keeps(path)


@pytest.mark.parametrize("path", ["bin/pip3", "lib/python3.11/site-packages/pip/x.py", "share/man/man1/python3.1"])
def test_a_prefix_of_pythons_alone_still_drops_packages_and_manuals(path: str) -> None:
    assert not WHOLE.keeps(path)


def test_a_free_threaded_build_has_its_own_names() -> None:
    layout = Layout(stdlib="lib/python3.13t")
    assert layout.name == "python3.13t"
    assert layout.version == "3.13"
    assert layout.keeps("bin/python3.13t")
    assert layout.keeps("lib/python3.13t/os.py")
    assert layout.keeps("lib/libpython3.13t.so.1.0")


def test_an_odd_standard_library_is_refused_with_what_was_found() -> None:
    with pytest.raises(ScanError, match="lib/pypy"):
        Layout(stdlib="lib/pypy3.9").keeps("bin/pypy")


def test_walking_enters_no_folder_of_others(tmp_path: Path) -> None:
    for path in ("bin/python3.11", "lib/python3.11/os.py", "lib/python3.11/test/x.py", "lib/git-core/git", "src/x.c"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / "lib/git-core").chmod(0)  # entering it would be reported (unless one is root)
    told: list[str] = []
    found = sorted(PLAIN.walk(tmp_path, report=lambda path, _: told.append(path)))
    (tmp_path / "lib/git-core").chmod(0o755)
    assert found == ["bin/python3.11", "lib/python3.11/os.py"]
    assert told == []
    assert not PLAIN.enters("lib/git-core")
    assert not PLAIN.enters("lib/python3.11/test")


def test_a_folder_that_can_not_be_read_is_reported(tmp_path: Path) -> None:
    told: list[str] = []
    assert not list(PLAIN.walk(tmp_path / "absent", report=lambda path, _: told.append(path)))
    assert told == [""]


@pytest.mark.parametrize(
    "path",
    [
        "bin/python3.11-config",
        "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py",
        "lib/python3.14/_sysconfig_vars__linux_x86_64-linux-gnu.json",
        "lib/python3.14/build-details.json",
        "lib/python3.11/config-3.11-x86_64-linux-gnu/Makefile",
        "lib/pkgconfig/python-3.11.pc",
    ],
)
def test_files_that_the_build_fills_with_paths_are_generated(path: str) -> None:
    assert is_generated(path)


def test_the_library_itself_is_not_generated() -> None:
    assert not is_generated("lib/python3.11/sysconfig.py")
    assert not is_generated("lib/python3.11/lib-dynload/_ssl.so")


def test_the_standard_library_is_found_by_its_os_module() -> None:
    assert find_stdlib(iter(["bin/python3.13t", "lib/x/os.py", "lib/python3.13t/os.py"])) == "lib/python3.13t"
    with pytest.raises(ScanError, match=r"no `lib/pythonX.Y/os.py`"):
        find_stdlib(iter(["README"]))
