"""Writing a bundle: the same bytes for the same lock, whole or not at all, never over something else."""

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.bundle.write import write_bundle
from envcap.digest import Digest
from envcap.errors import SinkError, StoreError
from tests.bundle.tiny import KEPT, bundle_bytes, tiny_bundle
from tests.oci.images import MemoryBlobs, layer_of, make_image, silent, tar

PINNED = "bb76bcffb204337f1b93343a1e4da2e4767feead3405e55acb7c0ac2657d54d8"
"""A change of these bytes is a change of the format: what the same lock gave before, it gives no more."""


def test_a_lock_gives_these_very_bytes() -> None:
    assert hashlib.sha256(bundle_bytes(tiny_bundle())).hexdigest() == PINNED


def test_the_order_of_the_pieces_store_does_not_matter() -> None:
    bundle = tiny_bundle()
    blobs = MemoryBlobs(dict(reversed(bundle.blobs.blobs.items())))  # type: ignore[attr-defined]  # made in memory
    assert bundle_bytes(replace(bundle, blobs=blobs)) == bundle_bytes(bundle)


def test_it_is_a_tar_of_a_layout_with_every_blob_under_its_hash(tmp_path: Path) -> None:
    write_bundle(tiny_bundle(), tmp_path / "a.envcap", progress=silent)
    with tarfile.open(tmp_path / "a.envcap") as archive:
        names = archive.getnames()
        assert names[:2] == ["oci-layout", "index.json"]
        for name in names[2:]:
            member = archive.extractfile(name)
            assert member is not None
            assert name == f"blobs/sha256/{hashlib.sha256(member.read()).hexdigest()}"
    assert len(names) == len(set(names)) == 2 + 3 + 6
    assert (tmp_path / "a.envcap").stat().st_mode & 0o777 == 0o644


def test_an_image_comes_along_as_a_second_manifest() -> None:
    image = make_image(tar())
    whole = bundle_bytes(replace(tiny_bundle(), image=image, tag="small:envcap"))
    plain = bundle_bytes(tiny_bundle())
    for digest in (image.image_id, image.descriptor.digest, image.layers[0].digest):
        assert f"blobs/sha256/{digest.hex}".encode() in whole
        assert f"blobs/sha256/{digest.hex}".encode() not in plain
    assert b"manifest.json" in whole


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    lock = tmp_path / "envcap.lock"
    lock.write_text("lock-version = '1.0'\n" * 99)
    with pytest.raises(SinkError, match="is there and no bundle"):
        write_bundle(tiny_bundle(), lock, progress=silent)
    assert lock.read_text().startswith("lock-version")


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.envcap"
    write_bundle(tiny_bundle(()), path, progress=silent)
    write_bundle(tiny_bundle(), path, progress=silent)
    assert path.read_bytes() == bundle_bytes(tiny_bundle())


def test_a_missing_blob_leaves_no_file(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    blobs = {digest: data for digest, data in bundle.blobs.blobs.items() if data != KEPT}  # type: ignore[attr-defined]
    with pytest.raises(StoreError):
        write_bundle(replace(bundle, blobs=MemoryBlobs(blobs)), tmp_path / "a.envcap", progress=silent)
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_is_a_layer_too_is_written_once() -> None:
    layer, blob = layer_of(tar())
    piece = replace(tiny_bundle().pieces[0], sha256=layer.digest.hex, size=len(blob))
    image = make_image(tar())
    blobs = MemoryBlobs({Digest.of(blob): blob})
    data = bundle_bytes(replace(tiny_bundle((piece,)), blobs=blobs, image=image))
    assert image.layers[0].digest == layer.digest
    assert data.count(f"blobs/sha256/{layer.digest.hex}\0".encode()) == 1
