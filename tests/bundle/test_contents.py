"""What a bundle holds: every file that the lock pins, once, under a name of its own."""

import json
from dataclasses import replace

from envcap.blobs import pinned_hashes
from envcap.bundle.contents import EMPTY, LOCK_ARTIFACT, bundle_pieces, lock_manifest
from envcap.digest import Digest
from envcap.lockfile.model import Artifact, SystemPackage
from tests.bundle.tiny import CONDA, DEB, INTERPRETER, KEPT, PATCH, WHEEL, tiny_lock


def test_every_pinned_file_is_a_piece_once() -> None:
    lock = tiny_lock()
    pieces = bundle_pieces(lock)
    assert [(piece.title, piece.media_type, piece.size) for piece in pieces] == sorted(
        [
            (f"blobs/sha256/{Digest.of(INTERPRETER).hex}", "application/vnd.envcap.blob.v1", len(INTERPRETER)),
            (f"blobs/sha256/{Digest.of(KEPT).hex}", "application/vnd.envcap.blob.v1", len(KEPT)),
            (f"blobs/sha256/{Digest.of(PATCH).hex}", "application/vnd.envcap.blob.v1", len(PATCH)),
            ("conda/conda-forge/linux-64/zlib-1.3-h1_0.conda", "application/vnd.conda.package.v2", len(CONDA)),
            (
                "debian/libstdc++6_12.2.0-14+deb12u1_amd64.deb",
                "application/vnd.debian.binary-package",
                len(DEB),
            ),
            ("wheels/iniconfig-2.0.0-py3-none-any.whl", "application/vnd.envcap.wheel.v1+zip", len(WHEEL)),
        ]
    )
    assert {piece.sha256 for piece in pieces} == pinned_hashes(lock)


def test_a_piece_says_what_the_lock_pins() -> None:
    pinned = {piece.title.partition("/")[0]: piece.pinned for piece in bundle_pieces(tiny_lock())}
    assert pinned["blobs"] is None
    assert isinstance(pinned["wheels"], Artifact)
    assert isinstance(pinned["debian"], SystemPackage)


def test_two_files_of_one_name_get_titles_of_their_own() -> None:
    lock = tiny_lock()
    twin = replace(lock.system[0], name="other", sha256="3" * 64, file="pool/x/" + lock.system[0].file[-45:])
    titles = [piece.title for piece in bundle_pieces(replace(lock, system=(*lock.system, twin)))]
    assert len(titles) == len(set(titles)) == 7
    assert any(title.startswith("3" * 64 + "/debian/libstdc++6_") for title in titles)


def test_the_manifest_is_an_artifact_whose_first_layer_is_the_lock() -> None:
    manifest = json.loads(lock_manifest(b"the lock", bundle_pieces(tiny_lock())))
    assert manifest["artifactType"] == LOCK_ARTIFACT
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": len(EMPTY),
    }
    assert manifest["layers"][0] == {
        "mediaType": "application/vnd.envcap.lock.v1+toml",
        "digest": str(Digest.of(b"the lock")),
        "size": 8,
        "annotations": {"org.opencontainers.image.title": "envcap.lock"},
    }
    assert len(manifest["layers"]) == 7
