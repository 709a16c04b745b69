"""A registry is hostile until hashed: what it answers wrongly is refused in a line that names it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envcap.archives.access import RegionStream
from envcap.digest import Digest
from envcap.errors import ArchiveError, EnvcapError, LockfileError, RegistryError
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.connection import Connection
from envcap.sharing.artifact import attestation_manifest, read_claim
from envcap.sharing.find import MAX_LOCKS, find_attestations, find_lock
from envcap.sharing.held import RegistryFiles
from envcap.store import open_store
from tests.bundle.tiny import KEPT
from tests.oci.images import SMALL
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import connect
from tests.sharing.published import FACTS, LOCK, publish, where
from tests.trust.people import ALICE, BOB

OCI = "application/vnd.oci.image.manifest.v1+json"
Json = dict[str, Any]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serve(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def connection(registry: FakeRegistry) -> Iterator[Connection]:
    with connect(registry.host) as connection:
        yield connection


def edited(registry: FakeRegistry, edit: Callable[[Json], object]) -> str:
    """Put a changed lock artifact under the tag `bad`; its digest is right."""
    table = json.loads(registry.manifests["lab/ml", "1.envcap"][1])
    edit(table)
    return registry.add_manifest("lab/ml", "bad", json.dumps(table).encode(), OCI)


def layers(table: Json) -> list[Json]:
    found = table["layers"]
    assert isinstance(found, list)
    return found


EDITS: dict[str, tuple[Callable[[Json], object], str]] = {
    "no layers": (lambda table: table.update(layers=[]), "expected one lock, as the first layer, found 0"),
    "two locks": (lambda table: layers(table).append(layers(table)[0]), "as the first layer, found 2"),
    "lock last": (lambda table: layers(table).reverse(), "expected one lock, as the first layer"),
    "a config": (
        lambda table: table.update(config=table["config"] | {"mediaType": "application/x"}),
        "a lock's artifact has an empty config",
    ),
    "a huge lock": (lambda table: layers(table)[0].update(size=1 << 40), "a lock of 1099511627776 bytes"),
    "nothing kept": (lambda table: table.update(layers=layers(table)[:1]), "the artifact has nothing"),
    "a kept file of another size": (lambda table: layers(table)[1].update(size=7), "the artifact has 7 bytes"),
    "another size": (lambda table: layers(table)[0].update(size=11), "(expected 11)"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_lock_artifact_that_is_not_one_is_refused(name: str, registry: FakeRegistry, connection: Connection) -> None:
    edit, message = EDITS[name]
    publish(connection)
    edited(registry, edit)
    with pytest.raises(RegistryError) as refused:
        find_lock(connection, where(connection, ":bad"))
    assert message in refused.value.message
    assert registry.host in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("text", [b"\xff\xfe", b"lock-version = 7", b"name = [" * 10000])
def test_a_layer_that_is_no_lock_is_refused(text: bytes, registry: FakeRegistry, connection: Connection) -> None:
    publish(connection)
    digest = registry.add_blob("lab/ml", text)
    edited(registry, lambda table: layers(table)[0].update(digest=digest, size=len(text)))
    with pytest.raises(LockfileError) as refused:
        find_lock(connection, where(connection, ":bad"))
    assert registry.host in refused.value.message


def test_other_bytes_under_the_lock_s_digest_are_refused(registry: FakeRegistry, connection: Connection) -> None:
    publish(connection)
    digest = json.loads(registry.manifests["lab/ml", "1.envcap"][1])["layers"][0]["digest"]
    registry.blobs["lab/ml"][digest] = registry.blobs["lab/ml"][digest].replace(b"1.0", b"1.1")
    with pytest.raises(RegistryError, match="sent other bytes"):
        find_lock(connection, where(connection))


def test_a_tag_that_moves_while_it_is_read_changes_nothing(registry: FakeRegistry, connection: Connection) -> None:
    publish(connection)
    publish(connection, "2", lockfile=replace(LOCK, name="moved"))

    def move(asked: object) -> None:
        if "manifests/1.envcap" in str(asked):
            registry.manifests["lab/ml", "1"] = registry.manifests["lab/ml", "2.envcap"]

    registry.before = move
    found = find_lock(connection, where(connection))
    assert (found.lockfile, found.reference.digest) == (LOCK, SMALL.descriptor.digest)


def test_the_tag_of_a_lock_counts_only_for_the_image_that_it_refers_to(
    registry: FakeRegistry, connection: Connection
) -> None:
    publish(connection)
    planted = edited(
        registry,
        lambda table: table.update(subject=table["subject"] | {"digest": f"sha256:{'0' * 64}"}),
    )
    registry.manifests["lab/ml", "1.envcap"] = registry.manifests["lab/ml", planted]
    found = find_lock(connection, where(connection))
    assert str(found.artifact.digest) != planted


def test_an_entry_of_the_list_that_refers_elsewhere_is_no_lock_of_the_image(
    registry: FakeRegistry, connection: Connection
) -> None:
    publish(connection)
    planted = edited(
        registry,
        lambda table: table.update(subject=table["subject"] | {"digest": f"sha256:{'0' * 64}"}, annotations={"a": "b"}),
    )
    fallback = f"sha256-{SMALL.descriptor.digest.hex}"
    index = json.loads(registry.manifests["lab/ml", fallback][1])
    index["manifests"].append(index["manifests"][0] | {"digest": planted, "size": 1})
    registry.add_manifest("lab/ml", fallback, json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
    found = find_lock(connection, where(connection, f"@{SMALL.descriptor.digest}"))
    assert str(found.artifact.digest) != planted


def test_an_image_with_endless_locks_is_refused(registry: FakeRegistry, connection: Connection) -> None:
    publish(connection)
    row = {"mediaType": OCI, "size": 9, "artifactType": "application/vnd.envcap.lock.v1"}
    rows = [row | {"digest": str(Digest.of(b"%d" % number))} for number in range(MAX_LOCKS + 1)]
    index = json.dumps({"schemaVersion": 2, "manifests": rows}).encode()
    fallback = f"sha256-{SMALL.descriptor.digest.hex}"
    registry.add_manifest("lab/ml", fallback, index, "application/vnd.oci.image.index.v1+json")
    with pytest.raises(RegistryError, match=f"expected at most {MAX_LOCKS}"):
        find_lock(connection, where(connection, f"@{SMALL.descriptor.digest}"))


def attach(registry: FakeRegistry, edit: Callable[[Json], object], data: bytes) -> str:
    """Plant an attestation in the list of referrers."""
    registry.add_blob("lab/ml", data)
    table = json.loads(attestation_manifest(data, read_claim(BOB.signs(FACTS).data, FACTS), SMALL.descriptor))
    table["layers"][0] |= {"digest": str(Digest.of(data)), "size": len(data)}
    edit(table)
    digest = registry.add_manifest("lab/ml", "planted", json.dumps(table).encode(), OCI)
    del registry.manifests["lab/ml", "planted"]
    fallback = f"sha256-{SMALL.descriptor.digest.hex}"
    index = json.loads(registry.manifests["lab/ml", fallback][1])
    size = len(registry.manifests["lab/ml", digest][1])
    index["manifests"].append({"mediaType": OCI, "digest": digest, "size": size, "artifactType": table["artifactType"]})
    registry.add_manifest("lab/ml", fallback, json.dumps(index).encode(), "application/vnd.oci.image.index.v1+json")
    return digest


PLANTED: dict[str, tuple[Callable[[Json], object], str]] = {
    "another subject": (lambda table: table.pop("subject"), "refers to something else"),
    "no layer": (lambda table: table.update(layers=[]), "needs one layer"),
    "two layers": (lambda table: layers(table).append(layers(table)[0]), "needs one layer"),
    "a huge layer": (lambda table: layers(table)[0].update(size=1 << 30), "expected at most 65536"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_attestation_is_passed_over_and_hides_no_other(
    name: str, registry: FakeRegistry, connection: Connection
) -> None:
    edit, message = PLANTED[name]
    publish(connection, said=(ALICE.signs(FACTS).data,))
    planted = attach(registry, edit, b"{}")
    found, passed = find_attestations(connection, find_lock(connection, where(connection)))
    assert [row.data for row in found] == [ALICE.signs(FACTS).data]
    assert len(passed) == 1
    assert planted in passed[0]
    assert message in passed[0]


def test_files_are_fetched_when_they_are_read_and_hashed(
    registry: FakeRegistry, connection: Connection, tmp_path: Path
) -> None:
    publish(connection)
    store = open_store(tmp_path / "store")
    files = RegistryFiles(find_lock(connection, where(connection)), connection, lambda: store.blobs)
    registry.asked.clear()
    reader = files.reader(Digest.of(KEPT).hex)
    assert reader is not None
    assert reader.size == len(KEPT)
    assert not registry.asked
    assert RegionStream(reader, 0, reader.size).read() == KEPT
    assert reader.read_at(1, 1) == KEPT[1:2]
    assert len(registry.requests("GET", "/blobs/")) == 1
    assert files.reader("0" * 64) is None


def test_a_tag_that_is_not_there_is_told_with_those_that_are(registry: FakeRegistry, connection: Connection) -> None:
    publish(connection, "2026-11")
    with pytest.raises(RegistryAnswerError) as caught:
        find_lock(connection, where(connection, ":2026-1"))
    assert caught.value.message == (
        f"{registry.host} has no '2026-1' in lab/ml: {registry.host} answered 404 Not Found to GET"
        " /v2/lab/ml/manifests/2026-1 (MANIFEST_UNKNOWN: manifest unknown)"
    )
    assert (caught.value.status, caught.value.hint) == (404, "its tags are: 2026-11")
    for number in range(12):
        registry.add_manifest("lab/ml", f"t{number:02}", SMALL.manifest, OCI)
    with pytest.raises(RegistryAnswerError) as caught:
        find_lock(connection, where(connection, ""))
    assert caught.value.hint == f"its tags are: 2026-11, {', '.join(f't{number:02}' for number in range(9))} and 3 more"


def test_a_repository_without_tags_or_that_lists_none_is_told_as_such(
    registry: FakeRegistry, connection: Connection
) -> None:
    registry.always.append(("GET", "tags", Fault(status=403)))
    with pytest.raises(RegistryAnswerError) as caught:
        find_lock(connection, where(connection, ":1"))
    assert caught.value.hint == "check the name and the tag"


@pytest.mark.parametrize("fault", [Fault(body=b"xyz"), Fault(status=404), Fault(status=403), Fault(body=b"long" * 99)])
def test_a_file_that_the_registry_lost_or_changed_is_an_error_of_reading(
    fault: Fault, registry: FakeRegistry, connection: Connection, tmp_path: Path
) -> None:
    publish(connection)
    store = open_store(tmp_path / "store")
    files = RegistryFiles(find_lock(connection, where(connection)), connection, lambda: store.blobs)
    registry.always.append(("GET", f"/blobs/{Digest.of(KEPT)}", fault))
    reader = files.reader(Digest.of(KEPT).hex)
    assert reader is not None
    with pytest.raises(ArchiveError) as refused:
        reader.read_at(0, 3)
    assert registry.host in refused.value.message
    assert not store.blobs.has(Digest.of(KEPT))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(body=b"<html>please log in</html>", headers={"Content-Type": "text/html"}),
        Fault(body=b"{}"),
        Fault(status=401),
        Fault(headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
        Fault(status=302, headers={"Location": "http://127.0.0.1:1/x"}),
        Fault(status=302, headers={"Location": "/v2/lab/ml/manifests/1"}),
        Fault(body=b"[" * 100_000),
    ],
    ids=["html", "empty", "401", "digest", "elsewhere", "loop", "deep"],
)
def test_wrong_answers_are_refused_in_a_line_that_names_the_registry(
    fault: Fault, registry: FakeRegistry, connection: Connection
) -> None:
    publish(connection)
    registry.always.append(("GET", "/manifests/1", fault))
    with pytest.raises(EnvcapError) as refused:
        find_lock(connection, where(connection))
    assert "127.0.0.1" in refused.value.message
    assert "\n" not in refused.value.message
