"""Scripts: what entry points become, which live scripts count as generated, and how live ones are mapped."""

import shlex
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import EntryPoint
from envcap.errors import ArchiveError
from envcap.scan.entry_points import parse_entry_points as scan_entry_points
from envcap.wheel.scripts import (
    SHEBANG,
    console_script,
    install_script,
    is_generated_script,
    map_live_script,
    parse_entry_points,
    versioned_twin,
)
from tests.scan.env_builder import make_wheel
from tests.wheel.script_texts import (
    BY_INSTALLER,
    PIP,
    PIP_OLD,
    PIP_TRAMPOLINE,
    UV,
    UV_RELOCATABLE,
    UV_TRAMPOLINE,
    script,
)

PYTHON = "/home/me/env/bin/python"
POINT = EntryPoint(name="demo", value="demo.cli:App.run")


def live(words: str, python: str = PYTHON) -> bytes:
    return script(words, POINT.value, python)


# Entry points


def test_entry_points_are_the_console_and_gui_scripts_sorted_by_name() -> None:
    text = (
        "# about\n[console_scripts]\nz = a.b:c.d\nA= x : y [extra]\n\n; old\n[gui_scripts]\nm=g:ui\n[other]\nno sense\n"
    )
    assert parse_entry_points(text, archive="a.whl") == (
        EntryPoint(name="A", value="x : y"),
        EntryPoint(name="m", value="g:ui", gui=True),
        EntryPoint(name="z", value="a.b:c.d"),
    )


def test_of_one_name_the_later_line_counts_and_console_before_gui() -> None:
    text = "[gui_scripts]\na = g:one\nb = g:two\n[console_scripts]\na = c:one\na = c:two\n[gui_scripts]\na = g:three\n"
    found = parse_entry_points(text, archive="a.whl")
    assert found == (EntryPoint(name="a", value="c:two"), EntryPoint(name="b", value="g:two", gui=True))


@pytest.mark.parametrize("text", ["", "\ufeff[console_scripts]\na = b:c\n", "a = b:c\n", "[x]\n[console_scripts]\r\n"])
def test_what_has_no_scripts_gives_none(text: str) -> None:
    assert parse_entry_points(text, archive="a.whl") == ()


@pytest.mark.parametrize(
    "line",
    [
        "../../../etc/cron.d/x = a:b",
        ".. = a:b",
        ". = a:b",
        ".wh.python = a:b",
        "/bin/sh = a:b",
        "a\\b = a:b",
        "x\0y = a:b",
        "n" * 256 + " = a:b",
        " = a:b",
        "a",
        "a = module",
        "a = module:",
        "a = :main",
        "a = os:system('x')",
        "a = os:system;import",
        "a = os\timport sys:b",
        "a = 1x:main",
        "a = m..n:main",
        "a = m:f.",
        "a b; c = m:f",
    ],
)
def test_a_hostile_or_senseless_entry_point_is_refused(line: str) -> None:
    with pytest.raises(ArchiveError, match=r"a\.whl: unexpected entry point .* \(expected `module:function`\)"):
        parse_entry_points(f"[console_scripts]\n{line}\n", archive="a.whl")


LINES = st.sampled_from(
    ["[console_scripts]", "[gui_scripts]", "[ console_scripts ]", "[x]", "", "# a", "; b", "a = m:f", "b=m.n:f.g",
     "  c = m:f [x,y]", "a = n:g", "A-b.c = m : f", "k : v", "a b = m:f\r"]
)  # fmt: skip


@given(st.lists(LINES, max_size=8).map("\n".join))
def test_the_scan_and_the_build_find_the_same_scripts(text: str) -> None:
    """A script that only one of them sees would make the live image differ from the rebuilt one."""
    scanned = scan_entry_points(text)
    try:
        built = parse_entry_points(text, archive="a.whl")
    except ArchiveError:
        assert scanned.odd
        return
    assert {point.name: console_script(point) for point in built} == {
        point.name: console_script(point) for point in scanned.entry_points
    }


