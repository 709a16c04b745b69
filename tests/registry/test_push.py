"""A push while the image is being built, and the memory of where blobs are."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import DamagedObjectError, RegistryError, StoreError
from envcap.oci.image import Image
from envcap.registry.connection import Connection
from envcap.registry.journal import FileJournal, NoJournal, UploadJournal
from envcap.registry.mounts import MountMemory
from envcap.registry.push import NewPush, PushedImage, new_push
from envcap.registry.reference import Reference, check_repository
from envcap.registry.upload import Outcome
from envcap.store import Store, open_store
from envcap.store.actions import action_key
from tests.archives.tar_builder import file
from tests.oci.images import make_image, silent, tar
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import connect

IMAGE = make_image(*(tar(file(b"f%d" % number, b"%d" % number * 1000)) for number in range(5)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that has the image's layers."""
    store = open_store(tmp_path / "store")
    for layer in IMAGE.layers:
        with IMAGE.blobs.open(layer.digest) as stream:
            store.blobs.add_stream(stream, expected=layer.digest)
    return store


def push(
    connection: Connection,
    store: Store,
    reference: str = "lab/ml:1",
    *,
    image: Image = IMAGE,
    added: int = 5,
    journal: UploadJournal | None = None,
) -> PushedImage:
    place = Reference.parse(f"{connection.host}/{reference}")
    memory = MountMemory(store.actions, connection.host)
    with new_push(connection, place, store.blobs, memory=memory, journal=journal or NoJournal()) as begun:
        for layer in image.layers[:added]:
            begun.add(layer)
        return begun.publish(image, progress=silent)


@pytest.mark.parametrize("added", [0, 3, 5])
def test_layers_that_were_not_added_are_sent_in_the_end(store: Store, added: int) -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        found = push(connection, store, added=added)
    assert (found.known, [how for _, how in found.outcomes]) == (False, [Outcome.SENT] * 5)
    assert registry.manifests["lab/ml", "1"][1] == IMAGE.manifest
    assert set(registry.blobs["lab/ml"]) == {str(IMAGE.image_id), *(str(layer.digest) for layer in IMAGE.layers)}


@pytest.mark.parametrize(("rest", "tags"), [("ml", {"latest"}), ("ml:a", {"a"}), (f"ml@sha256:{'0' * 64}", set())])
def test_a_digest_alone_sets_no_tag(store: Store, rest: str, tags: set[str]) -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        found = push(connection, store, rest)
    assert {target for _, target in registry.manifests if ":" not in target} == tags
    assert (found.reference.digest, {found.reference.tag} - {""}) == (IMAGE.descriptor.digest, tags)


def build(connection: Connection, store: Store, step: Callable[[NewPush], None]) -> None:
    """Build an image that is pushed, as far as that comes."""
    place = Reference.parse(f"{connection.host}/lab/ml:1")
    memory = MountMemory(store.actions, connection.host)
    with new_push(connection, place, store.blobs, memory=memory, journal=NoJournal()) as begun:
        step(begun)


def test_a_failed_upload_ends_the_build(store: Store) -> None:
    """Whoever may not push shall not wait for the whole build to be told so."""

    def endless(begun: NewPush) -> None:
        while True:
            begun.add(IMAGE.layers[0])

    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        registry.always.append(("POST", "/blobs/uploads/", Fault(status=403)))
        with pytest.raises(RegistryError, match="answered 403"):
            build(connection, store, endless)


def test_a_build_that_fails_leaves_no_manifest(store: Store) -> None:
    def failing(begun: NewPush) -> None:
        begun.add(IMAGE.layers[0])
        raise StoreError("The disk is full")

    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        with pytest.raises(StoreError, match="disk"):
            build(connection, store, failing)
        assert registry.manifests == {}


def test_a_damaged_layer_is_set_aside_and_not_published(store: Store) -> None:
    path = store.blobs.path(IMAGE.layers[1].digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        with pytest.raises(DamagedObjectError):
            push(connection, store)
        assert not path.exists()
        assert str(IMAGE.layers[1].digest) not in registry.blobs.get("lab/ml", {})
        assert registry.manifests == {}


def test_a_repository_that_took_a_blob_is_asked_for_it(store: Store) -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        push(connection, store, "a/ml:1")
        found = push(connection, store, "b/ml:1")
    assert {how for _, how in found.outcomes} == {Outcome.MOUNTED}


def test_another_registry_is_asked_for_no_mount(store: Store) -> None:
    with serve(FakeRegistry()) as first, connect(first.host) as connection:
        push(connection, store, "a/ml:1")
    with serve(FakeRegistry()) as second, connect(second.host) as connection:
        found = push(connection, store, "b/ml:1")
        assert not second.requests("POST", "mount=")
    assert {how for _, how in found.outcomes} == {Outcome.SENT}


def test_the_memory_keeps_the_newest_repositories(store: Store) -> None:
    memory, digest = MountMemory(store.actions, "registry.example.org"), Digest.of(b"blob")
    for name in ("a", "b", "c", "b", "d"):
        memory.note(digest, name)
    assert memory.find(digest) == ("d", "c", "b")
    assert memory.find(Digest.of(b"another")) == ()
    assert MountMemory(store.actions, "other.example.org").find(digest) == ()


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4), max_leaves=6))
def test_a_memory_that_makes_no_sense_is_no_memory(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    store = open_store(tmp_path_factory.getbasetemp() / "odd-memory")
    digest = Digest.of(b"blob")
    key = action_key("pushed-blob", {"host": "registry.example.org", "blob": str(digest)})
    store.actions.put(key, {"repositories": value})
    found = MountMemory(store.actions, "registry.example.org").find(digest)
    for name in found:
        check_repository(name)
    assert len(found) <= 3


class Torn:
    """A store's blob whose reading ends the process's push half-way, as a kill does."""

    def __init__(self, store: Store, after: int) -> None:
        self._store = store
        self._after = after

    def open(self, digest: Digest) -> BinaryIO:
        with self._store.blobs.open(digest) as file:
            data = file.read()
        return _Ending(data, self._after) if len(data) > self._after else BytesIO(data)

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        destination.write(self.open(digest).read())


class _Ending(BytesIO):
    def __init__(self, data: bytes, after: int) -> None:
        super().__init__(data)
        self._after = after

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._after:
            raise KeyboardInterrupt
        return super().read(size)


def test_a_push_that_was_interrupted_goes_on_within_a_blob(tmp_path: Path) -> None:
    """What the registry has of a large layer is not sent again."""
    size = 150 << 20
    store = open_store(tmp_path / "store")
    large = make_image(tar(file(b"large", bytes(size))))
    with large.blobs.open(large.layers[0].digest) as stream:
        store.blobs.add_stream(stream)
    journal = FileJournal(tmp_path / "uploads")
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        torn = Image(platform=large.platform, config=large.config, layers=large.layers, blobs=Torn(store, 100 << 20))
        with pytest.raises(KeyboardInterrupt):
            push(connection, store, image=torn, added=0, journal=journal)
        assert registry.manifests == {}
        registry.asked.clear()
        push(connection, store, image=large, journal=journal)
        again = sum(asked.size for asked in registry.asked if asked.method in {"PATCH", "PUT"})
    assert again < size - (60 << 20)
    assert str(large.layers[0].digest) in registry.blobs["lab/ml"]
