"""Whole images to a registry and back."""

from io import BytesIO
from pathlib import Path

import pytest

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import DigestError, RegistryError
from envcap.oci.image import MEDIA_TYPE_INDEX
from envcap.registry.reference import Reference
from envcap.registry.transfer import Blob, fetch_blobs, fetch_image, push_blobs, push_image
from envcap.registry.upload import Outcome
from envcap.store import open_store
from tests.oci.images import SMALL, silent
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import blob, connect


def reference(registry: FakeRegistry, rest: str = "lab/ml:1") -> Reference:
    return Reference.parse(f"{registry.host}/{rest}")


def test_an_image_comes_back_as_it_was_pushed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        pushed = push_image(connection, SMALL, reference(registry), progress=silent)
        found = fetch_image(connection, reference(registry), platform="linux/amd64")
        layers = [row.descriptor for row in found.document.layers]
        fetch_blobs(connection, "lab/ml", layers, store.blobs, progress=silent)

    assert pushed.digest == SMALL.descriptor.digest == found.manifest.descriptor.digest
    assert found.config == SMALL.config
    assert [layer.descriptor for layer in SMALL.layers] == layers
    for layer in SMALL.layers:
        assert store.blobs.verified(layer.digest).read_bytes() == SMALL.blobs.open(layer.digest).read()


def test_the_tag_is_put_last() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)

    puts = [asked.path for asked in registry.requests("PUT")]
    assert puts[-2:] == [f"/v2/lab/ml/manifests/{SMALL.descriptor.digest}", "/v2/lab/ml/manifests/1"]


def test_a_push_of_a_known_image_moves_nothing() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        registry.asked.clear()
        again = push_image(connection, SMALL, reference(registry), progress=silent)

    assert again.outcomes == ()
    assert {asked.method for asked in registry.asked} == {"HEAD"}


def test_the_layers_of_another_repository_are_mounted() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        there = push_image(connection, SMALL, reference(registry, "other:1"), mounts=("lab/ml",), progress=silent)

    assert set(there.outcomes) == {Outcome.MOUNTED}


def test_after_a_failure_there_is_no_tag() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("PUT", str(SMALL.layers[1].digest), Fault(status=403)))
        with pytest.raises(RegistryError, match="answered 403"):
            push_image(connection, SMALL, reference(registry), progress=silent)

    assert registry.manifests == {}


def test_progress_tells_bytes_of_all_and_ends_at_their_sum() -> None:
    told: list[tuple[int, int]] = []
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(
            connection, SMALL, reference(registry), progress=lambda _what, done, total: told.append((done, total))
        )

    whole = len(SMALL.config) + sum(layer.size for layer in SMALL.layers)
    assert told[-1] == (whole, whole)
    assert {total for _, total in told} == {whole}


def test_the_failure_that_came_first_is_told_and_the_others_stop() -> None:
    rows = [Blob(descriptor=blob(bytes([number]) * 1000), open=lambda: BytesIO(b"")) for number in range(50)]
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection, pytest.raises(DigestError):
        push_blobs(connection, "x", rows, progress=silent)

    assert registry.blobs == {}
    assert len(registry.requests("POST")) < 20


def index(*platforms: str) -> bytes:
    rows = [
        SMALL.descriptor.to_json() | {"platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True))}
        for platform in platforms
    ]
    return canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": rows})


def test_of_an_index_the_platforms_image_is_taken() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        registry.add_manifest("lab/ml", "all", index("linux/arm64", "linux/amd64"), MEDIA_TYPE_INDEX)
        assert fetch_image(connection, reference(registry, "lab/ml:all"), platform="linux/amd64").config == SMALL.config


def test_an_index_without_the_platform_is_told_with_what_it_has() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.add_manifest("lab/ml", "1", index("linux/arm64"), MEDIA_TYPE_INDEX)
        with pytest.raises(RegistryError) as caught:
            fetch_image(connection, reference(registry), platform="linux/amd64")

    assert caught.value.message == (
        f"{registry.host}/lab/ml:1 has 0 images for linux/amd64 (expected one; its platforms: linux/arm64)"
    )


def test_a_wrong_layer_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    layer = SMALL.layers[0]
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        registry.always.append(("GET", str(layer.digest), Fault(body=b"x" * layer.size)))
        with pytest.raises(RegistryError, match="sent other bytes for a blob of lab/ml"):
            fetch_blobs(connection, "lab/ml", [layer.descriptor], store.blobs, progress=silent)

    assert not store.blobs.has(layer.digest)


def test_a_tag_is_moved_to_a_new_image_only() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.add_manifest("lab/ml", "1", b'{"older": 1}', "a/b")
        push_image(connection, SMALL, reference(registry), progress=silent)

    assert Digest.of(registry.manifests["lab/ml", "1"][1]) == SMALL.descriptor.digest