# The recipe's own words


def test_a_console_script_has_these_words() -> None:
    assert console_script(POINT) == (
        b"#!/opt/env/bin/python\n"
        b"import sys\n"
        b"\n"
        b"from demo.cli import App\n"
        b"\n"
        b'if __name__ == "__main__":\n'
        b"    sys.exit(App.run())\n"
    )


def test_a_console_script_runs_its_function(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/cli.py").write_text(
        "class App:\n    @staticmethod\n    def run():\n        print('ran')\n        return 3\n"
    )
    (tmp_path / "tool").write_bytes(console_script(POINT))
    done = subprocess.run([sys.executable, tmp_path / "tool"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "ran\n", "")


def test_the_script_of_an_impossible_reference_is_refused() -> None:
    with pytest.raises(ArchiveError, match="Unexpected entry point 'x' = 'os'"):
        console_script(EntryPoint(name="x", value="os"))


# Generated or edited


@pytest.mark.parametrize("words", BY_INSTALLER.values(), ids=BY_INSTALLER)
@pytest.mark.parametrize(
    "first",
    [
        PYTHON,
        f"{PYTHON}3.11",
        "/opt/pypy/bin/pypy3",
        "/e/bin/python3.13t",
        '"/a b/bin/python"',
        PIP_TRAMPOLINE.format(python="/a b/bin/python3"),
        PIP_TRAMPOLINE.replace('"{python}"', "/long/bin/python"),
        UV_TRAMPOLINE.format(python="/a b/bin/python"),
        UV_TRAMPOLINE.format(python="/quo'\"'\"'te/bin/python"),
        UV_RELOCATABLE,
    ],
)
def test_what_installers_write_counts_as_generated(words: str, first: str) -> None:
    assert is_generated_script(live(words, first), POINT)


def test_the_recipe_s_own_script_counts_as_generated() -> None:
    assert is_generated_script(console_script(POINT), POINT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import sys\n", "import sys, os\n"),
        ("import sys\n", "import sys as re\n"),
        ("import sys\n", "import sys\nprint(1)\n"),
        ("from demo.cli import App\n", ""),
        ("from demo.cli import App\n", "from demo.cli import App as App\n"),
        ("from demo.cli import App\n", "from demo.cli import Other\n"),
        ("from demo.cli import App\n", "from evil import App\n"),
        ("from demo.cli import App\n", "from .demo.cli import App\n"),
        ("from demo.cli import App\n", "from demo.cli import App, x\n"),
        ("App.run()", "App.stop()"),
        ("App.run()", "App.run(1)"),
        ("sys.exit(App.run())", "App.run()"),
        ("'__main__'", "'__main_'"),
        ("removesuffix('.exe')", "removesuffix('.sh')"),
        ("    sys.argv[0] =", "    sys.argv[1] ="),
        ("    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n", "    import os\n"),
        ("    sys.exit(App.run())\n", "    sys.exit(App.run())\nelse:\n    print(1)\n"),
        ("    sys.exit(App.run())\n", "    sys.exit(App.run())\n    print(1)\n"),
        ("    sys.exit(App.run())\n", "    sys.exit(App.run())\nimport re\n"),
        ("if __name__", "if __name__ == '__main__':\n    print(1)\nif __name__"),
        ("if __name__", "while __name__"),
        (PYTHON, f"{PYTHON} -O"),
        (PYTHON, "/bin/sh"),
        (PYTHON, "/usr/bin/env -S python -X dev"),
        (f"#!{PYTHON}\n", ""),
        (f"#!{PYTHON}\n", "#!" + PIP_TRAMPOLINE.replace('"{python}"', f"{PYTHON} -O") + "\n"),
        (f"#!{PYTHON}\n", "#!" + PIP_TRAMPOLINE.replace('"{python}"', "'/unbalanced/bin/python") + "\n"),
        ("sys.exit", "sys .exit("),
        ("import sys\n", "import sys\0\n"),
        ("import sys\n", "x = " + "(" * 500 + "\n"),
    ],
)
def test_an_edited_script_does_not(old: str, new: str) -> None:
    text = PIP
    before = live(text)
    after = before.replace(old.encode(), new.encode(), 1)
    assert after != before
    assert not is_generated_script(after, POINT)


@pytest.mark.parametrize(
    "condition",
    ["sys.argv[0].endswith('.exe') or print(1)", "sys.argv[0].endswith(input())", "sys.argv[0].startswith('.exe')"],
)
def test_a_changed_condition_is_seen(condition: str) -> None:
    before = live(UV)
    after = before.replace(b'sys.argv[0].endswith(".exe")', condition.encode())
    assert after != before
    assert not is_generated_script(after, POINT)


def test_a_comment_is_no_edit() -> None:
    assert is_generated_script(live(PIP).replace(b"import sys\n", b"# a comment\nimport sys\n"), POINT)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/env/bin/python", b"#!/env/bin/python\n", b"\xff\xfe\n"])
def test_other_files_are_not_generated(data: bytes) -> None:
    assert not is_generated_script(data, POINT)


def test_the_script_of_another_entry_point_is_not_generated() -> None:
    assert not is_generated_script(live(PIP), EntryPoint(name="demo", value="demo.cli:main"))


def test_an_impossible_reference_has_no_generated_script() -> None:
    """The scan takes it as it finds it; a snapshot must not fail over it."""
    assert not is_generated_script(live(PIP), EntryPoint(name="demo", value="1x..y:main"))


@given(st.text(string.printable, max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    assert not is_generated_script(f"#!/e/bin/python\n{text}".encode(), POINT)


# Versioned twins


@pytest.mark.parametrize(
    ("path", "twin"),
    [
        ("bin/pip3.11", "pip"),
        ("bin/pip3", "pip"),
        ("bin/pip-3.11", "pip"),
        ("bin/easy_install-3.11", "easy_install"),
        ("bin/pip", None),
        ("bin/pip3.11.7", None),
        ("bin/pipx3", None),
        ("share/pip3", None),
    ],
)
def test_pip_s_versioned_scripts_repeat_an_entry_point(path: str, twin: str | None) -> None:
    points = (EntryPoint(name="easy_install", value="s:e"), EntryPoint(name="pip", value="p:main"))
    found = versioned_twin(path, points)
    assert (found.name if found else None) == twin
    assert versioned_twin(path, ()) is None


def test_a_versioned_script_that_is_an_entry_point_itself_repeats_none() -> None:
    points = (EntryPoint(name="pip", value="p:main"), EntryPoint(name="pip3", value="p:main"))
    assert versioned_twin("bin/pip3", points) is None


# A wheel's scripts


@pytest.mark.parametrize("first", ["#!python", "#!pythonw", "#!python3", "#!python -E", "#!python\r", "#!pythonic x"])
def test_a_placeholder_line_is_replaced_whole_as_pip_and_uv_do(first: str) -> None:
    assert install_script(f"{first}\nprint(1)\r\n".encode()) == SHEBANG + b"\nprint(1)\r\n"


def test_a_placeholder_without_a_line_after_it_is_replaced() -> None:
    assert install_script(b"#!python") == SHEBANG + b"\n"


@pytest.mark.parametrize(
    "data", [b"", b"#! python\nx", b"#!/usr/bin/env python\n", b"#!/bin/sh\n", b"\n#!python\n", b"x"]
)
def test_other_scripts_stay_as_they_are(data: bytes) -> None:
    assert install_script(data) == data


# Live scripts

PREFIXES = (b"/home/me/env", b"/data/my env", b"/quo'te")


@pytest.mark.parametrize(
    ("first", "mapped"),
    [
        ("#!/home/me/env/bin/python", ""),
        ("#!/home/me/env/bin/python3", ""),
        ("#!/home/me/env/bin/python3.11", ""),
        ("#! /home/me/env/bin/python -u", " -u"),
        ("#!/home/me/env/bin/python\r", ""),
        ("#!/data/my env/bin/python", ""),
        ("#!" + PIP_TRAMPOLINE.format(python="/data/my env/bin/python3.11"), ""),
        ("#!" + PIP_TRAMPOLINE.replace('"{python}"', "/home/me/env/bin/python"), ""),
        ("#!" + UV_TRAMPOLINE.format(python="/data/my env/bin/python"), ""),
        ("#!" + UV_TRAMPOLINE.format(python="/quo'\"'\"'te/bin/python"), ""),
        ("#!" + UV_RELOCATABLE, ""),
    ],
)
def test_a_live_script_is_mapped_to_the_image(first: str, mapped: str) -> None:
    rest = b"import os\nprint('#!/home/me/env/bin/python')\n"
    assert map_live_script(first.encode() + b"\n" + rest, prefixes=PREFIXES) == (
        SHEBANG + mapped.encode() + b"\n" + rest
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/home/me/env/bin/python",
        b"#!/usr/bin/python3\n",
        b"#!/usr/bin/env python\n",
        b"#!/home/me/env2/bin/python\n",
        b"#!/home/me/env/sub/bin/python\n",
        b"#!/home/me/env/bin/pythonic\n",
        b"#!/home/me/env/bin/python3.11-config\n",
        b"#!/bin/sh\necho\n",
        b"#!/bin/sh\n'''exec' \"/elsewhere/bin/python\" \"$0\" \"$@\"\n' '''\n",
        b"#!/bin/sh\n'''exec' '/home/me/env/bin/python \"$0\" \"$@\"\n' '''\n",
        b"#!/bin/sh\n'''exec' /home/me/env/bin/python -O \"$0\" \"$@\" x\n' '''\n",
        b"\x7fELF",
    ],
)
def test_a_script_of_another_interpreter_stays_as_it_is(data: bytes) -> None:
    assert map_live_script(data, prefixes=PREFIXES) == data


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20).map(
        lambda name: f"/srv/{name}"
    )
)
def test_every_prefix_that_a_shell_quotes_is_mapped(prefix: str) -> None:
    quoted = shlex.quote(f"{prefix}/bin/python")
    data = f"#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\nx = 1\n".encode()
    assert map_live_script(data, prefixes=(prefix.encode(),)) == SHEBANG + b"\nx = 1\n"


