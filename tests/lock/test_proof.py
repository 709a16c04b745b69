"""A distribution against a wheel: equal files are found equal, and each difference is named."""

import tempfile
import zlib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.environment import EntryPoint
from envcap.errors import ArchiveError
from envcap.lock.proof import Match, Place, WheelContents, WheelMember, artifact_tree, match_artifact, patches_of
from envcap.lock.pypi_live import LiveTree
from envcap.wheel.record import parse_record
from tests.lock.wheels import LAYOUT, SITE, install, row_hash, wheel_files

INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
POINT = EntryPoint(name="demo", value="demo:main")


def place(prefix: Path) -> Place:
    return Place(layout=LAYOUT, site_packages=SITE, prefixes=(str(prefix).encode(),))


def contents_of(members: dict[str, bytes], *, lies: dict[str, str] | None = None) -> WheelContents:
    return WheelContents(
        file="demo-1.0-py3-none-any.whl",
        dist_info=INFO,
        members=tuple(
            WheelMember(
                name=name,
                size=len(data),
                crc=zlib.crc32(data),
                executable=name.endswith(".sh"),
                sha256=(lies or {}).get(name, sha256(data).hexdigest()),
            )
            for name, data in members.items()
        ),
    )


def compare(
    prefix: Path,
    files: dict[str, bytes],
    changes: dict[str, bytes | None] | None = None,
    *,
    entry_points: tuple[EntryPoint, ...] = (),
    lies: dict[str, str] | None = None,
    shared: frozenset[str] = frozenset(),
) -> Match:
    members = wheel_files("demo", "1.0", files)
    distribution = install(prefix, "demo", "1.0", members, entry_points=entry_points, changes=changes)
    return match_artifact(
        distribution,
        contents_of(members, lies=lies),
        place(prefix),
        live=LiveTree(prefix),
        read_member=members.__getitem__,
        shared=shared,
    )


SCHEMES = {
    "demo/__init__.py": f"{SITE}/demo/__init__.py",
    f"{DATA}/purelib/pure.py": f"{SITE}/pure.py",
    f"{DATA}/platlib/plat.so": f"{SITE}/plat.so",
    f"{DATA}/scripts/tool": "bin/tool",
    f"{DATA}/headers/demo.h": "include/site/python3.11/demo/demo.h",
    f"{DATA}/data/share/demo.txt": "share/demo.txt",
}


@pytest.mark.parametrize(("member", "path"), SCHEMES.items())
def test_each_scheme_has_its_place(member: str, path: str) -> None:
    tree = artifact_tree(contents_of({member: b"x"}), place(Path("/env")))
    assert list(tree) == [path]


def test_installer_files_and_bytecode_are_not_content() -> None:
    members = {
        f"{INFO}/RECORD": b"",
        f"{INFO}/INSTALLER": b"",
        "demo/__pycache__/a.cpython-311.pyc": b"",
        "demo.py": b"",
    }
    assert list(artifact_tree(contents_of(members), place(Path("/env")))) == [f"{SITE}/demo.py"]


def test_a_system_site_folder_replaces_the_usual_one() -> None:
    system = Place(layout=LAYOUT, site_packages="lib/python3/dist-packages")
    tree = artifact_tree(contents_of({"demo.py": b"", f"{DATA}/scripts/tool": b""}), system)
    assert sorted(tree) == ["bin/tool", "lib/python3/dist-packages/demo.py"]


def test_two_members_in_one_place_are_refused() -> None:
    with pytest.raises(ArchiveError, match="go to one place"):
        artifact_tree(contents_of({"a.py": b"", f"{DATA}/purelib/a.py": b""}), place(Path("/env")))


PATHS = st.sampled_from(
    ["demo/__init__.py", "demo/a.py", "demo/b.txt", "demo/sub/c.sh", f"{DATA}/purelib/p.py", f"{DATA}/platlib/q.so",
     f"{DATA}/scripts/plain", f"{DATA}/headers/h.h", f"{DATA}/data/etc/d.conf"]
)  # fmt: skip
BYTES = st.binary(max_size=20).filter(lambda data: not data.startswith(b"#!"))
LAYOUTS = st.dictionaries(PATHS, BYTES, min_size=1)


