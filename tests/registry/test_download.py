"""Blobs and manifests that are not what was asked for: refused in one line, and nothing of them is kept."""

from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_MANIFEST
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.download import MOST_BREAKS, fetch_blob, read_blob
from envcap.registry.manifests import fetch_manifest, head_manifest, put_manifest
from envcap.store import Store, open_store
from tests.oci.images import SMALL
from tests.registry.fake_registry import INDEX, Asked, FakeRegistry, Fault, serve
from tests.registry.machine import blob, connect, ignore, logged_in

DATA = bytes(range(256)) * 4096
BLOB = blob(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    registry.add_blob("x", DATA)
    registry.add_manifest("x", "1", SMALL.manifest, MEDIA_TYPE_MANIFEST)
    return registry


def kept(store: Store) -> list[Path]:
    return [path for folder in ("blobs", "tmp") for path in (store.root / folder).rglob("*") if path.is_file()]


def test_a_blob_is_kept_and_counted(registry: FakeRegistry, store: Store) -> None:
    counted: list[int] = []
    with serve(registry), connect(registry.host) as connection:
        fetch_blob(connection, "x", BLOB, store.blobs, count=counted.append)

    assert store.blobs.verified(BLOB.digest).read_bytes() == DATA
    assert sum(counted) == len(DATA)


def test_a_blob_that_the_store_has_is_not_asked_for(registry: FakeRegistry, store: Store) -> None:
    store.blobs.add_bytes(DATA)
    with serve(registry), connect(registry.host) as connection:
        fetch_blob(connection, "x", BLOB, store.blobs, count=ignore)

    assert registry.asked == []


def test_a_blob_that_broke_off_goes_on_where_it_stopped(registry: FakeRegistry, store: Store) -> None:
    registry.fail("GET", "/blobs/", Fault(cut=100_000), Fault(cut=300_000), Fault(drop=True))
    counted: list[int] = []
    with serve(registry), connect(registry.host) as connection:
        fetch_blob(connection, "x", BLOB, store.blobs, count=counted.append)

    assert store.blobs.verified(BLOB.digest).read_bytes() == DATA
    assert sum(counted) == len(DATA)
    last = len(DATA) - 1
    assert [asked.headers.get("range") for asked in registry.requests("GET", "/blobs/")] == [
        None,
        f"bytes=100000-{last}",
        f"bytes=400000-{last}",
        f"bytes=400000-{last}",
    ]


def test_a_registry_without_ranges_sends_all_again_and_it_is_taken_once(registry: FakeRegistry, store: Store) -> None:
    registry.fail("GET", "/blobs/", Fault(cut=100_000), Fault(status=200, body=DATA))
    with serve(registry), connect(registry.host) as connection:
        fetch_blob(connection, "x", BLOB, store.blobs, count=ignore)

    assert store.blobs.verified(BLOB.digest).read_bytes() == DATA


HTML = b"<!DOCTYPE html><html>Please log in</html>"
LENGTH = {"Content-Length": ""}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(body=DATA[:-1]), f"sent 1048575 bytes (expected 1048576) of {BLOB.digest} in x"),
        (Fault(body=DATA + b"x"), f"sent 1048577 bytes (expected 1048576) of {BLOB.digest} in x"),
        (Fault(body=b""), f"sent 0 bytes (expected 1048576) of {BLOB.digest} in x"),
        (
            Fault(body=HTML, headers={"Content-Type": "text/html"}),
            f"sent 41 bytes of text/html (expected 1048576) of {BLOB.digest} in x",
        ),
        (
            Fault(body=DATA + b"x" * 9_999_999, headers=LENGTH),
            f"sent more than the 1048576 bytes of {BLOB.digest} in x",
        ),
        (Fault(body=DATA[:-1], headers=LENGTH), f"sent 1048575 bytes (expected 1048576) of {BLOB.digest} in x"),
        (
            Fault(body=DATA[::-1]),
            (
                f"sent other bytes for a blob of x: Unexpected bytes (expected {BLOB.digest}, found "
                f"{Digest.of(DATA[::-1])} of 1048576 bytes)"
            ),
        ),
        (Fault(status=206), f"answered 206 Partial Content to GET /v2/x/blobs/{BLOB.digest}"),
        (Fault(status=204), f"answered 204 No Content to GET /v2/x/blobs/{BLOB.digest}"),
    ],
)
def test_other_bytes_than_were_asked_for_are_refused_and_not_kept(
    registry: FakeRegistry, store: Store, fault: Fault, message: str
) -> None:
    registry.always.append(("GET", "/blobs/", fault))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError) as caught:
        fetch_blob(connection, "x", BLOB, store.blobs, count=ignore)

    assert caught.value.message == f"{registry.host} {message}"
    assert kept(store) == []


def test_another_part_than_was_asked_for_is_refused(registry: FakeRegistry, store: Store) -> None:
    wrong = Fault(status=206, body=DATA[:-5], headers={"Content-Range": "bytes 5-1048575/1048576"})
    registry.fail("GET", "/blobs/", Fault(cut=100_000), wrong)
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError, match="another part"):
        fetch_blob(connection, "x", BLOB, store.blobs, count=ignore)

    assert kept(store) == []


def test_a_registry_that_breaks_off_after_every_byte_is_given_up(registry: FakeRegistry) -> None:
    data = bytes(2 * MOST_BREAKS)
    registry.add_blob("x", data)
    registry.always.append(("GET", "/blobs/", Fault(cut=1)))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryAnswerError, match="broke off"):
        read_blob(connection, "x", blob(data))

    assert len(registry.requests("GET", "/blobs/")) == MOST_BREAKS


def test_a_blob_that_never_comes_is_given_up(registry: FakeRegistry, store: Store) -> None:
    registry.always.append(("GET", "/blobs/", Fault(cut=0)))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryAnswerError, match="broke off"):
        fetch_blob(connection, "x", BLOB, store.blobs, count=ignore)

    assert len(registry.requests("GET", "/blobs/")) == 5
    assert kept(store) == []


def test_a_config_of_a_gigabyte_is_not_read(registry: FakeRegistry) -> None:
    huge = type(BLOB)(media_type=BLOB.media_type, digest=BLOB.digest, size=1 << 30)
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError, match="expected at most"):
        read_blob(connection, "x", huge)

    assert registry.asked == []


def test_a_config_of_other_bytes_is_refused(registry: FakeRegistry) -> None:
    registry.always.append(("GET", "/blobs/", Fault(body=DATA[::-1])))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError, match="sent other bytes"):
        read_blob(connection, "x", BLOB)


def test_a_manifest_is_fetched_by_tag_and_by_digest(registry: FakeRegistry) -> None:
    with serve(registry), connect(registry.host) as connection:
        by_tag = fetch_manifest(connection, "x", "1")
        by_digest = fetch_manifest(connection, "x", str(SMALL.descriptor.digest))

    assert by_tag == by_digest
    assert by_tag.descriptor == SMALL.descriptor
    assert by_tag.data == SMALL.manifest


OTHER = SMALL.manifest.replace(b'"schemaVersion"', b' "schemaVersion"')


@pytest.mark.parametrize(
    ("target", "fault", "message"),
    [
        (
            str(SMALL.descriptor.digest),
            Fault(body=OTHER),
            f"sent another manifest (expected {SMALL.descriptor.digest}, found {Digest.of(OTHER)})",
        ),
        (
            "1",
            Fault(headers={"Docker-Content-Digest": str(BLOB.digest)}),
            f"says '{BLOB.digest}' of a manifest whose digest is {SMALL.descriptor.digest}",
        ),
        ("1", Fault(body=b" " * (4 << 20) + b"{}"), "sent more than 4194304 bytes in answer to GET /v2/x/manifests/1"),
    ],
)
def test_a_manifest_that_is_not_the_one_is_refused(
    registry: FakeRegistry, target: str, fault: Fault, message: str
) -> None:
    registry.always.append(("GET", "/manifests/", fault))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError) as caught:
        fetch_manifest(connection, "x", target)

    assert caught.value.message == f"{registry.host} {message}"


