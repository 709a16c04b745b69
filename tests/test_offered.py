"""Layers from a registry in place of built ones: the same image, whatever the registry sends."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.build.image import build_image, known_layers
from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_MANIFEST, Image
from envcap.offered import OfferedLayers, fits, recall_offered, take_offered
from envcap.registry.connection import Connection
from envcap.registry.offer import Offer, find_offer, offered_image, take_layers
from envcap.registry.reference import Reference
from envcap.registry.transfer import push_image
from envcap.store import Store, open_store
from tests.build.test_image import AMD64, PLAN, Materials, build, entry, quiet
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A registry that has the image of `PLAN`, and a connection to it."""

    registry: FakeRegistry
    connection: Connection
    image: Image

    @property
    def reference(self) -> Reference:
        return Reference.parse(f"{self.registry.host}/lab/ml:1")

    def look(self, *, manifest: Digest | None = None) -> Offer | None:
        return find_offer(
            self.connection, self.reference, platform=AMD64, image_id=self.image.image_id, manifest=manifest
        )

    def offer(self, *, manifest: Digest | None = None) -> Offer:
        found = self.look(manifest=manifest)
        assert found is not None
        return found

    def blob(self, place: int) -> str:
        return str(self.image.layers[place].digest)

    @property
    def blobs(self) -> dict[str, bytes]:
        return self.registry.blobs["lab/ml"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(open_store(tmp_path_factory.mktemp("source") / "store"), Materials())


@pytest.fixture
def shared(source: Image) -> Iterator[Shared]:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        shared = Shared(registry=registry, connection=connection, image=source)
        push_image(connection, source, shared.reference, progress=quiet)
        registry.asked.clear()
        yield shared


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def rebuild(offer: Offer, store: Store, materials: Materials) -> tuple[Image, OfferedLayers]:
    offered = take_offered(PLAN, materials, offer, store, progress=quiet)
    image = build_image(PLAN, materials, store, jobs=2, progress=quiet, taken=offered.taken)
    return image, offered


def test_an_image_that_a_registry_has_is_not_built(shared: Shared, store: Store) -> None:
    image, offered = rebuild(shared.offer(manifest=shared.image.descriptor.digest), store, Materials(closed=True))

    assert (image.manifest, image.config) == (shared.image.manifest, shared.image.config)
    assert [layer.what for layer in image.layers] == [layer.what for layer in shared.image.layers]
    assert (len(offered.taken), offered.problems) == (len(PLAN.layers), ())
    assert all(store.blobs.verified(layer.digest).exists() for layer in image.layers)


def test_only_what_the_store_does_not_know_is_fetched(shared: Shared, store: Store) -> None:
    build(store, Materials())
    lost = shared.image.layers[2]
    store.blobs.path(lost.digest).unlink()

    image, offered = rebuild(shared.offer(), store, Materials())

    fetched = [asked.path.rpartition("/")[2] for asked in shared.registry.requests("GET", "/blobs/")]
    config = str(shared.image.image_id)
    # The last layer is looked up by what the others hold, and so is taken with the one that is lost.
    assert [digest for digest in fetched if digest != config] == [str(lost.digest)]
    assert sorted(offered.taken) == [2, len(PLAN.layers) - 1]
    assert image.manifest == shared.image.manifest


def test_what_was_taken_is_known_without_the_registry(shared: Shared, store: Store) -> None:
    manifest = shared.image.descriptor.digest
    rebuild(shared.offer(manifest=manifest), store, Materials())
    closed = Materials(closed=True)

    def recall() -> OfferedLayers:
        diff_ids = [layer.diff_id for layer in shared.image.layers]
        return recall_offered(PLAN, closed, store, image_id=shared.image.image_id, manifest=manifest, diff_ids=diff_ids)

    image = build_image(PLAN, closed, store, jobs=2, progress=quiet, taken=recall().taken)
    assert image.manifest == shared.image.manifest
    assert known_layers(PLAN, closed, store) == {}  # what was taken does not count as built here
    store.blobs.path(image.layers[0].digest).unlink()
    assert recall().taken == {}


def test_what_was_taken_is_not_recalled_for_another_plan(shared: Shared, store: Store) -> None:
    manifest = shared.image.descriptor.digest
    rebuild(shared.offer(manifest=manifest), store, Materials())
    diff_ids = [layer.diff_id for layer in shared.image.layers]

    def recall(image_id: Digest, diff_ids: list[Digest], epoch: int = 0) -> OfferedLayers:
        plan = replace(PLAN, epoch=PLAN.epoch + epoch)
        return recall_offered(plan, Materials(), store, image_id=image_id, manifest=manifest, diff_ids=diff_ids)

    assert recall(shared.image.image_id, diff_ids, epoch=1).taken == {}
    assert recall(Digest.of(b"another"), diff_ids).taken == {}
    assert recall(shared.image.image_id, diff_ids[1:]).taken == {}
    assert recall(shared.image.image_id, []).taken == {}


def test_an_image_that_does_not_follow_from_the_plan_gives_no_layer(shared: Shared, store: Store) -> None:
    other = replace(PLAN, epoch=PLAN.epoch + 1)
    offer = shared.offer()
    assert (fits(PLAN, offer), fits(other, offer)) == (True, False)

    offered = take_offered(other, Materials(), offer, store, progress=quiet)

    assert offered.taken == {}
    assert offered.problems == (f"{shared.registry.host}/lab/ml has an image that doesn't follow from the lock",)


def test_where_other_layers_were_built_nothing_is_taken(shared: Shared, store: Store) -> None:
    """What the lock expects is not what comes out here: the user shall see that, and not a mixture."""
    honest = Materials()

    class Changed(Materials):
        def key(self, layer: object) -> dict[str, object]:
            return dict(honest.key(layer))  # type: ignore[arg-type]

    changed = Changed(changes={"OS packages": [entry("etc/other", b"other")]})
    build(store, changed)

    offered = take_offered(PLAN, honest, shared.offer(), store, progress=quiet)

    assert offered == OfferedLayers(problems=(f"{shared.registry.host}/lab/ml has other layers than were built here",))


def damage(blobs: dict[str, bytes], digest: str) -> None:
    blobs[digest] = blobs[digest][:-1] + bytes([blobs[digest][-1] ^ 1])


def shorten(blobs: dict[str, bytes], digest: str) -> None:
    blobs[digest] = blobs[digest][:-1]


def lengthen(blobs: dict[str, bytes], digest: str) -> None:
    blobs[digest] += b"\0"


def lose(blobs: dict[str, bytes], digest: str) -> None:
    del blobs[digest]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage, "sent other bytes for a blob of lab/ml"),
        (shorten, "bytes (expected "),
        (lengthen, "bytes (expected "),
        (lose, "answered 404"),
    ],
)
@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_registry_that_lies_costs_a_build(
    shared: Shared, store: Store, harm: Callable[[dict[str, bytes], str], None], said: str, place: int
) -> None:
    harm(shared.blobs, shared.blob(place))
    materials = Materials()

    image, offered = rebuild(shared.offer(manifest=shared.image.descriptor.digest), store, materials)

    assert image.manifest == shared.image.manifest
    assert len(offered.problems) == 1
    assert shared.registry.host in offered.problems[0]
    assert said in offered.problems[0]
    if place >= 0:
        assert materials.opened == [PLAN.layers[place].what]


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, len(PLAN.layers) - 1)), st.sampled_from([damage, shorten, lose]))
def test_whatever_layers_are_damaged_the_image_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    source: Image,
    places: set[int],
    harm: Callable[[dict[str, bytes], str], None],
) -> None:
    store = open_store(tmp_path_factory.mktemp("harmed") / "store")
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        shared = Shared(registry=registry, connection=connection, image=source)
        push_image(connection, source, shared.reference, progress=quiet)
        for place in places:
            harm(shared.blobs, shared.blob(place))
        image, offered = rebuild(shared.offer(), store, Materials())

    assert image.manifest == source.manifest
    assert len(offered.problems) == len(places)


