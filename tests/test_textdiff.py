"""A diff of two texts: what `diff -u` and `patch` make of it, and its bounds."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.textdiff import TextDiff, compare_texts

TEXTS = st.lists(st.sampled_from(("a\n", "b\n", "c\n", "\n", "x\r\n", "é\n"))).map("".join)


def apply_diff(old: str, lines: tuple[str, ...]) -> str:
    """Apply a unified diff, knowing nothing of how it was made."""
    steps: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("\\"):
            steps[-1] = steps[-1][0], steps[-1][1].removesuffix("\n")
        else:
            steps.append((line[0], line if line[0] == "@" else f"{line[1:]}\n"))
    source = re.findall(r"[^\n]*\n|[^\n]+", old)
    result: list[str] = []
    at = 0
    for mark, text in steps:
        if mark == "@":
            first, _, length = text.split()[1].removeprefix("-").partition(",")
            start = int(first) - (length != "0")
            result += source[at:start]
            at = start
        if mark in " -":
            assert source[at] == text
            at += 1
        if mark in " +":
            result.append(text)
    return "".join([*result, *source[at:]])


@given(old=TEXTS, new=TEXTS, cut=st.booleans())
def test_the_diff_turns_the_old_text_into_the_new(old: str, new: str, cut: bool) -> None:  # noqa: FBT001
    new = new.removesuffix("\n") if cut else new
    diff = compare_texts(old.encode(), new.encode(), limit=1000)
    assert (diff.note, diff.hidden) == ("", 0)
    assert apply_diff(old, diff.lines) == new
    assert (diff.lines == ()) == (old == new)


@given(old=TEXTS, new=TEXTS, limit=st.integers(0, 8))
def test_a_diff_is_cut_off_at_its_limit_and_the_rest_counted(old: str, new: str, limit: int) -> None:
    whole = compare_texts(old.encode(), new.encode(), limit=1000).lines
    part = compare_texts(old.encode(), new.encode(), limit=limit)
    assert part == TextDiff(lines=whole[:limit], hidden=max(0, len(whole) - limit))


@pytest.mark.skipif(not shutil.which("diff"), reason="there is no diff")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VALUE = 2\n", "VALUE = 3\n"),
        ("", "one\ntwo\n"),
        ("one\ntwo\n", ""),
        ("".join(f"{n}\n" for n in range(100)), "".join(f"{n}\n" for n in range(100) if n not in {20, 70})),
        ("a\nb\nc", "a\nb\nc\n"),
        ("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
    ],
)
def test_it_is_what_diff_prints(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "old").write_text(old)
    (tmp_path / "new").write_text(new)
    printed = subprocess.run(
        ["diff", "-u", "old", "new"], cwd=tmp_path, capture_output=True, check=False, encoding="utf-8"
    ).stdout
    assert compare_texts(old.encode(), new.encode(), limit=100).lines == tuple(printed.splitlines()[2:])


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (b"a\0b", b"a", "binary: 3 bytes before, 1 after"),
        (b"a", b"\xff\xfe", "binary: 1 bytes before, 2 after"),
        (b"a", bytes((1 << 20) + 1), "too large for a diff: 1 bytes before, 1048577 after"),
        (b"a\n" * 3000, b"b\n" * 3000, "too different for a diff: 3000 lines before, 3000 after"),
    ],
)
def test_what_has_no_diff_is_said(old: bytes, new: bytes, note: str) -> None:
    assert compare_texts(old, new, limit=9) == TextDiff(note=note)


def test_one_change_in_a_long_text_is_fast_and_long_lines_are_cut() -> None:
    old = b"".join(b"line %d\n" % number for number in range(60_000))
    diff = compare_texts(old, old.replace(b"line 30000\n", b"x" * 500 + b"\n"), limit=20)
    assert len(diff.lines) == 9
    assert diff.lines[0] == "@@ -29998,7 +29998,7 @@"
    assert diff.lines[5] == "+" + "x" * 158 + "…"
