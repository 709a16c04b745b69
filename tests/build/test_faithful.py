"""The faithful property: the files that a wheel gives are those that its installation gives, whatever was edited.

Recipe 1, rule 3, from both sides; and the same for distributions that are captured.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lock.wheels import SITE
from tests.wheel.installs import Both, Wheel, both_sides, facts, install, make_wheel, new_env, put
from tests.wheel.members import Packing
from tests.wheel.script_texts import BY_INSTALLER, PIP

INFO = f"{SITE}/demo-1.0.dist-info"
POINTS = "[console_scripts]\ndemo = demo:main\n[gui_scripts]\ndemo-ui = demo.ui:App.run\n"

EVERYTHING = {
    "demo/__init__.py": b"def main(): ...\n" * 40,
    "demo/empty.py": b"",
    "demo/tiny.txt": b"x",
    "demo/299.bin": b"y" * 299,
    "demo/300.bin": b"z" * 300,
    "demo/data,with comma.csv": b"1,2\n",
    "demo/naïve.py": b"",
    "demo/tool.sh": b"#!/bin/sh\n",
    "demo/_vendor/other-1.dist-info/RECORD": b"other.py,,\n",
    "demo/_vendor/other-1.dist-info/INSTALLER": b"pip\n",
    "demo/__pycache__/old.cpython-38.pyc": b"old",
    "demo/both.py": b"",
    "demo/both.pyc": b"beside its source",
    "demo/alone.pyc": b"without source",
    "@data/purelib/pure.py": b"",
    "@data/platlib/plat.so": b"\x7fELF" + b"\0" * 400,
    "@data/scripts/tool": b"#!python -E\r\nprint(1)\n",
    "@data/scripts/shell": b"#!/bin/sh\necho\n",
    "@data/scripts/binary": b"\x7fELF" + b"\1" * 400,
    "@data/scripts/empty": b"",
    "@data/headers/demo.h": b"int x;\n",
    "@data/data/share/man/demo.1": b".TH demo\n",
    "@data/data/bin/shipped": b"#!python\nnot a script of the scheme\n",
    "@data/data/etc/demo.conf": b"a = 1\n",
    "@info/licenses/LICENSE": b"MIT\n",
}  # fmt: skip
PACKING = Packing(
    stored=frozenset({"demo/tiny.txt", "demo/300.bin"}),
    described=frozenset({"demo/__init__.py", "demo/empty.py"}),
    executable=frozenset({"demo/tool.sh"}),
    folders=("demo", "demo/empty_folder"),
)


def everything() -> Wheel:
    return make_wheel(EVERYTHING, entry_points=POINTS, packing=PACKING)


def check(both: Both) -> Both:
    assert facts(both.rebuilt) == facts(both.live)
    return both


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("words", BY_INSTALLER.values(), ids=BY_INSTALLER)
def test_a_wheel_and_its_installation_give_the_same_files(tmp_path: Path, words: str, newline: str) -> None:
    prefix = new_env(tmp_path)
    install(prefix, everything(), words=words, newline=newline)
    both = check(both_sides(prefix, [everything()], tmp_path / "kept"))
    assert both.packages[0].patches == ()
    bodies = {entry.path.removeprefix("opt/env/"): b"".join(entry.content.chunks()) for entry in both.live}
    assert {"etc/demo.conf", "share/man/demo.1", "include/site/python3.11/demo/demo.h"} <= set(bodies)
    assert bodies["bin/tool"] == b"#!/opt/env/bin/python\nprint(1)\n"
    assert bodies["bin/shipped"].startswith(b"#!python\n")
    assert bodies[f"{INFO}/INSTALLER"] == b"envcap\n"
    assert f"{SITE}/demo/_vendor/other-1.dist-info/RECORD" in bodies
    assert f"{SITE}/demo/alone.pyc" in bodies
    left_out = ["RECORD", "REQUESTED", "direct_url.json"]
    assert not any(f"{INFO}/{name}" in bodies for name in left_out)
    assert not any(path.endswith((".cpython-38.pyc", "both.pyc")) for path in bodies)


def test_modes_are_by_place_and_x_bit(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    install(prefix, everything())
    modes = {
        entry.path.removeprefix("opt/env/"): entry.mode
        for entry in both_sides(prefix, [everything()], tmp_path / "k").rebuilt
    }
    assert {path for path, mode in modes.items() if mode == 0o755 and "." in path.rpartition("/")[2]} >= {
        f"{SITE}/demo/tool.sh"
    }
    assert modes["bin/empty"] == modes["bin/shipped"] == modes["bin/demo"] == 0o755
    assert modes["etc/demo.conf"] == modes[f"{SITE}/plat.so"] == 0o644


@pytest.mark.parametrize("spelled", ["Demo", "demo", "DEMO"])
def test_the_spelling_of_the_dist_info_folder_is_kept(tmp_path: Path, spelled: str) -> None:
    prefix = new_env(tmp_path)
    wheel = make_wheel({"demo.py": b"", "@data/headers/a.h": b""}, spelled=spelled)
    install(prefix, wheel)
    both = check(both_sides(prefix, [wheel], tmp_path / "kept"))
    assert f"{SITE}/{spelled}-1.0.dist-info/INSTALLER" in both.paths()
    assert f"include/site/python3.11/{spelled}/a.h" in both.paths()


@pytest.mark.parametrize("prove", [True, False])
def test_an_environment_in_a_folder_with_spaces(tmp_path: Path, prove: bool) -> None:  # noqa: FBT001 - a parameter of the test
    (tmp_path / "my folder").mkdir()
    prefix = new_env(tmp_path / "my folder")
    install(prefix, everything())
    both = check(both_sides(prefix, [everything()], tmp_path / "kept", prove=prove))
    assert both.packages[0].patches == ()


def test_a_captured_wheel_gives_the_same_files(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    install(prefix, everything())
    both = check(both_sides(prefix, [everything()], tmp_path / "kept", prove=False))
    assert both.packages[0].artifacts[0].file == "demo-1.0-py3-none-any.whl"
    proven = both_sides(prefix, [everything()], tmp_path / "kept2")
    assert facts(both.live) == facts(proven.live)


def test_a_captured_tree_gives_the_same_files(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    install(prefix, everything())
    (prefix / INFO / "WHEEL").unlink()
    (prefix / SITE / "demo/link").symlink_to("tiny.txt")
    record = prefix / INFO / "RECORD"
    record.write_text(record.read_text() + "demo/link,,\n")
    both = check(both_sides(prefix, [], tmp_path / "kept", prove=False))
    assert both.packages[0].artifacts[0].file == "demo-1.0.tree.zip"
    assert [patch.path for patch in both.packages[0].patches] == [f"{SITE}/demo/link"]
    assert f"{INFO}/INSTALLER" not in both.paths()


def test_an_egg_is_captured_as_a_tree(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    info = f"{SITE}/old-2.0.egg-info"
    put(prefix, f"{info}/PKG-INFO", b"Metadata-Version: 1.0\nName: old\nVersion: 2.0\n")
    put(prefix, f"{info}/installed-files.txt", b"../old.py\n../../../../bin/old\nPKG-INFO\n")
    put(prefix, f"{SITE}/old.py", b"x = 1\n")
    put(prefix, "bin/old", f"#!{prefix}/bin/python\nimport old\n".encode(), executable=True)
    both = check(both_sides(prefix, [], tmp_path / "kept", prove=False))
    bodies = {entry.path: b"".join(entry.content.chunks()) for entry in both.rebuilt}
    assert bodies["opt/env/bin/old"] == b"#!/opt/env/bin/python\nimport old\n"
    assert both.packages[0].artifacts[0].file == "old-2.0.tree.zip"


def test_two_distributions_that_share_an_edited_file(tmp_path: Path) -> None:
    """The one whose bytes are live keeps it; the other leaves it out."""
    prefix = new_env(tmp_path)
    one = make_wheel({"a.py": b"", "shared/x.py": b"one\n"}, name="one")
    two = make_wheel({"b.py": b"", "shared/x.py": b"two\n"}, name="two")
    install(prefix, one)
    install(prefix, two)
    both = check(both_sides(prefix, [one, two], tmp_path / "kept"))
    assert [[(patch.path, patch.change) for patch in row.patches] for row in both.packages] == [
        [(f"{SITE}/shared/x.py", "deleted")],
        [],
    ]


def test_two_distributions_whose_shared_file_is_edited_both_have_the_patch(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    wheels = [make_wheel({f"{name}.py": b"", "shared.py": b"same\n"}, name=name) for name in ("one", "two")]
    for wheel in wheels:
        install(prefix, wheel)
    put(prefix, f"{SITE}/shared.py", b"mine\n")
    both = check(both_sides(prefix, wheels, tmp_path / "kept"))
    assert [[patch.change for patch in row.patches] for row in both.packages] == [["edited"], ["edited"]]


# Any edits

EDITED = st.sampled_from(
    [
        f"{SITE}/demo/__init__.py", f"{SITE}/demo/empty.py", f"{SITE}/demo/300.bin", f"{SITE}/demo/tool.sh",
        f"{SITE}/plat.so", "bin/demo", "bin/demo-ui", "bin/tool", "bin/shell", "bin/binary", "bin/empty",
        "bin/shipped", "etc/demo.conf", f"{INFO}/entry_points.txt", f"{INFO}/licenses/LICENSE",
        f"{INFO}/new.txt", f"{INFO}/folder/new.py", "include/site/python3.11/demo/demo.h",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        b"", b"mine\n", b"#!python\nmine\n", b"#!@prefix/bin/python\nmine\n", b"#!@prefix/bin/python3.11 -E\nmine\n",
        b"#!/usr/bin/env python\n", b"#!/bin/sh\n", b"#!/opt/env/bin/python\nmine\n", b"#!/opt/env/bin/python -u\n",
        b"[console_scripts]\ndemo = demo:other\nnew = demo:main\n", b"\xff\xfe", b"x" * 3000,
    ]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.just("write"), EDITED, BODIES)
    | st.tuples(st.sampled_from(["delete", "link", "chmod +x", "chmod -x"]), EDITED, st.just(b"")),
    max_size=6,
)


def edit(prefix: Path, action: str, path: str, body: bytes) -> None:
    place = prefix / path
    there = place.is_symlink() or place.exists()
    match action:
        case "write":
            executable = there and bool(place.lstat().st_mode & 0o111)
            put(prefix, path, body.replace(b"@prefix", str(prefix).encode()), executable=executable)
        case "delete" if there:
            place.unlink()
        case "link" if there:
            place.unlink()
            place.symlink_to("elsewhere")
        case "chmod +x" | "chmod -x" if there and not place.is_symlink():
            place.chmod(0o755 if action == "chmod +x" else 0o644)
        case _:
            pass


@settings(max_examples=150, deadline=None)
@given(
    edits=EDITS,
    prove=st.booleans(),
    words=st.sampled_from(sorted(BY_INSTALLER)),
    folder=st.sampled_from(["plain", "with space"]),
)
def test_whatever_was_edited_both_sides_are_equal(
    edits: list[tuple[str, str, bytes]],
    prove: bool,  # noqa: FBT001 - a parameter of the test
    words: str,
    folder: str,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary, folder)
        base.mkdir()
        prefix = new_env(base)
        install(prefix, everything(), words=BY_INSTALLER[words])
        for action, path, body in edits:
            edit(prefix, action, path, body)
        check(both_sides(prefix, [everything()], base / "kept", prove=prove))


BODY = st.binary(max_size=20) | st.sampled_from([b"#!python\nx\n", b"#!/bin/sh\n", b"x" * 700])
PART = st.text("abcé_-.", min_size=1, max_size=4).filter(
    lambda name: name.strip(".") and not name.endswith(".dist-info")
)
SCHEMES = st.sampled_from(
    ["", "@data/purelib/", "@data/platlib/", "@data/scripts/", "@data/data/share/", "@data/headers/"]
)


@settings(max_examples=80, deadline=None)
@given(
    files=st.dictionaries(st.tuples(SCHEMES, PART), BODY, max_size=8),
    stored=st.booleans(),
    prove=st.booleans(),
    words=st.sampled_from(sorted(BY_INSTALLER)),
)
def test_whatever_a_wheel_holds_both_sides_are_equal(
    files: dict[tuple[str, str], bytes],
    stored: bool,  # noqa: FBT001 - a parameter of the test
    prove: bool,  # noqa: FBT001 - a parameter of the test
    words: str,
) -> None:
    # One name a place: what lies in purelib, platlib and the root goes to one folder.
    roots = {"", "@data/purelib/", "@data/platlib/"}
    places: dict[tuple[str, str], str] = {}
    for scheme, name in files:
        places.setdefault(("" if scheme in roots else scheme, name.casefold()), f"{scheme}{name}")
    members = {path: body for (scheme, name), body in files.items() if (path := f"{scheme}{name}") in places.values()}
    packing = Packing(stored=frozenset(members)) if stored else Packing()
    wheel = make_wheel(members, entry_points=POINTS, packing=packing)
    with tempfile.TemporaryDirectory() as temporary:
        prefix = new_env(Path(temporary))
        install(prefix, wheel, words=BY_INSTALLER[words])
        check(both_sides(prefix, [wheel], Path(temporary, "kept"), prove=prove))


def test_an_untouched_wheel_needs_no_patch_whoever_installed_it(tmp_path: Path) -> None:
    prefix = new_env(tmp_path)
    wheel = make_wheel({"demo.py": b"x\n"}, entry_points=POINTS)
    install(prefix, wheel, words=PIP)
    assert both_sides(prefix, [wheel], tmp_path / "kept").packages[0].patches == ()
