"""The faithful property of editable installs: what is captured gives the files that are live, whatever they are."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.scan.editable import expand_editables
from tests.scan.env_builder import SITE, add_dist, make_env, write
from tests.wheel.installs import Both, both_sides, facts

EDITABLE = '{"url": "file:///somewhere/proj", "dir_info": {"editable": true}}'
POINTERS = ("path", "setuptools", "editables", "develop")

names = st.text("abcé -_1", min_size=1, max_size=5).map(lambda text: f"f{text.strip()}")
contents = st.sampled_from([b"", b"x = 1\n", b"#!python\n", b"#!/usr/bin/env python\nx\n", b"\x7fELF" + bytes(400)])
trees = st.dictionaries(
    st.tuples(st.lists(names, max_size=2).map(tuple), names, st.sampled_from([".py", ".so", ".txt", ""])).map(
        lambda parts: "/".join(("proj", *(f"{part}_d" for part in parts[0]), f"{parts[1]}{parts[2]}"))
    ),
    st.tuples(contents, st.booleans()),
    max_size=6,
)


def make(folder: Path, pointer: str, tree: dict[str, tuple[bytes, bool]]) -> Path:
    """An environment with one editable install, by one kind of pointer."""
    src = folder / "project/src"
    write(src, {"proj/__init__.py": "", **{path: data for path, (data, _) in tree.items()}})
    for path, (_, executable) in tree.items():
        (src / path).chmod(0o755 if executable else 0o644)
    prefix = make_env(folder)
    finder = {
        "setuptools": f"MAPPING = {{'proj': '{src}/proj'}}\n",
        "editables": f"F.map_module('proj', '{src}/proj')\n",
    }
    if pointer == "develop":
        info = "Metadata-Version: 2.1\nName: proj\nVersion: 1.0\n"
        write(src, {"proj.egg-info/PKG-INFO": info})
        write(prefix, {f"{SITE}/proj.egg-link": f"{src}\n../", f"{SITE}/easy-install.pth": f"{src}\n"})
        return prefix
    files = {"proj.pth": f"{src}\n"} if pointer == "path" else {"_f.py": finder[pointer], "_f.pth": "import _f\n"}
    add_dist(prefix, "proj", files, metadata={"direct_url.json": EDITABLE})
    return prefix


def sides(folder: Path, pointer: str, tree: dict[str, tuple[bytes, bool]]) -> Both:
    prefix = make(folder, pointer, tree)
    return both_sides(prefix, [], folder / "kept", prove=False, complete=expand_editables)


@pytest.mark.parametrize("pointer", POINTERS)
@given(tree=trees)
@settings(max_examples=25, deadline=None)
def test_any_project_gives_one_image_from_both_sides(pointer: str, tree: dict[str, tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        both = sides(Path(folder), pointer, tree)
        assert facts(both.rebuilt) == facts(both.live)
        assert {f"{SITE}/{path}" for path in tree} <= set(both.paths())
        for _, _, _, _, data in facts(both.rebuilt):
            assert folder.encode() not in data


@given(tree=trees)
@settings(max_examples=10, deadline=None)
def test_a_project_gives_the_same_bytes_wherever_it_lies(tree: dict[str, tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first, second = (sides(Path(folder), "setuptools", tree) for folder in (one, other))
        assert first.packages == second.packages
        assert first.keeper.archives == second.keeper.archives
