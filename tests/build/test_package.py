"""A package's files from its artifact: what is left out, rewritten, patched and refused."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from envcap.archives.zip import DeflatedMember
from envcap.build.package import apply_patches, environment_entry, package_entries, symlink_entry
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import ArchiveError, BuildError
from envcap.lockfile.model import Package, Patch
from tests.lock.wheels import LAYOUT, SITE
from tests.wheel.installs import make_wheel
from tests.wheel.members import Packing, open_members

DEMO = Package(name="demo", version="1.0")


class NoBlobs:
    """A lock without blobs."""

    def blob(self, sha256: str) -> Path:
        raise AssertionError(sha256)


def entries(
    files: Mapping[str, bytes],
    package: Package = DEMO,
    *,
    entry_points: str = "",
    file: str = "demo-1.0-py3-none-any.whl",
) -> dict[str, Entry]:
    wheel = make_wheel(files, entry_points=entry_points)
    archive = open_members(wheel.members, file=file)
    found = package_entries(archive, package, file=file, layout=LAYOUT, blobs=NoBlobs())
    assert len({entry.path for entry in found}) == len(found)
    assert all(entry.owner == "demo" for entry in found)
    return {entry.path.removeprefix("opt/env/"): entry for entry in found}


def body(entry: Entry) -> bytes:
    return b"".join(entry.content.chunks())


def test_a_wheel_gives_its_files_its_scripts_and_an_installer() -> None:
    found = entries({"demo.py": b"x\n"}, entry_points="[console_scripts]\nrun = demo:main\n")
    info = f"{SITE}/demo-1.0.dist-info"
    assert sorted(found) == [
        "bin/run", f"{info}/INSTALLER", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/entry_points.txt",
        f"{SITE}/demo.py",
    ]  # fmt: skip
    assert found["bin/run"].mode == 0o755
    assert body(found[f"{info}/INSTALLER"]) == b"envcap\n"


def test_a_generated_script_replaces_a_script_of_its_name() -> None:
    files = {"@data/scripts/run": b"#!python\nold\n", "demo.py": b""}
    found = entries(files, entry_points="[console_scripts]\nrun = demo:main\n")
    assert b"from demo import main" in body(found["bin/run"])


def test_scripts_without_a_placeholder_stay_members_of_the_archive() -> None:
    files = {
        "@data/scripts/sh": b"#!/bin/sh\n" * 90,
        "@data/scripts/elf": b"\x7fELF" * 90,
        "@data/scripts/py": b"#!python\n",
    }
    found = entries(files)
    assert isinstance(found["bin/sh"].content, DeflatedMember)
    assert isinstance(found["bin/elf"].content, DeflatedMember)
    assert isinstance(found["bin/py"].content, LiteralContent)


def test_a_script_of_16_mib_is_no_text() -> None:
    found = entries({"@data/scripts/large": b"#!python\n" + random.Random(1).randbytes(16 << 20)})
    assert isinstance(found["bin/large"].content, DeflatedMember)
    assert found["bin/large"].content.size == (16 << 20) + 9


@pytest.mark.parametrize("other", ["@data/purelib/a.py", "@data/platlib/a.py"])
def test_two_members_that_go_to_one_place_are_refused(other: str) -> None:
    with pytest.raises(ArchiveError, match=r"'a\.py' and 'demo-1\.0\.data/p.*lib/a\.py' go to one place"):
        entries({"a.py": b"same", other: b"same"})


@pytest.mark.parametrize("name", ["../x", ".wh.python", ".."])
def test_a_hostile_entry_point_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="unexpected entry point"):
        entries({}, entry_points=f"[console_scripts]\n{name} = demo:main\n")


def test_a_wheel_of_another_project_is_refused() -> None:
    with pytest.raises(ArchiveError, match="expected the metadata of 'other'"):
        entries({}, Package(name="other", version="1.0"))


def test_a_tree_is_taken_as_it_is() -> None:
    packing = Packing(folders=("a", "empty"))
    archive = open_members({"bin/x": b"#!python\n", "a/b.py": b""}, packing, file="demo-1.0.tree.zip")
    found = package_entries(archive, DEMO, file="demo-1.0.tree.zip", layout=LAYOUT, blobs=NoBlobs())
    assert [(entry.path, entry.mode, body(entry)) for entry in found] == [
        ("opt/env/bin/x", 0o755, b"#!python\n"),
        ("opt/env/a/b.py", 0o644, b""),
    ]


# Patches


class OneBlob:
    """A lock with one blob."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def blob(self, sha256: str) -> Path:
        assert sha256 == "b" * 64
        return self.path


def patched(tmp_path: Path, *patches: Patch) -> dict[str, Entry]:
    (tmp_path / "blob").write_bytes(b"mine")
    before = [
        environment_entry(path, executable=False, content=LiteralContent(b"theirs"), owner="demo")
        for path in ("a", "bin/b")
    ]
    package = Package(name="demo", version="1.0", patches=patches)
    found = apply_patches(before, package, OneBlob(tmp_path / "blob"))
    return {entry.path.removeprefix("opt/env/"): entry for entry in found}


def test_an_edited_file_has_the_blob_s_bytes_and_the_patch_s_mode(tmp_path: Path) -> None:
    edited = Patch(path="a", change="edited", sha256="b" * 64, size=4, executable=True)
    found = patched(tmp_path, edited)
    assert (body(found["a"]), found["a"].mode, found["a"].owner) == (b"mine", 0o755, "demo")
    assert body(found["bin/b"]) == b"theirs"


def test_an_added_file_joins_even_where_the_artifact_has_it(tmp_path: Path) -> None:
    rows = [Patch(path=path, change="added", sha256="b" * 64, size=4) for path in ("a", "new")]
    found = patched(tmp_path, *rows)
    assert [body(found[path]) for path in ("a", "bin/b", "new")] == [b"mine", b"theirs", b"mine"]


def test_a_deleted_file_is_left_out_and_may_be_absent(tmp_path: Path) -> None:
    rows = [Patch(path=path, change="deleted") for path in ("a", "never")]
    assert list(patched(tmp_path, *rows)) == ["bin/b"]


def test_a_file_may_become_a_symlink(tmp_path: Path) -> None:
    found = patched(tmp_path, Patch(path="a", change="edited", target="../x"))
    assert found["a"] == symlink_entry("a", "../x", "demo")
    assert (found["a"].kind, found["a"].mode) == (EntryKind.SYMLINK, 0o777)


def test_an_edit_of_a_file_that_the_artifact_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"demo: the lock has 'never' edited, but the artifact lacks it"):
        patched(tmp_path, Patch(path="never", change="edited", sha256="b" * 64, size=4))
