"""Distributions that no artifact explains: a wheel again where that is possible, else a tree of files."""

import csv
import io
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.environment import Distribution, EntryPoint, InstalledFile
from envcap.lock.capture import capture_distribution, captured_name, is_wheel
from tests.lock.wheels import LAYOUT, SITE, install, put, wheel_files
from tests.wheel.script_texts import UV, script

INFO = "demo-1.0.dist-info"
POINT = EntryPoint(name="demo", value="demo:main")


@pytest.fixture
def demo(tmp_path: Path) -> Distribution:
    files = {
        "demo/__init__.py": b"x = 1\n",
        "demo/run.sh": b"#!/bin/sh\n",
        "demo/__pycache__/x.cpython-311.pyc": b"",
        "demo-1.0.data/scripts/tool": b"#!python\nx\n",
        "demo-1.0.data/data/share/a,b": b"",
    }
    return install(tmp_path, "demo", "1.0", wheel_files("demo", "1.0", files), entry_points=(POINT,))


def captured(distribution: Distribution, prefix: Path, left_out: frozenset[str] = frozenset()) -> dict[str, bytes]:
    data = bytearray()
    capture_distribution(distribution, prefix=prefix, layout=LAYOUT, left_out=left_out, write=data.extend)
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_is_put_together_again(tmp_path: Path, demo: Distribution) -> None:
    found = captured(demo, tmp_path, frozenset({"bin/demo"}))
    assert list(found) == [
        "demo-1.0.data/data/share/a,b",
        "demo-1.0.data/scripts/tool",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
        "demo/__init__.py",
        "demo/run.sh",
        f"{INFO}/RECORD",
    ]
    assert found["demo-1.0.data/scripts/tool"] == b"#!python\nx\n"
    rows = list(csv.reader(io.StringIO(found[f"{INFO}/RECORD"].decode())))
    assert [row[0] for row in rows] == list(found)
    assert rows[-1] == [f"{INFO}/RECORD", "", ""]
    assert rows[0][1:] == ["sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "0"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path, demo: Distribution) -> None:
    once, twice = bytearray(), bytearray()
    shuffled = replace(demo, files=tuple(reversed(demo.files)))
    for distribution, data in ((demo, once), (shuffled, twice)):
        capture_distribution(distribution, prefix=tmp_path, layout=LAYOUT, left_out=frozenset(), write=data.extend)
    assert sha256(once).digest() == sha256(twice).digest()


@pytest.mark.parametrize(
    ("body", "member"),
    [
        (b"#!@/bin/python\nx\n", "scripts"),
        (b"#!@/bin/python -E\nx\n", "scripts"),
        (b"#!/usr/bin/python3\nx\n", "scripts"),
        (b"\x7fELF", "scripts"),
        (b"", "scripts"),
        (b"#!python\nx\n", "data/bin"),
        (b"#!python3\n", "data/bin"),
    ],
)
def test_a_file_of_bin_is_a_script_unless_it_looks_like_a_wheel_s(
    tmp_path: Path, demo: Distribution, body: bytes, member: str
) -> None:
    file = put(tmp_path, "bin/own", body.replace(b"@", str(tmp_path).encode()), executable=True)
    found = captured(replace(demo, files=(*demo.files, file)), tmp_path)
    expected = body.replace(b"@/bin/python\n", b"python\n").replace(b"@", b"/opt/env")
    assert found[f"demo-1.0.data/{member}/own"] == expected


def test_pip_s_versioned_scripts_are_left_out(tmp_path: Path, demo: Distribution) -> None:
    pip = EntryPoint(name="pip", value="pip:main")
    file = put(tmp_path, "bin/pip3", script(UV, pip.value, f"{tmp_path}/bin/python"), executable=True)
    found = captured(replace(demo, files=(file,), entry_points=(pip,)), tmp_path)
    assert not any("pip3" in name for name in found)


def test_a_tree_holds_paths_of_the_prefix_and_no_links(tmp_path: Path, demo: Distribution) -> None:
    link = InstalledFile(path="share/link", mode=0o777, size=0, sha256="", target="a,b")
    found = captured(replace(demo, files=(*demo.files, link)), tmp_path)
    assert list(found) == sorted(found)
    assert found["bin/demo"].startswith(b"#!/opt/env/bin/python\nimport sys\n\nfrom demo import main")
    assert set(found) == {
        "bin/demo", "bin/tool", "share/a,b", f"{SITE}/demo/__init__.py", f"{SITE}/demo/run.sh",
        f"{SITE}/{INFO}/METADATA", f"{SITE}/{INFO}/WHEEL",
    }  # fmt: skip


def test_a_captured_wheel_is_named_as_one(demo: Distribution) -> None:
    assert captured_name(demo) == "demo-1.0-py3-none-any.whl"
    tags = ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64")
    assert (
        captured_name(replace(demo, tags=tags)) == "demo-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    )
    assert captured_name(replace(demo, tags=("py2-none-any", "py3-none-any"))) == "demo-1.0-py2.py3-none-any.whl"
    assert captured_name(replace(demo, version="1.0-1")) == "demo-1.0_1-py3-none-any.whl"


def test_a_tree_is_named_as_one(demo: Distribution) -> None:
    other = replace(demo, name="Old.Egg", form="egg")
    assert captured_name(other) == "old_egg-1.0.tree.zip"


def test_a_wheel_needs_metadata_tags_and_its_place(demo: Distribution) -> None:
    assert is_wheel(demo)
    assert is_wheel(replace(demo, name="Demo"))
    link = InstalledFile(path="x", mode=0o777, size=0, sha256="", target="y")
    without = [
        replace(demo, form="egg-info"),
        replace(demo, tags=()),
        replace(demo, tags=("any",)),
        replace(demo, name="another"),
        replace(demo, directory=f"{SITE}/demo-1.0.egg-info"),
        replace(demo, files=(*demo.files, link)),
        *(
            replace(demo, files=tuple(f for f in demo.files if not f.path.endswith(name)))
            for name in ("METADATA", "WHEEL")
        ),
    ]
    moved = tuple(
        replace(f, path=f.path.replace("lib/python3.11/site-packages", "lib/python3/dist-packages")) for f in demo.files
    )
    without.append(replace(demo, directory=f"lib/python3/dist-packages/{INFO}", files=moved))
    assert [is_wheel(row) for row in without] == [False] * len(without)
