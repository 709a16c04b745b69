"""Telling an environment's furniture, bytecode and caches from content."""

import pytest

from envcap.scan.files import TreeFile
from envcap.scan.furniture import (
    cache_reason,
    entry_point_of_script,
    furniture_reason,
    is_bytecode,
    requirement_of_script,
)

FILE = TreeFile(0o644, 1, 1)


@pytest.mark.parametrize(
    "path", ["bin/python", "bin/python3", "bin/python3.11", "bin/python3.13t", "bin/pypy3.10", "bin/pypy3"]
)
def test_interpreter_links_are_furniture(path: str) -> None:
    assert furniture_reason(path, FILE) == "interpreter"


@pytest.mark.parametrize(
    "path",
    [
        "pyvenv.cfg",
        ".gitignore",
        ".lock",
        "CACHEDIR.TAG",
        "bin/activate",
        "bin/activate.fish",
        "bin/Activate.ps1",
        "bin/activate_this.py",
        "bin/deactivate.bat",
        "lib/python3.11/site-packages/_virtualenv.pth",
    ],
)
def test_what_venv_and_uv_make_is_furniture(path: str) -> None:
    assert furniture_reason(path, FILE) == "venv"


@pytest.mark.parametrize("path", ["pip.conf", "pip.ini", "uv.toml", ".netrc", ".pypirc", ".condarc"])
def test_settings_of_installers_in_the_prefix_are_left_out(path: str) -> None:
    assert furniture_reason(path, FILE) == "installer"
    assert furniture_reason(f"share/{path}", FILE) == ""


@pytest.mark.parametrize(
    "path",
    [
        "bin/python-argcomplete-check-easy-install-script",
        "bin/activate-global-python-argcomplete",
        "bin/python3-config",
        "bin/pip",
        "sub/pyvenv.cfg",
        "lib/python3.11/site-packages/.gitignore",
        "lib64",
    ],
)
def test_scripts_that_only_look_like_furniture_are_content(path: str) -> None:
    assert furniture_reason(path, FILE) == ""


@pytest.mark.parametrize(("target", "reason"), [("lib", "venv"), ("/usr/lib", ""), ("bin", "")])
def test_lib64_is_furniture_only_as_a_link_to_lib(target: str, reason: str) -> None:
    assert furniture_reason("lib64", TreeFile(0o777, 0, 1, target, is_link=True)) == reason


@pytest.mark.parametrize(
    ("path", "has_source", "expected"),
    [
        ("a/__pycache__/b.cpython-311.pyc", False, True),
        ("a/__pycache__/b.cpython-311.opt-1.pyc", True, True),
        ("a/__pycache__/b.cpython-311.pyc.140012345", False, True),
        ("__pycache__/b.pyc", False, True),
        ("a/b.pyc", True, True),
        ("a/b.pyc", False, False),
        ("a/__pycache__/data.json", True, False),
        ("a/b.py", True, False),
    ],
)
def test_bytecode_is_what_python_can_make_again(path: str, has_source: bool, expected: bool) -> None:  # noqa: FBT001 - parametrized
    assert is_bytecode(path, has_source=has_source) is expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("lib/python3.11/site-packages/a/__pycache__/f-1.py311.nbi", "cache"),
        (".mypy_cache/3.11/x.json", "cache"),
        ("lib/python3.11/site-packages/~umpy/core.so", "installer"),
        ("lib/python3.11/site-packages/~umpy-1.0.dist-info/METADATA", "installer"),
        ("lib/python3.11/site-packages/a/~b/c.py", ""),
        ("lib/python3.11/site-packages/a/f.nbi", ""),
        ("share/x", ""),
        ("site-packages", ""),
    ],
)
def test_caches_and_leftovers_are_named(path: str, reason: str) -> None:
    assert cache_reason(path) == reason


PIP = b"""#!/env/bin/python3.11
# -*- coding: utf-8 -*-
import re
import sys
from pkg.cli import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""
UV = PIP.replace(b"import re\n", b"").replace(b"main", b"Main").replace(b"Main())", b"Main.run())")
LONG = b"#!/bin/sh\n'''exec' \"/a very long/python\" \"$0\" \"$@\"\n' '''\n" + PIP.partition(b"\n")[2]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (PIP, "pkg.cli:main"),
        (UV, "pkg.cli:Main.run"),
        (LONG, "pkg.cli:main"),
        (PIP.replace(b"\n", b"\r\n"), "pkg.cli:main"),
    ],
)
def test_generated_script_tells_its_entry_point(data: bytes, value: str) -> None:
    assert entry_point_of_script(data) == value


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\necho\n", PIP[1:], PIP.replace(b"sys.exit(main", b"sys.exit(other")])
def test_other_scripts_tell_none(data: bytes) -> None:
    assert entry_point_of_script(data) == ""


def test_easy_install_script_tells_its_requirement() -> None:
    assert (
        requirement_of_script(b"#!/x\n# EASY-INSTALL-ENTRY-SCRIPT: 'My-Pkg==1.0','console_scripts','x'\n") == "My-Pkg"
    )
    assert requirement_of_script(b"#!/x\n# EASY-INSTALL-SCRIPT: 'pkg==1','x.py'\n") == "pkg"
    assert requirement_of_script(PIP) == ""
