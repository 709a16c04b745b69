"""Reading a bundle: its lock and its artifacts come back, and whatever is not quite one is refused in one line."""

import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.blobs import rewrite_lock
from envcap.bundle.read import is_bundle, open_bundle
from envcap.digest import Digest
from envcap.errors import LockfileError
from tests.archives.tar_builder import END, file, header
from tests.bundle.tiny import (
    BLOBS,
    KEPT,
    WHEEL,
    Json,
    bundle_bytes,
    members_of,
    pack,
    tiny_bundle,
    tiny_lock,
    with_manifest,
    with_raw_manifest,
)

INDEX = "index.json"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "a.envcap"
    path.write_bytes(bundle_bytes(tiny_bundle()))
    return path


def test_the_lock_and_every_artifact_come_back(good: Path) -> None:
    assert is_bundle(good)
    folder = open_bundle(good)
    assert folder.lockfile == tiny_lock()
    assert folder.bundle is not None
    for digest, data in BLOBS.blobs.items():
        reader = folder.bundle.reader(digest.hex)
        assert reader is not None
        assert (reader.size, reader.read_at(0, reader.size + 9)) == (len(data), data)
        assert reader.read_at(2, 3) == data[2:5]
    assert folder.bundle.reader("0" * 64) is None
    assert folder.bundle.shown == "the bundle a.envcap"
    with folder.open_blob(Digest.of(KEPT).hex) as blob:
        assert blob.read() == KEPT


def test_there_is_no_folder_of_blobs_beside_a_bundle(good: Path) -> None:
    (good.parent / "blobs" / "sha256").mkdir(parents=True)
    folder = open_bundle(good)
    assert not folder.blobs.exists()
    with pytest.raises(LockfileError, match="can't be read"):
        folder.open_blob("0" * 64)


def test_a_bundle_is_never_rewritten(good: Path) -> None:
    before = good.read_bytes()
    with pytest.raises(LockfileError, match="is a bundle, which is never changed"):
        rewrite_lock(open_bundle(good), tiny_lock())
    assert good.read_bytes() == before


def test_a_layout_packed_by_tar_is_a_bundle_too(tmp_path: Path) -> None:
    """`tar cf x.envcap .` and skopeo write the folders, in another order."""
    layout = tmp_path / "layout"
    for name, data in members_of(tiny_bundle()).items():
        (layout / name).parent.mkdir(parents=True, exist_ok=True)
        (layout / name).write_bytes(data)
    for prefix, format_ in (("", tarfile.USTAR_FORMAT), (".", tarfile.GNU_FORMAT)):
        path = tmp_path / f"packed{prefix}.envcap"
        with tarfile.open(path, "w", format=format_) as archive:
            for name in ["."] if prefix else ["index.json", "blobs", "oci-layout"]:
                archive.add(layout / name, arcname=name)
        assert open_bundle(path).lockfile == tiny_lock()


def test_a_lockfile_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "envcap.lock"
    path.write_text("#" * 600)
    assert not is_bundle(path)
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "missing")
    os.mkfifo(tmp_path / "fifo")
    assert not is_bundle(tmp_path / "fifo")


def edited(name: str, edit: Callable[[bytes], bytes]) -> dict[str, bytes]:
    members = members_of(tiny_bundle())
    members[name] = edit(members[name])
    return members


def index(edit: Callable[[Json], object]) -> dict[str, bytes]:
    members = members_of(tiny_bundle())
    table = json.loads(members[INDEX])
    edit(table)
    members[INDEX] = json.dumps(table).encode()
    return members


def without(name: str) -> dict[str, bytes]:
    members = members_of(tiny_bundle())
    del members[name]
    return members


def row(table: Json, key: str = "manifests", number: int = 0) -> Json:
    rows = table[key]
    assert isinstance(rows, list)
    found: Json = rows[number]
    return found


def damaged(data: bytes) -> dict[str, bytes]:
    members = members_of(tiny_bundle())
    name = f"blobs/sha256/{Digest.of(data).hex}"
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]
    return members


