"""What refers to a manifest is found again, with the referrers API and without it, whoever else writes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from envcap.registry.manifests import fetch_manifest, list_tags, put_manifest
from envcap.registry.referrers import attach_referrer, fallback_tag, list_referrers, own_tag
from tests.oci.images import SMALL
from tests.registry.fake_registry import Asked, FakeRegistry, Fault, serve
from tests.registry.machine import connect, referrer

SUBJECT = SMALL.descriptor
ONE, TWO = referrer(SUBJECT, 1), referrer(SUBJECT, 2, "application/vnd.example.other")


@pytest.mark.parametrize("api", [True, False])
def test_referrers_are_listed_with_their_types_and_annotations(api: bool) -> None:  # noqa: FBT001
    with serve(FakeRegistry(referrers=api)) as registry, connect(registry.host) as connection:
        for data in (ONE, TWO):
            attach_referrer(connection, "x", data, kind="note")
        rows = list_referrers(connection, "x", SUBJECT.digest)
        others = list_referrers(connection, "x", SUBJECT.digest, artifact_type="application/vnd.example.other")

    assert {row.descriptor.digest for row in rows} == {Digest.of(ONE), Digest.of(TWO)}
    assert [row.descriptor.digest for row in others] == [Digest.of(TWO)]
    if not api:
        assert {row.annotations["org.example.number"] for row in rows} == {"1", "2"}


def test_with_the_api_no_tag_is_made() -> None:
    with serve(FakeRegistry(referrers=True)) as registry, connect(registry.host) as connection:
        attach_referrer(connection, "x", ONE, kind="note")
        assert list_tags(connection, "x") == ()


def test_without_the_api_a_referrer_has_a_tag_of_its_own_and_the_index_names_it() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        digest = attach_referrer(connection, "x", ONE, kind="note")
        assert list_tags(connection, "x") == tuple(
            sorted([own_tag(SUBJECT.digest, "note", digest), fallback_tag(SUBJECT.digest)])
        )
        index = fetch_manifest(connection, "x", fallback_tag(SUBJECT.digest))

    row = {
        "mediaType": MEDIA_TYPE_MANIFEST,
        "digest": str(digest),
        "size": len(ONE),
        "artifactType": "application/vnd.example.note",
        "annotations": {"org.example.number": "1"},
    }
    assert index.data == canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [row]})


def test_attaching_again_writes_nothing_new() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        attach_referrer(connection, "x", ONE, kind="note")
        registry.asked.clear()
        attach_referrer(connection, "x", ONE, kind="note")

    assert [asked.path for asked in registry.requests("PUT")] == [f"/v2/x/manifests/{Digest.of(ONE)}"]


def test_a_rival_that_overwrites_the_index_takes_nothing_away() -> None:
    rivals = [True, True, True]

    def overwrite(asked: Asked) -> None:
        # Somebody who has read the index before us puts it after us.
        if asked.method == "GET" and fallback_tag(SUBJECT.digest) in asked.path and rivals:
            rivals.pop()
            registry.manifests["x", fallback_tag(SUBJECT.digest)] = MEDIA_TYPE_INDEX, empty

    empty = canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": []})
    registry = FakeRegistry(before=overwrite)
    with serve(registry), connect(registry.host) as connection:
        attach_referrer(connection, "x", ONE, kind="note")
        index = fetch_manifest(connection, "x", fallback_tag(SUBJECT.digest))

    assert str(Digest.of(ONE)) in index.data.decode()


def test_an_index_that_lost_an_entry_is_made_whole_from_the_tags() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        for data in (ONE, TWO):
            attach_referrer(connection, "x", data, kind="note")
        del registry.manifests["x", fallback_tag(SUBJECT.digest)]
        rows = list_referrers(connection, "x", SUBJECT.digest)

    assert {row.descriptor.digest for row in rows} == {Digest.of(ONE), Digest.of(TWO)}


def test_20_writers_at_once_lose_nothing() -> None:
    writers = [referrer(SUBJECT, number) for number in range(20)]
    start = threading.Barrier(20)
    with serve(FakeRegistry()) as registry:

        def write(data: bytes) -> None:
            with connect(registry.host) as connection:
                start.wait()
                attach_referrer(connection, "x", data, kind="note")

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(write, writers))
        with connect(registry.host) as connection:
            rows = list_referrers(connection, "x", SUBJECT.digest)

    assert {row.descriptor.digest for row in rows} == {Digest.of(data) for data in writers}


def test_a_deleted_referrer_in_the_index_does_not_stop_others() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        gone = attach_referrer(connection, "x", TWO, kind="note")
        del registry.manifests["x", str(gone)]
        del registry.manifests["x", own_tag(SUBJECT.digest, "note", gone)]
        refused = Fault(status=400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')
        registry.fail("PUT", fallback_tag(SUBJECT.digest), refused)
        attach_referrer(connection, "x", ONE, kind="note")
        rows = list_referrers(connection, "x", SUBJECT.digest)

    assert [row.descriptor.digest for row in rows] == [Digest.of(ONE)]


def test_a_tag_that_only_looks_like_a_referrers_is_none() -> None:
    elsewhere = referrer(SUBJECT.__class__(media_type=MEDIA_TYPE_MANIFEST, digest=Digest.of(b"else"), size=4))
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        put_manifest(
            connection, "x", own_tag(SUBJECT.digest, "note", Digest.of(elsewhere)), elsewhere, MEDIA_TYPE_MANIFEST
        )
        put_manifest(
            connection, "x", own_tag(SUBJECT.digest, "note", SUBJECT.digest), SMALL.manifest, MEDIA_TYPE_MANIFEST
        )
        assert list_referrers(connection, "x", SUBJECT.digest) == ()


def test_what_refers_to_nothing_is_not_attached() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        with pytest.raises(RegistryError, match="The referrer has no subject"):
            attach_referrer(connection, "x", SMALL.manifest, kind="note")
        with pytest.raises(RegistryError, match="Unexpected kind of referrer"):
            attach_referrer(connection, "x", ONE, kind="../x")

    assert registry.manifests == {}


def test_an_endless_list_of_referrers_is_refused() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        body = canonical_json({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": []})
        link = f'</v2/x/referrers/{SUBJECT.digest}>; rel="next"'
        headers = {"Content-Type": MEDIA_TYPE_INDEX, "Link": link}
        registry.always.append(("GET", "/referrers/", Fault(status=200, body=body, headers=headers)))
        with pytest.raises(RegistryError, match="lists more than 4096 referrers"):
            list_referrers(connection, "x", SUBJECT.digest)


def test_a_page_of_html_is_no_list_of_referrers() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        attach_referrer(connection, "x", ONE, kind="note")
        page = Fault(status=200, body=b"<html>", headers={"Content-Type": "text/html"})
        registry.fail("GET", "/referrers/", page)
        assert [row.descriptor.digest for row in list_referrers(connection, "x", SUBJECT.digest)] == [Digest.of(ONE)]
