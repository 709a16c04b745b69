"""`envcap.store.actions`: a remembered result is the one that was put, or none."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import StoreError
from envcap.store import Store, open_store
from envcap.store.actions import MAX_RECORD_SIZE, action_key

KEY = action_key("layer", {"recipe": 1})
BLOB = Digest.of(b"layer")
VALUE: dict[str, object] = {"diff_id": "sha256:00", "size": 12345678901234567890, "ratio": 0.1, "parts": [None, True]}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
json_objects = st.dictionaries(st.text(), json_values, max_size=5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def test_any_json_object_comes_out_as_it_was_put(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = open_store(tmp_path_factory.mktemp("round") / "store").actions

    @settings(max_examples=100, deadline=None)
    @given(value=json_objects, blobs=st.lists(st.binary(max_size=3).map(Digest.of), max_size=3))
    def round_trip(value: dict[str, object], blobs: list[Digest]) -> None:
        cache.put(KEY, value, blobs=blobs)
        record = cache.record(KEY)
        assert record is not None
        assert record.value == value
        assert record.blobs == tuple(sorted(blobs))
        assert cache.get(KEY) == value

    round_trip()


plain_objects = st.dictionaries(
    st.text(max_size=2),
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 3) | st.text(st.characters(codec="utf-8"), max_size=2),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=2,
)


@given(first=plain_objects, second=plain_objects)
def test_keys_are_equal_exactly_when_the_inputs_are(first: dict[str, object], second: dict[str, object]) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)

    assert (action_key("kind", first) == action_key("kind", second)) == same
    assert action_key("kind", dict(reversed(first.items()))) == action_key("kind", first)
    assert action_key("other", first) != action_key("kind", first)


def test_a_key_is_the_hash_of_the_canonical_json() -> None:
    assert action_key("layer", {"b": [1, "é"], "a": None}) == Digest.of(
        '{"inputs":{"a":null,"b":[1,"é"]},"kind":"layer"}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [2**60, float("nan"), float("inf"), b"bytes", {1: 2}, "\ud800", object()],
    ids=["large", "nan", "inf", "bytes", "number as name", "surrogate", "object"],
)
def test_inputs_that_have_no_exact_json_are_refused(value: object) -> None:
    with pytest.raises(StoreError, match="input of the action 'layer'"):
        action_key("layer", {"input": value})


@pytest.mark.parametrize("value", [float("nan"), b"bytes", object()], ids=["nan", "bytes", "object"])
def test_a_result_that_is_not_json_is_refused(store: Store, value: object) -> None:
    with pytest.raises(StoreError, match="result of the action"):
        store.actions.put(KEY, {"value": value})
    assert store.actions.get(KEY) is None


def test_a_result_that_is_too_large_is_forgotten_with_the_one_that_it_replaces(store: Store) -> None:
    store.actions.put(KEY, {"value": "x"})
    store.actions.put(KEY, {"value": "x" * MAX_RECORD_SIZE})
    assert store.actions.get(KEY) is None


def test_what_was_never_put_is_none(store: Store) -> None:
    assert store.actions.get(KEY) is None


def test_a_later_result_replaces_an_earlier(store: Store) -> None:
    store.actions.put(KEY, {"size": 1})
    store.actions.put(KEY, {"size": 2})
    assert store.actions.get(KEY) == {"size": 2}


def test_equal_results_are_equal_files(store: Store) -> None:
    store.actions.put(KEY, {"b": 1, "a": 2}, blobs=[Digest.of(b"2"), Digest.of(b"1")])
    first = store.actions.path(KEY).read_bytes()
    store.actions.put(KEY, {"a": 2, "b": 1}, blobs=[Digest.of(b"1"), Digest.of(b"2")])
    assert store.actions.path(KEY).read_bytes() == first


def test_every_flipped_bit_and_every_cut_of_a_record_forgets_it(store: Store) -> None:
    store.actions.put(KEY, VALUE, blobs=[BLOB])
    path = store.actions.path(KEY)
    whole = path.read_bytes()
    flips = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :] for at in range(len(whole)) for bit in range(8)
    ]
    cuts = [whole[:length] for length in range(len(whole))]
    for damaged in [*flips, *cuts, whole + b"\n", b"\xff" * 100, b"[" * 100_000]:
        path.unlink(missing_ok=True)
        path.write_bytes(damaged)
        assert store.actions.get(KEY) is None
        assert not path.exists()


def test_a_record_under_the_name_of_another_is_forgotten(store: Store) -> None:
    other = action_key("layer", {"recipe": 2})
    store.actions.put(KEY, VALUE)
    store.actions.put(other, {})
    store.actions.path(other).unlink()
    store.actions.path(KEY).rename(store.actions.path(other))

    assert store.actions.get(other) is None


def test_a_link_in_place_of_a_record_is_refused(store: Store, tmp_path: Path) -> None:
    store.actions.put(KEY, VALUE)
    path = store.actions.path(KEY)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match="Can't read"):
        store.actions.get(KEY)


def test_recall_wants_every_blob(store: Store) -> None:
    layer = store.blobs.add_bytes(b"layer")
    config = store.blobs.add_bytes(b"config")
    store.actions.put(KEY, VALUE, blobs=[layer, config])
    assert store.recall(KEY) == VALUE

    store.blobs.path(config).unlink()
    assert store.recall(KEY) is None
    assert store.actions.get(KEY) == VALUE


def test_recall_stamps_the_record_and_its_blobs_as_used(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    layer = store.blobs.add_bytes(b"layer")
    store.actions.put(KEY, VALUE, blobs=[layer])
    paths = [store.blobs.path(layer), store.actions.path(KEY)]
    for path in paths:
        os.utime(path, (1000, 1000))

    assert open_store(tmp_path / "store").recall(KEY) == VALUE
    assert all(path.stat().st_mtime > 1000 for path in paths)