def replaced(shared: Shared, place: int, blob: bytes) -> None:
    """Publish a manifest whose layer is another blob, under the tag: its config is the true one."""
    _, data = shared.registry.manifests["lab/ml", "1"]
    table = json.loads(data)
    digest = shared.registry.add_blob("lab/ml", blob)
    table["layers"][place] |= {"digest": digest, "size": len(blob)}
    shared.registry.add_manifest("lab/ml", "1", json.dumps(table).encode(), MEDIA_TYPE_MANIFEST)


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (gzip.compress(b"another tar", mtime=0), "is not what the config names (expected sha256:"),
        (gzip.compress(b"another tar", mtime=0)[:-3], "can't be unpacked"),
        (b"no gzip at all", "can't be unpacked"),
        (b"", "can't be unpacked"),
    ],
)
def test_a_blob_of_another_tar_is_not_that_layer(shared: Shared, store: Store, blob: bytes, said: str) -> None:
    """A lock that knows no manifest names the layers by their tars alone."""
    replaced(shared, 0, blob)
    materials = Materials()

    image, offered = rebuild(shared.offer(), store, materials)

    assert image.manifest == shared.image.manifest
    assert said in offered.problems[0]
    assert materials.opened == [PLAN.layers[0].what]


def test_a_bomb_is_given_up(shared: Shared, store: Store) -> None:
    replaced(shared, 0, gzip.compress(bytes(8 << 20), mtime=0))
    offer = shared.offer()

    taken = take_layers(offer, [shared.image.layers[0].diff_id], store, progress=quiet, grows_to=1 << 20)

    assert taken.layers == {}
    assert "can't be unpacked: more than 1048576 bytes come out of it" in taken.problems[0]


