"""A package's files from the live environment."""

from dataclasses import replace
from pathlib import Path

import pytest

from envcap.build.live import is_versioned_script, live_entry, live_package_entries, live_script, read_script, spellings
from envcap.entry import Entry
from envcap.environment import Distribution, EntryPoint, InstalledFile
from envcap.errors import BuildError
from envcap.files import FileContent
from tests.lock.wheels import SITE, generated_script, put

POINT = EntryPoint(name="pip", value="pip.cli:main")
INFO = f"{SITE}/demo-1.0.dist-info"


def body(entry: Entry) -> bytes:
    return b"".join(entry.content.chunks())


def demo(*files: InstalledFile, points: tuple[EntryPoint, ...] = (), directory: str = INFO) -> Distribution:
    return Distribution(name="demo", version="1.0", directory=directory, entry_points=points, files=files)


def paths(found: list[Entry]) -> list[str]:
    return [entry.path.removeprefix("opt/env/") for entry in found]


def test_installers_files_bytecode_and_what_another_owns_are_left_out(tmp_path: Path) -> None:
    files = [
        put(tmp_path, path, b"x")
        for path in (f"{SITE}/a.py", f"{SITE}/__pycache__/a.cpython-311.pyc", f"{INFO}/RECORD", f"{SITE}/lost.py")
    ]
    left_out = frozenset({f"{SITE}/lost.py"})
    found = live_package_entries(demo(*files), prefix=tmp_path, left_out=left_out, owner="demo")
    assert paths(found) == [f"{SITE}/a.py", f"{INFO}/INSTALLER"]
    tree = live_package_entries(demo(*files), prefix=tmp_path, left_out=left_out, owner="demo", is_tree=True)
    assert paths(tree) == [f"{SITE}/a.py"]


def test_an_egg_has_no_installer_file(tmp_path: Path) -> None:
    egg = demo(directory=f"{SITE}/demo.egg-info")
    assert live_package_entries(egg, prefix=tmp_path, left_out=frozenset(), owner="demo") == []


def test_generated_scripts_become_the_recipe_s(tmp_path: Path) -> None:
    file = put(tmp_path, "bin/pip", generated_script(tmp_path, POINT), executable=True)
    found = live_entry(file, prefix=tmp_path, distribution=demo(points=(POINT,)), owner="demo")
    assert body(found).startswith(b"#!/opt/env/bin/python\nimport sys\n\nfrom pip.cli import main\n")
    plain = live_entry(file, prefix=tmp_path, distribution=None, owner="demo")
    assert body(plain).startswith(b"#!/opt/env/bin/python\n# -*- coding: utf-8 -*-\n")


def test_an_edited_script_keeps_its_words(tmp_path: Path) -> None:
    data = generated_script(tmp_path, POINT) + b"print(1)\n"
    file = put(tmp_path, "bin/pip", data, executable=True)
    found = live_entry(file, prefix=tmp_path, distribution=demo(points=(POINT,)), owner="demo")
    assert body(found) == data.replace(f"#!{tmp_path}/bin/python".encode(), b"#!/opt/env/bin/python")


@pytest.mark.parametrize("data", [b"", b"#", b"\x7fELF", b"#!/bin/sh\n"])
def test_other_files_of_bin_go_in_as_they_are(tmp_path: Path, data: bytes) -> None:
    file = put(tmp_path, "bin/tool", data)
    found = live_entry(file, prefix=tmp_path, distribution=None, owner="demo")
    assert found.content == FileContent(path=tmp_path / "bin/tool", size=len(data))
    assert found.mode == 0o755


def test_only_bin_holds_scripts(tmp_path: Path) -> None:
    file = put(tmp_path, "share/tool", f"#!{tmp_path}/bin/python\n".encode())
    assert live_script(file, prefix=tmp_path, distribution=None) is None


def test_a_file_of_16_mib_is_no_script(tmp_path: Path) -> None:
    large = InstalledFile(path="bin/never-opened", mode=0o755, size=(16 << 20) + 1, sha256="")
    assert read_script(large, prefix=tmp_path) is None
    assert live_script(large, prefix=tmp_path, distribution=None) is None


def test_a_script_is_read_whole(tmp_path: Path) -> None:
    data = b"#!/bin/sh\n" + b"#" * (3 << 20)
    assert read_script(put(tmp_path, "bin/a", data), prefix=tmp_path) == data


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pip").symlink_to("elsewhere")
    file = InstalledFile(path="bin/pip", mode=0o777, size=0, sha256="", target="elsewhere")
    found = live_package_entries(demo(file, points=(POINT,)), prefix=tmp_path, left_out=frozenset(), owner="demo")
    assert (found[0].target, found[0].mode) == ("elsewhere", 0o777)


def test_a_script_that_is_gone_or_a_link_by_now_is_an_error(tmp_path: Path) -> None:
    file = put(tmp_path, "bin/tool", b"#!/bin/sh\n")
    (tmp_path / "bin/tool").unlink()
    with pytest.raises(BuildError, match="'tool' can't be read"):
        live_entry(file, prefix=tmp_path, distribution=None, owner="demo")
    (tmp_path / "bin/tool").symlink_to("/bin/sh")
    with pytest.raises(BuildError, match="'tool' can't be read"):
        live_entry(file, prefix=tmp_path, distribution=None, owner="demo")


def test_a_file_of_an_editable_project_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/a.py").write_bytes(b"code")
    file = InstalledFile(path=f"{SITE}/a.py", mode=0o644, size=4, sha256="", source=str(tmp_path / "project/a.py"))
    found = live_entry(file, prefix=tmp_path / "env", distribution=None, owner="demo")
    assert (found.path, body(found)) == (f"opt/env/{SITE}/a.py", b"code")


def test_a_script_from_beyond_the_environment_is_read_there_and_its_python_is_the_image_s(tmp_path: Path) -> None:
    place = put(tmp_path / "home", "bin/tool", b"#!/base/bin/python3 -s\nprint(1)\n", executable=True)
    source = str(tmp_path / "home/bin/tool")
    beyond = replace(place, source=source, python="/base")
    found = live_entry(beyond, prefix=tmp_path / "env", distribution=None, owner="demo")
    assert body(found) == b"#!/opt/env/bin/python -s\nprint(1)\n"
    unnamed = live_entry(replace(beyond, python=""), prefix=tmp_path / "env", distribution=None, owner="demo")
    assert body(unnamed) == b"#!/base/bin/python3 -s\nprint(1)\n"


@pytest.mark.parametrize(("name", "generated"), [("pip3.11", True), ("pip3", True), ("pipx", False)])
def test_pip_s_versioned_scripts_are_left_out(tmp_path: Path, name: str, generated: bool) -> None:  # noqa: FBT001 - a parameter of the test
    file = put(tmp_path, f"bin/{name}", generated_script(tmp_path, POINT), executable=True)
    pip = demo(file, points=(POINT,))
    assert is_versioned_script(file, prefix=tmp_path, distribution=pip) is generated
    found = live_package_entries(pip, prefix=tmp_path, left_out=frozenset(), owner="pip", is_tree=True)
    assert bool(found) is not generated


def test_a_versioned_script_that_was_edited_or_is_a_link_stays(tmp_path: Path) -> None:
    edited = put(tmp_path, "bin/pip3", generated_script(tmp_path, POINT) + b"print(1)\n")
    link = InstalledFile(path="bin/pip3.11", mode=0o777, size=0, sha256="", target="pip3")
    binary = put(tmp_path, "bin/pip-3.11", b"\x7fELF")
    for file in (edited, link, binary):
        assert not is_versioned_script(file, prefix=tmp_path, distribution=demo(points=(POINT,)))


def test_a_prefix_is_spelled_as_given_and_as_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    found = {b"link", f"{tmp_path}/link".encode(), f"{tmp_path.resolve()}/real".encode()}
    assert set(spellings(Path("link"))) == found