# Real installers


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["plain", "with space", "quo'te", "l" * 110])
@pytest.mark.parametrize("installer", ["pip", "uv", "uv-relocatable"])
def test_real_installers_write_what_is_known_here(tmp_path: Path, installer: str, folder: str) -> None:
    wheel = make_wheel(
        tmp_path,
        "demo",
        {
            "demo/__init__.py": "",
            "demo/cli.py": "class App: ...",
            "demo-1.0.data/scripts/tool": "#!python3 -E\nx = 1\n",
        },
        entry_points="[console_scripts]\ndemo = demo.cli:App.run\n",
    )
    prefix = tmp_path / folder
    uv = [sys.executable, "-m", "uv"]
    options = ["--relocatable"] if installer == "uv-relocatable" else []
    subprocess.run([*uv, "venv", *options, "--python", sys.executable, prefix], check=True, capture_output=True)
    python = str(prefix / "bin/python")
    if installer == "pip":
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", str(wheel)]
    else:
        command = [*uv, "pip", "install", "--offline", "--python", python, str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    assert is_generated_script((prefix / "bin/demo").read_bytes(), POINT)
    tool = map_live_script((prefix / "bin/tool").read_bytes(), prefixes=(str(prefix).encode(),))
    assert tool == install_script(b"#!python3 -E\nx = 1\n")


def test_the_texts_here_are_those_of_two_eras() -> None:
    assert b"removesuffix" in live(PIP)
    assert b"re.sub" in live(PIP_OLD)