@settings(deadline=None, max_examples=60)
@given(files=LAYOUTS, script=st.sampled_from([b"", b"#!python\nprint(1)\n", b"#!pythonw\nprint(2)\n"]))
def test_whatever_is_installed_unmodified_matches_without_a_patch(files: dict[str, bytes], script: bytes) -> None:
    files = {**files, **({f"{DATA}/scripts/tool": script} if script else {})}
    with tempfile.TemporaryDirectory() as folder:
        match = compare(Path(folder), files, entry_points=(POINT,))
    assert match.differences == 0
    assert match.is_accepted
    assert match.scripts_rewritten == (("bin/tool",) if script else ())
    assert match.unchanged == len(files) + 2 - bool(script)


@settings(deadline=None, max_examples=60)
@given(files=LAYOUTS, draw=st.data())
def test_exactly_the_edits_become_patches(files: dict[str, bytes], draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder)
        members = wheel_files("demo", "1.0", files)
        tree = artifact_tree(contents_of(members), place(prefix))
        content = {path: members[member.name] for path, member in tree.items()}
        edited = draw.draw(st.sets(st.sampled_from(sorted(content))))
        deleted = draw.draw(st.sets(st.sampled_from(sorted(content)))) - edited
        added = draw.draw(st.sets(st.sampled_from([f"{SITE}/demo/new.py", "bin/new", f"{SITE}/{INFO}/extra"])))
        changes: dict[str, bytes | None] = {
            **{path: content[path] + b"!" for path in edited},
            **dict.fromkeys(deleted),
            **dict.fromkeys(added, b"new"),
        }
        match = compare(prefix, files, changes)
    assert (set(match.edited), set(match.deleted), set(match.added)) == (edited, deleted, added)
    assert match.unchanged == len(content) - len(edited) - len(deleted)
    metadata = {f"{SITE}/{INFO}/METADATA", f"{SITE}/{INFO}/WHEEL"}
    assert match.same_metadata is not bool(metadata & (edited | deleted))
    assert match.is_accepted is (match.same_metadata and 2 * match.unchanged >= len(content))


def test_the_patches_name_what_is_there_now(tmp_path: Path) -> None:
    files = {"demo/a.py": b"a", "demo/b.py": b"b", "demo/c.sh": b"c"}
    members = wheel_files("demo", "1.0", files)
    changes = {f"{SITE}/demo/a.py": b"edited", f"{SITE}/demo/b.py": None, f"{SITE}/demo/new.py": b"new"}
    distribution = install(tmp_path, "demo", "1.0", members, changes=changes)
    match = match_artifact(
        distribution, contents_of(members), place(tmp_path), live=LiveTree(tmp_path), read_member=members.__getitem__
    )
    patches = patches_of(match, {file.path: file for file in distribution.files})
    assert [(patch.path, patch.change, patch.size) for patch in patches] == [
        (f"{SITE}/demo/a.py", "edited", 6),
        (f"{SITE}/demo/b.py", "deleted", 0),
        (f"{SITE}/demo/new.py", "added", 3),
    ]
    assert patches[1].sha256 == ""


@pytest.mark.parametrize("others", [5, 4, 3, 0])
def test_files_that_another_distribution_wrote_over_speak_for_and_against_nothing(tmp_path: Path, others: int) -> None:
    names = [f"nccl/{number}.h" for number in range(5)]
    changes: dict[str, bytes | None] = {f"{SITE}/{name}": b"another version" for name in names}
    shared = frozenset(f"{SITE}/{name}" for name in names[:others])
    match = compare(tmp_path, dict.fromkeys(names, b"own"), changes, shared=shared)

    assert len(match.edited) == match.differences == 5
    # METADATA and WHEEL alone are its own, and speak for it as long as no more than two files speak against it.
    assert match.is_accepted is (5 - others <= 2)


