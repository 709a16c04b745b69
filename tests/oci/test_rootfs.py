"""A root filesystem: what the image says, and never a byte outside of the folder."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from envcap.errors import EnvcapError, SinkError
from envcap.oci.image import Image
from envcap.oci.rootfs import check_rootfs_place, write_rootfs
from tests.archives.tar_builder import file, header
from tests.oci.images import SMALL, MemoryBlobs, directory, hardlink, make_image, silent, symlink, tar

EPOCH = 1_000_000_000
ROOT = os.geteuid() == 0


def write(image: Image, folder: Path) -> None:
    write_rootfs(image, folder, epoch=EPOCH, scratch=folder.parent, progress=silent)


def test_files_folders_and_links_are_written_with_mode_and_time(tmp_path: Path) -> None:
    image = make_image(
        tar(
            directory(b"opt/"),
            directory(b"opt/closed/", mode=0o500),
            file(b"opt/closed/secret", b"42", mode=b"0000600\0"),
            file(b"opt/tool", b"#!/bin/sh\n", mode=b"0000755\0"),
            hardlink(b"opt/again", b"opt/tool"),
            symlink(b"opt/up", b"../etc"),
            symlink(b"opt/absolute", b"/nowhere/at/all"),
            directory(b"tmp/", mode=0o1777),
        ),
        tar(directory(b"etc/"), file(b"etc/motd", b"hello\n")),
    )
    root = tmp_path / "root"
    write(image, root)
    assert (root / "opt/closed/secret").read_bytes() == b"42"
    assert (root / "opt/closed/secret").stat().st_mode & 0o7777 == 0o600
    assert (root / "opt/closed").stat().st_mode & 0o7777 == 0o500
    assert (root / "opt/tool").stat().st_mode & 0o7777 == 0o755
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "opt/again").stat().st_ino == (root / "opt/tool").stat().st_ino
    assert (root / "opt/up").readlink() == Path("../etc")
    assert (root / "opt/absolute").readlink() == Path("/nowhere/at/all")
    assert (root / "etc/motd").read_bytes() == b"hello\n"
    assert {path.lstat().st_mtime for path in root.rglob("*")} == {float(EPOCH)}
    (root / "opt/closed").chmod(0o700)


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_root_gives_files_to_their_owners_and_keeps_setuid(tmp_path: Path) -> None:
    image = make_image(
        tar(
            directory(b"home/", uid=1000, gid=1000),
            file(b"home/su", b"x", mode=b"0004755\0", uid=b"0001750\0", gid=b"0000012\0"),
            symlink(b"home/link", b"su", uid=1000),
        )
    )
    write(image, tmp_path / "root")
    home, tool, link = (tmp_path / "root" / name for name in ("home", "home/su", "home/link"))
    assert (home.stat().st_uid, home.stat().st_gid) == (1000, 1000)
    assert (tool.stat().st_uid, tool.stat().st_gid, tool.stat().st_mode & 0o7777) == (1000, 10, 0o4755)
    assert link.lstat().st_uid == 1000


def test_an_upper_layer_replaces_a_file_by_its_own(tmp_path: Path) -> None:
    image = make_image(
        tar(file(b"a", b"old"), file(b"b", b"old"), hardlink(b"c", b"b"), symlink(b"d", b"a")),
        tar(file(b"a", b"new"), symlink(b"b", b"a"), file(b"d", b"own")),
    )
    write(image, tmp_path / "root")
    root = tmp_path / "root"
    assert (root / "a").read_bytes() == b"new"
    assert (root / "b").readlink() == Path("a")
    assert (root / "c").read_bytes() == b"old"
    assert not (root / "d").is_symlink()
    assert (root / "d").read_bytes() == b"own"


@pytest.mark.parametrize("existing", ["file", "folder with a file", "symlink to such a folder"])
def test_a_place_that_is_taken_is_left_alone(tmp_path: Path, existing: str) -> None:
    place, other = tmp_path / "root", tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("x")
    match existing:
        case "file":
            place.write_text("x")
        case "folder with a file":
            place.mkdir()
            (place / "mine").write_text("x")
        case _:
            place.symlink_to(other)
    with pytest.raises(SinkError, match="not an empty folder"):
        check_rootfs_place(place)
    with pytest.raises(SinkError, match="not an empty folder"):
        write(SMALL, place)
    assert [path.name for path in other.iterdir()] == ["mine"]


def test_nothing_is_written_through_a_symlink(tmp_path: Path) -> None:
    place, other = tmp_path / "root", tmp_path / "other"
    other.mkdir()
    place.symlink_to(other)
    for act in (check_rootfs_place, lambda place: write(SMALL, place)):
        with pytest.raises(SinkError, match="is a symlink"):
            act(place)
    assert list(other.iterdir()) == []


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    write(SMALL, tmp_path / "root")
    assert (tmp_path / "root/etc/motd").read_bytes() == b"hello\n"


HOSTILE = {
    "parent is a symlink of a lower layer": [
        tar(symlink(b"d", b"../canary")),
        tar(file(b"d/evil", b"x")),
    ],
    "parent is an absolute symlink of a lower layer": [tar(symlink(b"d", b"%CANARY%")), tar(file(b"d/evil", b"x"))],
    "parent is a symlink of the same layer": [tar(symlink(b"d", b"%CANARY%"), file(b"d/evil", b"x"))],
    "chain of symlinks": [
        tar(directory(b"a/"), symlink(b"a/b", b".."), symlink(b"c", b"a/b")),
        tar(file(b"c/../canary/evil", b"x")),
    ],
    "folder over a symlink": [
        tar(symlink(b"d", b"%CANARY%")),
        tar(directory(b"d/", mode=0o777), file(b"d/evil", b"x")),
    ],
    "absolute name": [tar(file(b"%CANARY%/evil", b"x"))],
    "climbing name": [tar(file(b"../canary/evil", b"x"))],
    "climbing in the middle": [tar(directory(b"a/"), file(b"a/../../canary/evil", b"x"))],
    "climbing symlink": [tar(symlink(b"a", b"../canary/kept"))],
    "hard link to the outside": [tar(hardlink(b"a", b"../canary/kept"), file(b"a", b"x"))],
    "absolute hard link": [tar(hardlink(b"a", b"%CANARY%/kept"))],
    "hard link through a symlink of a lower layer": [
        tar(symlink(b"d", b"%CANARY%")),
        tar(hardlink(b"a", b"d/kept")),
    ],
    "device": [tar(header(b"null", kind=b"3"))],
    "fifo": [tar(header(b"pipe", kind=b"6"))],
    "whiteout": [tar(file(b".wh.a", b""))],
    "file over a folder": [tar(directory(b"a/"), file(b"a/b", b"x")), tar(file(b"a", b"x"))],
    "garbage": [b"garbage" * 100],
    "truncated": [file(b"a", b"x" * 2000)[:1000]],
}


@pytest.fixture
def shallow() -> Iterator[Path]:
    """A folder whose name fits into the fields of a tar's headers, which pytest's need not."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_image_writes_nothing_outside_and_leaves_nothing_inside(case: str, shallow: Path) -> None:
    canary = shallow / "canary"
    canary.mkdir()
    (canary / "kept").write_text("as it was")
    before = fingerprint(canary)
    # The placeholder keeps the length of the header's fields: names are padded with zeros.
    name = str(canary).encode()
    assert len(name) < 80
    tars = [replaced(data, b"%CANARY%", name) for data in HOSTILE[case]]
    with pytest.raises(EnvcapError) as caught:
        write(make_image(*tars), shallow / "root")
    assert caught.value.message
    assert fingerprint(canary) == before
    assert not (shallow / "root").exists() or not any((shallow / "root").iterdir())
    assert {path.name for path in shallow.iterdir()} <= {"canary", "root"}


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """Put a name into the fields of a tar's headers, and right their checksums."""
    blocks = [data[start : start + 512] for start in range(0, len(data), 512)]
    return b"".join(_replaced_block(block, old, new) if old in block else block for block in blocks)


def _replaced_block(block: bytes, old: bytes, new: bytes) -> bytes:
    fields = [block[:100], block[100:157], block[157:257], block[257:]]
    for number in (0, 2):
        fields[number] = fields[number].rstrip(b"\0").replace(old, new).ljust(100, b"\0")
    made = b"".join(fields)
    summed = sum(made[:148]) + 8 * ord(" ") + sum(made[156:])
    return made[:148] + b"%06o\0 " % summed + made[156:]


def fingerprint(folder: Path) -> list[tuple[str, int, int, str]]:
    rows = []
    for path in sorted([folder, *folder.rglob("*")]):
        state = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        rows.append((str(path), state.st_mode, state.st_nlink, content))
    return rows


def test_a_failure_in_the_middle_leaves_an_empty_folder(tmp_path: Path) -> None:
    blobs = dict(SMALL.blobs.blobs)  # type: ignore[attr-defined]  # they are in memory
    del blobs[SMALL.layers[1].digest]
    broken = Image(platform=SMALL.platform, config=SMALL.config, layers=SMALL.layers, blobs=MemoryBlobs(blobs))
    with pytest.raises(EnvcapError):
        write(broken, tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []
