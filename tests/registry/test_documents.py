import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor
from envcap.registry.documents import ImageIndex, ImageManifest, Row, read_document
from tests.oci.images import SMALL
from tests.registry.machine import EMPTY, referrer

SUBJECT = Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=Digest.of(b"x"), size=1)


def read(table: object, media_type: str = MEDIA_TYPE_MANIFEST) -> ImageManifest | ImageIndex:
    data = table if isinstance(table, bytes) else json.dumps(table).encode()
    return read_document(data, media_type, "It")


def manifest(**changes: object) -> dict[str, object]:
    row = EMPTY.to_json()
    return {"schemaVersion": 2, "mediaType": MEDIA_TYPE_MANIFEST, "config": row, "layers": [row]} | changes


def test_our_own_manifest_is_read() -> None:
    document = read(SMALL.manifest)

    assert isinstance(document, ImageManifest)
    assert [row.descriptor for row in document.layers] == [layer.descriptor for layer in SMALL.layers]
    assert document.config.descriptor.digest == SMALL.image_id


def test_a_referrer_says_its_subject_type_and_annotations() -> None:
    document = read(referrer(SUBJECT, 3))

    assert isinstance(document, ImageManifest)
    assert document.subject == SUBJECT
    assert document.artifact_type == "application/vnd.example.note"
    assert document.annotations == {"org.example.number": "3"}


def test_without_an_artifact_type_the_configs_type_stands_for_it() -> None:
    document = read(manifest())

    assert isinstance(document, ImageManifest)
    assert document.artifact_type == EMPTY.media_type


def test_a_row_reads_back_as_it_was_written() -> None:
    row = Row(descriptor=SUBJECT, artifact_type="a/b", annotations={"k": "v"}, platform="linux/amd64")

    document = read({"schemaVersion": 2, "manifests": [row.to_json()]}, MEDIA_TYPE_INDEX)

    assert document == ImageIndex(manifests=(row,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifests": []}, "It is of two kinds at once: it has 'manifests' too"),
        ({"fsLayers": []}, "It is of two kinds at once: it has 'fsLayers' too"),
        ({"Layers": []}, "It: unexpected name 'Layers' (expected 'layers')"),
        (
            {"mediaType": MEDIA_TYPE_INDEX},
            f"It came as {MEDIA_TYPE_MANIFEST!r} and says that it is {MEDIA_TYPE_INDEX!r}",
        ),
        ({"schemaVersion": 1}, "It: expected schemaVersion 2, found 1"),
        ({"layers": {}}, "It: expected a list in 'layers', found dict"),
        ({"layers": [3]}, "It: layers[0]: expected a descriptor, found int"),
        ({"layers": [EMPTY.to_json()] * 4097}, "It: 4097 entries in 'layers' (expected at most 4096)"),
        ({"annotations": {"a": 1}}, "It: expected annotations to be texts"),
        ({"artifactType": "none"}, "It: unexpected media type 'none'"),
        (
            {"config": EMPTY.to_json() | {"size": -1}},
            "It: config: unexpected size '-1' (expected 0 to 4398046511104 bytes)",
        ),
        (
            {"config": EMPTY.to_json() | {"size": True}},
            "It: config: unexpected size 'True' (expected 0 to 4398046511104 bytes)",
        ),
        (
            {"config": EMPTY.to_json() | {"data": "AAA="}},
            f"It: config: the content in `data` is not that of {EMPTY.digest}",
        ),
        ({"config": EMPTY.to_json() | {"Digest": "x"}}, "It: config: unexpected name 'Digest' (expected 'digest')"),
        (
            {"config": EMPTY.to_json() | {"digest": "sha256:../../x"}},
            "It: config: Unexpected digest 'sha256:../../x' (expected `sha256:` and 64 lower-case hex digits)",
        ),
    ],
)
def test_a_manifest_that_can_be_read_two_ways_or_none_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read(manifest(**change))

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "a": 2}', "It is not strict JSON: the name 'a' is there twice"),
        (b'{"a": {"b": 1, "b": 2}}', "It is not strict JSON: the name 'b' is there twice"),
        (b"[]", "It is not strict JSON: expected an object, found list"),
        (b"<!DOCTYPE html>", "It is not strict JSON: line 1: Expecting value"),
        (b"\xff\xfe", "It is not strict JSON: it is not UTF-8, or holds half a character"),
        (b'{"a":' * 100_000, "It is not strict JSON: nested too deeply"),
        (b'{"a": NaN}', "It is not strict JSON: unexpected number NaN (expected whole numbers)"),
        (b'{"a": 1e999}', "It is not strict JSON: unexpected number 1e999 (expected whole numbers)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "It is not strict JSON: a number is too long"),
    ],
)
def test_json_that_two_readers_read_otherwise_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read(data)

    assert caught.value.message == message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_document_or_an_error_of_ours(value: object) -> None:
    for media_type in (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_INDEX):
        for table in (value, manifest(layers=value), manifest(config=value), manifest(subject=value)):
            with contextlib.suppress(RegistryError):
                assert isinstance(read(table, media_type), ImageManifest | ImageIndex)
