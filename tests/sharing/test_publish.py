"""What publishing asks and in which order, against a registry in this process."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from envcap.bundle.contents import bundle_pieces
from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import DigestError, RegistryError, UsageError
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Image
from envcap.registry.connection import Connection
from envcap.registry.reference import Reference
from envcap.registry.referrers import list_referrers
from envcap.registry.settings import RegistrySettings
from envcap.sharing.find import find_attestations, find_lock
from envcap.sharing.history import list_history
from envcap.sharing.publish import attach_attestation, check_target, known_image
from tests.oci.images import SMALL, silent
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import connect
from tests.sharing.published import FACTS, LOCK, Pieces, kept_pieces, publish, where
from tests.trust.people import ALICE, BOB, MALLORY


@pytest.fixture(params=[False, True], ids=["tags", "api"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with serve(FakeRegistry(referrers=request.param)) as registry:
        yield registry


@pytest.fixture
def connection(registry: FakeRegistry) -> Iterator[Connection]:
    with connect(registry.host) as connection:
        yield connection


def test_the_tag_names_the_image_and_is_set_last(registry: FakeRegistry, connection: Connection) -> None:
    done = publish(connection, said=(ALICE.signs(FACTS).data,))
    assert done.root == SMALL.descriptor.digest
    writes = [f"{row.method} {row.path}" for row in registry.asked if row.method in {"PUT", "POST", "PATCH"}]
    assert writes[-2:] == ["PUT /v2/lab/ml/manifests/1.envcap", "PUT /v2/lab/ml/manifests/1"]
    assert registry.manifests["lab/ml", "1"][1] == SMALL.manifest


def test_a_lock_is_found_from_its_tag_its_image_and_itself(connection: Connection) -> None:
    done = publish(connection)
    for rest in (":1", f"@{SMALL.descriptor.digest}", f"@{done.lock}", f":1@{done.root}"):
        found = find_lock(connection, where(connection, rest))
        assert (found.lockfile, found.artifact.digest) == (LOCK, done.lock)
        assert found.root.digest == SMALL.descriptor.digest
        assert found.has_image
        assert set(found.layers) == {piece.sha256 for piece in kept_pieces()}


def test_a_lock_alone_is_what_its_tag_names(connection: Connection) -> None:
    done = publish(connection, image=False, said=(ALICE.signs(FACTS).data,))
    found = find_lock(connection, where(connection))
    assert done.root == done.lock == found.root.digest == found.artifact.digest
    assert not found.has_image
    assert [row.data for row in find_attestations(connection, found)[0]] == [ALICE.signs(FACTS).data]


def another_platform() -> Image:
    """The same image, for another processor."""
    return replace(SMALL, platform="linux/arm64", config=SMALL.config.replace(b'"amd64"', b'"arm64"'))


def test_a_tag_that_named_another_platform_s_image_says_so(registry: FakeRegistry, connection: Connection) -> None:
    before = another_platform()
    registry.add_blob("lab/ml", before.config)
    registry.add_manifest("lab/ml", "1", before.manifest, MEDIA_TYPE_MANIFEST)
    done = publish(connection)
    assert (done.before, done.lost) == (before.descriptor.digest, ("linux/arm64",))
    assert publish(connection).lost == ()


def test_a_tag_that_named_an_index_of_platforms_names_those_that_are_lost(
    registry: FakeRegistry, connection: Connection
) -> None:
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64", "s390x", "x\x1b[2J")]
    rows = [SMALL.descriptor.to_json() | {"platform": platform} for platform in platforms]
    index = canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": rows})
    registry.add_manifest("lab/ml", "1", index, MEDIA_TYPE_INDEX)
    assert publish(connection).lost == ("linux/arm64", "linux/s390x")


@pytest.mark.parametrize("config", [b"", b"{}", b'{"os":1,"architecture":"arm64"}', b"damaged"])
def test_what_a_tag_named_before_is_no_reason_to_fail(
    registry: FakeRegistry, connection: Connection, config: bytes
) -> None:
    before = replace(SMALL, config=config)
    if config:
        registry.add_blob("lab/ml", config)
    registry.add_manifest("lab/ml", "1", before.manifest, MEDIA_TYPE_MANIFEST)
    done = publish(connection)
    assert (done.root, done.lost) == (SMALL.descriptor.digest, ())


def test_a_known_publication_moves_no_blob_and_writes_nothing(registry: FakeRegistry, connection: Connection) -> None:
    said = (ALICE.signs(FACTS).data, BOB.rebuilds(SMALL.image_id, FACTS).data)
    first = publish(connection, said=said)
    registry.asked.clear()
    pieces = Pieces()
    again = publish(connection, said=said, pieces=pieces)
    assert (again.root, again.lock, again.outcomes, again.is_news) == (first.root, first.lock, (), False)
    assert {row.method for row in registry.asked} <= {"GET", "HEAD"}
    assert pieces.asked == 0
    assert len(registry.asked) < 40


def test_two_publishers_make_the_same_digests() -> None:
    found = []
    for _ in range(2):
        with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
            publish(connection, said=(ALICE.signs(FACTS).data,))
            found.append({key: data for key, (_, data) in registry.manifests.items()})
    assert found[0] == found[1]


def test_sources_lie_with_the_lock_if_that_is_asked_for(connection: Connection) -> None:
    publish(connection)
    publish(connection, "2", with_sources=True)
    few, all_ = (find_lock(connection, where(connection, rest)) for rest in (":1", ":2"))
    assert set(few.layers) < set(all_.layers)
    # Of two artifacts of one lock the image gives the one that holds more.
    assert find_lock(connection, where(connection, f"@{SMALL.descriptor.digest}")).artifact == all_.artifact


@pytest.mark.parametrize("image", [True, False])
def test_a_publish_without_the_sources_leaves_those_that_the_tag_has(connection: Connection, *, image: bool) -> None:
    rich = publish(connection, with_sources=True, image=image)
    pieces = Pieces()
    again = publish(connection, image=image, said=(ALICE.signs(FACTS).data,), pieces=pieces)
    found = find_lock(connection, where(connection))
    assert (again.lock, again.root, again.outcomes, pieces.asked) == (rich.lock, rich.root, (), 0)
    assert set(found.layers) == {piece.sha256 for piece in bundle_pieces(LOCK)}
    assert [row.data for row in find_attestations(connection, found)[0]] == [ALICE.signs(FACTS).data]


def test_another_lock_takes_the_tag_though_the_one_there_has_sources(connection: Connection) -> None:
    publish(connection, with_sources=True)
    done = publish(connection, lockfile=replace(LOCK, name="other"))
    found = find_lock(connection, where(connection))
    assert (found.artifact.digest, found.lockfile.name) == (done.lock, "other")


def test_a_tag_means_its_own_lock_even_if_its_image_has_several(connection: Connection) -> None:
    other = replace(LOCK, name="other")
    publish(connection)
    publish(connection, "2", lockfile=other)
    assert find_lock(connection, where(connection, ":1")).lockfile == LOCK
    assert find_lock(connection, where(connection, ":2")).lockfile == other
    with pytest.raises(RegistryError, match="an image of 2 different locks: @sha256:"):
        find_lock(connection, where(connection, f"@{SMALL.descriptor.digest}"))


def test_what_is_said_is_attached_to_the_image_where_other_tools_look(connection: Connection) -> None:
    publish(connection, said=(ALICE.signs(FACTS).data,))
    lock = find_lock(connection, where(connection))
    added = attach_attestation(connection, lock, BOB.rebuilds(SMALL.image_id, FACTS).data)
    rows = list_referrers(
        connection,
        "lab/ml",
        SMALL.descriptor.digest,
        artifact_type="application/vnd.dev.sigstore.bundle.v0.3+json",
    )
    assert added.digest in {row.descriptor.digest for row in rows}
    found, passed = find_attestations(connection, lock)
    assert {row.data for row in found} == {ALICE.signs(FACTS).data, BOB.rebuilds(SMALL.image_id, FACTS).data}
    assert passed == ()


def test_damaged_bytes_are_not_published_and_set_no_tag(registry: FakeRegistry, connection: Connection) -> None:
    with pytest.raises(DigestError, match="expected"):
        publish(connection, pieces=Pieces(damaged=True))
    assert not {target for _, target in registry.manifests if target.startswith("1")}


@pytest.mark.parametrize("part", ["blobs/uploads", "manifests/sha256:", "manifests/1.envcap", "manifests/1"])
def test_a_registry_that_refuses_is_named_and_the_tag_stays(part: str) -> None:
    with serve(FakeRegistry(always=[("PUT", part, Fault(status=403)), ("POST", part, Fault(status=403))])) as registry:
        with connect(registry.host) as connection, pytest.raises(RegistryError, match="answered 403") as refused:
            publish(connection)
        assert registry.host in refused.value.message
        assert ("lab/ml", "1") not in registry.manifests


def test_a_digest_is_no_place_to_publish_to() -> None:
    with pytest.raises(UsageError, match="names a digest"):
        check_target(Reference.parse(f"registry.example.org/lab/ml@{FACTS.text}"))
    with pytest.raises(UsageError, match="expected at most 121"):
        check_target(Reference.parse(f"registry.example.org/lab/ml:{'a' * 125}"))
    assert check_target(Reference.parse("registry.example.org/lab/ml")).tag == "latest"


def test_something_else_under_the_image_s_digest_is_refused(registry: FakeRegistry, connection: Connection) -> None:
    index = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    digest = registry.add_manifest("lab/ml", "x", index, "application/vnd.oci.image.index.v1+json")
    with pytest.raises(RegistryError, match="something else than an image"):
        known_image(connection, "lab/ml", Digest.parse(digest))
    assert known_image(connection, "lab/ml", FACTS.text) is None


def test_16_publishers_of_the_same_and_of_other_locks_lose_nothing(registry: FakeRegistry) -> None:
    locks = [replace(LOCK, name=f"lock{number % 8}") for number in range(16)]

    def run(number: int) -> Digest:
        with Connection(registry.host, RegistrySettings()) as connection:
            return publish(connection, f"t{number}", lockfile=locks[number]).lock

    connect(registry.host).close()  # the HTTP client is loaded by one thread, see envcap/lazy.py
    with ThreadPoolExecutor(16) as pool:
        digests = list(pool.map(run, range(16)))
    with connect(registry.host) as connection:
        for number, digest in enumerate(digests):
            found = find_lock(connection, where(connection, f":t{number}"))
            assert (found.artifact.digest, found.lockfile.name) == (digest, f"lock{number % 8}")
        entries = list_history(connection, where(connection, ""), progress=silent)
    assert len(set(digests)) == 8
    assert sorted(tag for entry in entries for tag in entry.tags) == sorted(f"t{number}" for number in range(16))
    assert len(entries) == 8


def test_history_joins_tags_and_says_what_is_no_lock(registry: FakeRegistry, connection: Connection) -> None:
    publish(connection, said=(ALICE.signs(FACTS).data, MALLORY.rebuilds(FACTS.text, FACTS).data))
    publish(connection, "2")
    registry.add_manifest(
        "lab/ml", "alone", SMALL.manifest.replace(b"tar+gzip", b"tar"), "application/vnd.oci.image.manifest.v1+json"
    )
    entries = {entry.tags: entry for entry in list_history(connection, where(connection, ""), progress=silent)}
    assert set(entries) == {("1", "2"), ("alone",)}
    assert "an image without a lock" in entries["alone",].refusal
    said = [row.claim for row in entries["1", "2"].said]
    assert {(claim.kind, claim.rebuild.level if claim.rebuild else "") for claim in said if claim} == {
        ("signature", ""),
        ("rebuild", "differ"),
    }