def test_a_page_for_people_is_no_manifest(registry: FakeRegistry) -> None:
    page = Fault(body=HTML, headers={"Content-Type": "text/html", "Docker-Content-Digest": ""})
    registry.always.append(("GET", "/manifests/", page))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError) as caught:
        fetch_manifest(connection, "x", "1")

    assert caught.value.message == f"{registry.host}/x:1 is not strict JSON: line 1: Expecting value"


def test_a_manifest_that_comes_as_an_index_is_refused(registry: FakeRegistry) -> None:
    registry.always.append(("GET", "/manifests/", Fault(headers={"Content-Type": INDEX})))
    with (
        serve(registry),
        connect(registry.host) as connection,
        pytest.raises(RegistryError, match="and says that it is"),
    ):
        fetch_manifest(connection, "x", "1")


def test_a_tag_that_moves_between_two_questions_changes_nothing_that_is_taken(registry: FakeRegistry) -> None:
    def move(asked: Asked) -> None:
        if asked.method == "GET":
            registry.add_manifest("x", "1", OTHER, MEDIA_TYPE_MANIFEST)

    registry.before = move
    with serve(registry), connect(registry.host) as connection:
        digest = head_manifest(connection, "x", "1")
        assert fetch_manifest(connection, "x", str(digest)).data == SMALL.manifest
        assert head_manifest(connection, "x", "1") == Digest.of(OTHER)


@pytest.mark.parametrize("said", ["sha256:../x", "sha512:" + "a" * 128, "nonsense"])
def test_a_digest_that_is_none_is_refused(registry: FakeRegistry, said: str) -> None:
    registry.always.append(("HEAD", "/manifests/", Fault(headers={"Docker-Content-Digest": said})))
    with serve(registry), connect(registry.host) as connection, pytest.raises(RegistryError, match="Unexpected digest"):
        head_manifest(connection, "x", "1")


def test_a_registry_that_says_no_digest_is_asked_for_the_manifest(registry: FakeRegistry) -> None:
    registry.always.append(("HEAD", "/manifests/", Fault(headers={"Docker-Content-Digest": ""})))
    with serve(registry), connect(registry.host) as connection:
        assert head_manifest(connection, "x", "1") == SMALL.descriptor.digest


def test_a_manifest_that_a_registry_changes_on_its_way_in_is_an_error(registry: FakeRegistry) -> None:
    registry.always.append(("PUT", "/manifests/", Fault(headers={"Docker-Content-Digest": str(BLOB.digest)})))
    with (
        serve(registry),
        connect(registry.host) as connection,
        pytest.raises(RegistryError, match="and says that it is"),
    ):
        put_manifest(connection, "x", "1", SMALL.manifest, MEDIA_TYPE_MANIFEST)


def test_no_login_is_shown_with_a_blob_elsewhere(registry: FakeRegistry) -> None:
    with serve(registry), connect(registry.host, logged_in("other.example.org")) as connection:
        assert read_blob(connection, "x", BLOB) == DATA

    assert {asked.authorization for asked in registry.asked} == {""}


def test_a_manifest_that_a_registry_took_for_anothers_is_put_again(registry: FakeRegistry) -> None:
    taken_for_another = Fault(status=400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"no match"}]}')
    registry.fail("PUT", "/manifests/", taken_for_another, taken_for_another)
    with serve(registry), connect(registry.host) as connection:
        put_manifest(connection, "x", "2", SMALL.manifest, MEDIA_TYPE_MANIFEST)

    assert registry.manifests["x", "2"] == (MEDIA_TYPE_MANIFEST, SMALL.manifest)


def test_a_manifest_that_a_registry_refuses_for_ever_is_given_up(registry: FakeRegistry) -> None:
    registry.always.append(("PUT", "/manifests/", Fault(status=400, body=b'{"errors":[{"code":"DIGEST_INVALID"}]}')))
    with (
        serve(registry),
        connect(registry.host) as connection,
        pytest.raises(RegistryAnswerError, match="DIGEST_INVALID"),
    ):
        put_manifest(connection, "x", "2", SMALL.manifest, MEDIA_TYPE_MANIFEST)

    assert len(registry.requests("PUT")) == 5