LOCK = tiny_bundle().lock
MANIFEST = tiny_bundle().manifest
ANOTHER = {"mediaType": "application/vnd.envcap.lock.v1+toml", "digest": str(Digest.of(WHEEL)), "size": len(WHEEL)}
REFUSED: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "no index": (lambda: without(INDEX), "lacks index.json"),
    "no oci-layout": (lambda: without("oci-layout"), "lacks oci-layout"),
    "another layout": (lambda: edited("oci-layout", lambda _: b'{"imageLayoutVersion":"2"}'), "of version 1.0.0"),
    "no JSON": (lambda: edited(INDEX, lambda _: b"{"), "not strict JSON"),
    "deep JSON": (lambda: edited(INDEX, lambda _: b"[" * 100_000), "not strict JSON"),
    "a list": (lambda: edited(INDEX, lambda _: b"[]"), "expected an object"),
    "a key twice": (lambda: edited(INDEX, lambda data: data[:-1] + b',"manifests":[]}'), "is there twice"),
    "a key in two cases": (lambda: edited(INDEX, lambda data: data[:-1] + b',"Manifests":[]}'), "names a key twice"),
    "an index that is a manifest": (lambda: index(lambda table: table.update(layers=[])), "no index"),
    "no manifests": (lambda: index(lambda table: table.update(manifests=[])), "holds no lock"),
    "manifests that are none": (lambda: index(lambda table: table.update(manifests="x")), "no index"),
    "two locks": (
        lambda: index(lambda table: table.update(manifests=[row(table), row(table)])),
        "holds several locks",
    ),
    "a digest that is a path": (
        lambda: index(lambda table: row(table).update(digest="sha256:../../etc/passwd")),
        "Unexpected digest",
    ),
    "a weak digest": (lambda: index(lambda table: row(table).update(digest="md5:" + "0" * 32)), "Unexpected digest"),
    "a wrong size": (lambda: index(lambda table: row(table).update(size=1)), "expected 1 bytes of"),
    "a size that is none": (lambda: index(lambda table: row(table).update(size=True)), "without digest or size"),
    "a negative size": (lambda: index(lambda table: row(table).update(size=-1)), "without digest or size"),
    "data in line": (lambda: index(lambda table: row(table).update(data="e30=")), "leads elsewhere"),
    "a missing manifest": (lambda: without(f"blobs/sha256/{Digest.of(MANIFEST).hex}"), "found nothing"),
    "a damaged manifest": (lambda: damaged(MANIFEST), "a blob is damaged"),
    "a damaged lock": (lambda: damaged(LOCK), "a blob is damaged"),
    "a missing artifact": (lambda: without(f"blobs/sha256/{Digest.of(WHEEL).hex}"), "found nothing"),
    "a longer artifact": (
        lambda: edited(f"blobs/sha256/{Digest.of(WHEEL).hex}", lambda data: data + b"x"),
        "expected 1000 bytes of",
    ),
    "another artifact type": (lambda: with_manifest(lambda table: table.update(artifactType="x")), "none of"),
    "an index inside": (lambda: with_manifest(lambda table: table.update(manifests=[])), "none of"),
    "a config": (
        lambda: with_manifest(lambda table: row({"c": [table["config"]]}, "c").update(mediaType="x")),
        "empty",
    ),
    "no layers": (lambda: with_manifest(lambda table: table.update(layers=[])), "is not the lock"),
    "layers that are none": (lambda: with_manifest(lambda table: table.update(layers=[7])), "leads elsewhere"),
    "a foreign layer": (
        lambda: with_manifest(lambda table: row(table, "layers", 1).update(urls=["https://example.org/x"])),
        "leads elsewhere",
    ),
    "a second lock": (
        lambda: with_manifest(lambda table: table.update(layers=[row(table, "layers"), ANOTHER])),
        "has several locks",
    ),
    "a manifest with a key twice": (
        lambda: with_raw_manifest(members_of(tiny_bundle()), MANIFEST[:-1] + b',"Layers":[]}'),
        "names a key twice",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bundle_with_a_lie_in_it_is_refused(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    path = pack(make(), tmp_path / "x.envcap")
    with pytest.raises(LockfileError, match=message) as refused:
        open_bundle(path)
    assert refused.value.message.startswith(f"{path} is no bundle that can be used: ")
    assert refused.value.hint


GOOD = members_of(tiny_bundle())
PACKED = b"".join(file(name.encode(), data) for name, data in GOOD.items())
TARS: dict[str, tuple[bytes, str]] = {
    "a path that climbs": (PACKED + file(b"../x", b"x") + END, "expected a plain file of an OCI layout"),
    "an absolute path": (PACKED + file(b"/etc/passwd", b"x") + END, "expected a plain file"),
    "another file": (PACKED + file(b"blobs/sha256/readme", b"x") + END, "expected a plain file"),
    "an upper-case hash": (PACKED + file(b"blobs/sha256/" + b"A" * 64, b"x") + END, "expected a plain file"),
    "a symlink": (PACKED + header(b"blobs/sha256/" + b"a" * 64, kind=b"2", link=b"/etc/passwd") + END, "plain file"),
    "a hard link": (PACKED + header(b"blobs/sha256/" + b"a" * 64, kind=b"1", link=b"index.json") + END, "plain file"),
    "a device": (PACKED + header(b"blobs/sha256/" + b"a" * 64, kind=b"3") + END, "plain file"),
    "another folder": (PACKED + header(b"blobs/sha512/", kind=b"5") + END, "plain file"),
    "a file twice": (PACKED + file(b"index.json", GOOD["index.json"]) + END, "index.json is there twice"),
    "a file twice, spelt otherwise": (PACKED + file(b"./index.json", b"{}") + END, "index.json is there twice"),
    "no end": (PACKED, "truncated"),
    "one zero block": (PACKED + bytes(512), "the end of the tar is missing"),
    "data after the end": (PACKED + END + b"x" * 512, "data after the end"),
    "a file longer than the tar": (PACKED + header(b"oci-layout", size=1 << 30) + END, "truncated"),
    "a PAX path": (
        PACKED + file(b"pax", b"19 path=index.json\n", kind=b"x") + file(b"blobs/sha256/" + b"a" * 64, b"") + END,
        "changes more than a size",
    ),
    "a PAX header alone": (PACKED + file(b"pax", b"10 size=5\n", kind=b"x") + END, "without a member"),
    "a wrong checksum": (b"x" + PACKED[1:] + END, "wrong checksum"),
}


@pytest.mark.parametrize("case", TARS)
def test_a_tar_that_is_no_layout_is_refused(case: str, tmp_path: Path) -> None:
    data, message = TARS[case]
    path = tmp_path / "x.envcap"
    path.write_bytes(data)
    with pytest.raises(LockfileError, match=message):
        open_bundle(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_refused_or_changes_nothing_that_is_believed(data: st.DataObject) -> None:
    whole = bytearray(bundle_bytes(tiny_bundle()))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with tempfile.NamedTemporaryFile(suffix=".envcap") as file_:
        file_.write(whole)
        file_.flush()
        try:
            assert open_bundle(Path(file_.name)).lockfile == tiny_lock()
        except LockfileError as refused:
            assert refused.hint  # noqa: PT017  # either is right


def test_a_lock_that_is_no_text_or_no_lock_is_refused(tmp_path: Path) -> None:
    for number, (data, message) in enumerate(((b"\xff\xfe", "not UTF-8 text"), (b"x = [", "not valid TOML"))):
        lock = {"digest": str(Digest.of(data)), "size": len(data)}
        members = with_manifest(lambda table, lock=lock: row(table, "layers").update(lock))  # type: ignore[misc]
        members[f"blobs/sha256/{Digest.of(data).hex}"] = data
        with pytest.raises(LockfileError, match=message):
            open_bundle(pack(members, tmp_path / f"{number}.envcap"))
