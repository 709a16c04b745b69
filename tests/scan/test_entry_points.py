"""Reading entry_points.txt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import EntryPoint
from envcap.scan.entry_points import parse_entry_points


def test_scripts_keep_their_case_and_lose_their_extras() -> None:
    text = """
# comment
[console_scripts]
Tool = pkg.cli:Main.run [fast,slow]
; another comment
tool=pkg:main
[other.group]
plugin = pkg:plugin
[gui_scripts]
show = pkg.gui : main
"""

    scripts = parse_entry_points(text)

    assert scripts.entry_points == (
        EntryPoint(name="Tool", value="pkg.cli:Main.run"),
        EntryPoint(name="show", value="pkg.gui:main", gui=True),
        EntryPoint(name="tool", value="pkg:main"),
    )
    assert scripts.odd == 0


@pytest.mark.parametrize(
    "line",
    [
        "no value",
        "a =",
        "= pkg:main",
        "a = pkg",
        "../../x = pkg:main",
        "a/b = pkg:main",
        ".. = p:m",
        "a\x1b = p:m",
        "a = p:m; rm",
    ],
)
def test_line_that_names_no_usable_script_is_counted(line: str) -> None:
    scripts = parse_entry_points(f"[console_scripts]\n{line}\nok = pkg:main\n")

    assert [one.name for one in scripts.entry_points] == ["ok"]
    assert scripts.odd == 1


def test_later_line_and_console_win() -> None:
    scripts = parse_entry_points("[console_scripts]\na = p:one\na = p:two\n[gui_scripts]\na = p:three\n")

    assert scripts.entry_points == (EntryPoint(name="a", value="p:two"),)


@given(st.text(max_size=200))
def test_any_text_gives_scripts_that_stay_in_their_folder(text: str) -> None:
    for one in parse_entry_points(f"[console_scripts]\n{text}").entry_points:
        assert "/" not in one.name
        assert one.name not in ("", ".", "..")