def test_the_manifest_is_asked_for_by_the_digest_that_the_lock_names(shared: Shared) -> None:
    """A tag may have moved on, and is not even read."""
    shared.registry.add_manifest("lab/ml", "1", b"{}", MEDIA_TYPE_MANIFEST)
    assert shared.offer(manifest=shared.image.descriptor.digest).image_id == shared.image.image_id


@pytest.mark.parametrize("manifest", [Digest.of(b"never seen"), None])
def test_another_image_is_no_offer(shared: Shared, manifest: Digest | None) -> None:
    found = find_offer(
        shared.connection, shared.reference, platform=AMD64, image_id=Digest.of(b"another"), manifest=manifest
    )
    assert found is None


def test_a_registry_that_does_not_answer_is_told_of(shared: Shared, store: Store) -> None:
    offer = shared.offer()
    shared.registry.always.append(("GET", f"/blobs/{shared.blob(0)}", Fault(status=503)))

    image, offered = rebuild(offer, store, Materials())

    assert image.manifest == shared.image.manifest
    assert offered.problems[0].startswith(f"{shared.registry.host} answered 503")


def rewritten(shared: Shared, change: Callable[[dict[str, list[dict[str, object]]]], object]) -> None:
    """Publish the manifest with a change under the tag: its config is the true one."""
    _, data = shared.registry.manifests["lab/ml", "1"]
    table = json.loads(data)
    change(table)
    shared.registry.add_manifest("lab/ml", "1", json.dumps(table).encode(), MEDIA_TYPE_MANIFEST)


def test_layers_in_another_compression_are_no_offer(shared: Shared) -> None:
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    rewritten(shared, lambda table: table["layers"][1].update(mediaType=kind))
    assert shared.look() is None


def test_a_manifest_with_another_number_of_layers_is_refused(shared: Shared) -> None:
    rewritten(shared, lambda table: table["layers"].pop())
    count = len(PLAN.layers)
    with pytest.raises(RegistryError, match=f"the config names {count} layers, the manifest {count - 1}"):
        shared.look()


def test_layers_that_are_swapped_are_not_those_layers(shared: Shared, store: Store) -> None:
    rewritten(shared, lambda table: table["layers"].reverse())
    image, offered = rebuild(shared.offer(), store, Materials())
    assert image.manifest == shared.image.manifest
    assert len(offered.problems) >= len(PLAN.layers) - 1


def test_an_image_wrapped_otherwise_is_not_pushed_as_it_is(shared: Shared, store: Store) -> None:
    """Its manifest is not the one that we would write, so it can't be put from what we know."""
    rewritten(shared, lambda table: None)
    assert offered_image(shared.offer(), PLAN, store) is None
    other = shared.offer(manifest=shared.image.descriptor.digest)
    image = offered_image(other, PLAN, store)
    assert image is not None
    assert image.manifest == shared.image.manifest