def test_another_wheel_is_not_accepted_because_all_its_files_are_another_s_too(tmp_path: Path) -> None:
    metadata: dict[str, bytes | None] = {f"{SITE}/{INFO}/WHEEL": b"Tag: cp39-cp39-any\n", f"{SITE}/nccl.h": b"live"}
    match = compare(tmp_path, {"nccl.h": b"own"}, metadata, shared=frozenset({f"{SITE}/nccl.h"}))
    assert not match.is_accepted


def test_a_lost_x_bit_is_a_change_of_mode(tmp_path: Path) -> None:
    members = wheel_files("demo", "1.0", {"demo/run.sh": b"x"})
    distribution = install(tmp_path, "demo", "1.0", members)
    files = tuple(replace(file, mode=0o644) for file in distribution.files)
    match = match_artifact(
        replace(distribution, files=files),
        contents_of(members),
        place(tmp_path),
        live=LiveTree(tmp_path),
        read_member=members.__getitem__,
    )
    assert match.mode_changed == (f"{SITE}/demo/run.sh",)
    assert match.differences == 1
    assert match.is_accepted


def test_a_script_of_another_interpreter_is_edited(tmp_path: Path) -> None:
    changes: dict[str, bytes | None] = {"bin/tool": b"#!/elsewhere/bin/python\nprint(1)\n"}
    match = compare(tmp_path, {f"{DATA}/scripts/tool": b"#!python\nprint(1)\n"}, changes)
    assert match.edited == ("bin/tool",)


def test_the_trampoline_of_a_long_path_is_mapped_back(tmp_path: Path) -> None:
    live = f"#!/bin/sh\n'''exec' \"{tmp_path}/bin/python\" \"$0\" \"$@\"\n' '''\nprint(1)\n".encode()
    match = compare(tmp_path, {f"{DATA}/scripts/tool": b"#!python\nprint(1)\n"}, {"bin/tool": live})
    assert match.scripts_rewritten == ("bin/tool",)


def test_a_generated_script_is_no_addition_but_an_edited_one_is_a_patch(tmp_path: Path) -> None:
    assert compare(tmp_path, {"demo.py": b""}, entry_points=(POINT,)).differences == 0
    edited = compare(tmp_path, {"demo.py": b""}, {"bin/demo": b"#!/bin/sh\necho mine\n"}, entry_points=(POINT,))
    assert edited.edited == ("bin/demo",)
    gone = compare(tmp_path, {"demo.py": b""}, {"bin/demo": None}, entry_points=(POINT,))
    assert gone.deleted == ("bin/demo",)


def test_a_wrong_record_row_is_noted_and_the_file_counts_as_unchanged(tmp_path: Path) -> None:
    match = compare(tmp_path, {"demo.py": b"right"}, lies={"demo.py": "0" * 64})
    assert match.differences == 0
    assert [(finding.code, finding.path) for finding in match.findings] == [("record-wrong", f"{SITE}/demo.py")]


def test_a_file_without_a_record_row_is_compared_by_its_bytes(tmp_path: Path) -> None:
    assert compare(tmp_path, {"demo.py": b"right"}, lies={"demo.py": ""}).differences == 0
    edited = compare(tmp_path, {"demo.py": b"right"}, {f"{SITE}/demo.py": b"wrong"}, lies={"demo.py": ""})
    assert edited.edited == (f"{SITE}/demo.py",)


def test_other_metadata_is_another_wheel(tmp_path: Path) -> None:
    match = compare(tmp_path, {"demo.py": b""}, {f"{SITE}/{INFO}/METADATA": b"Name: other\n"})
    assert not match.same_metadata
    assert not match.is_accepted


def test_a_record_gives_only_sound_sha256() -> None:
    rows = [
        f"a.py,{row_hash(b'a')},1",
        "b.py,md5=abcd,1",
        "c.py,sha256=AAAA,1",
        "d.py,sha256=%%%,1",
        "e.py",
        "RECORD,,",
    ]
    assert list(parse_record("\n".join(rows).encode())) == ["a.py"]
    with pytest.raises(ArchiveError, match="no CSV"):
        parse_record(b"\xff\xfe")
