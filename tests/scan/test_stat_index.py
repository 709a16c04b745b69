"""The stat index answers as reading every file would, and is believed only where the clock allows it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.scan.files import Tree, walk_tree
from envcap.scan.hashing import Hashes, hash_tree
from envcap.scan.stat_index import SLACK_NS, IndexedHashes, Row, load_index, save_index
from envcap.store import open_store

LATER = 10 * SLACK_NS


class Records:
    """Remembers in memory what the store would."""

    def __init__(self) -> None:
        self.values: dict[Digest, dict[str, object]] = {}

    def get(self, key: Digest) -> dict[str, object] | None:
        return self.values.get(key)

    def put(self, key: Digest, value: Mapping[str, object]) -> None:
        self.values[key] = dict(value)

    def mark_used(self, key: Digest) -> None:
        assert key in self.values


def walked(folder: Path) -> tuple[Tree, list[tuple[str, int]]]:
    tree = walk_tree(str(folder))
    return tree, [(path, file.size) for path, file in tree.files.items() if not file.is_link]


def now_of(folder: Path) -> int:
    return max((path.stat().st_ctime_ns for path in folder.rglob("*")), default=0)


def hashed(folder: Path, known: Mapping[str, Row], *, started_ns: int) -> tuple[Hashes, IndexedHashes]:
    index = IndexedHashes(known=known, started_ns=started_ns)
    return index(*walked(folder)), index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.py", "b.so", "sub/c.txt"):
        (folder / name).write_bytes(b"\x7fELF" if name.endswith(".so") else name.encode())
    return folder


def test_the_second_time_nothing_is_read(folder: Path) -> None:
    first, index = hashed(folder, {}, started_ns=now_of(folder) + LATER)
    second, again = hashed(folder, index.fresh, started_ns=now_of(folder) + LATER)
    assert first == second == hash_tree(*walked(folder))
    assert (index.hashed, again.hashed) == (3, 0)
    assert again.fresh == index.fresh


def test_an_edit_that_puts_size_and_modification_time_back_is_seen(folder: Path) -> None:
    _, index = hashed(folder, {}, started_ns=now_of(folder) + LATER)
    place = folder / "a.py"
    state = place.stat()
    with place.open("r+b") as file:
        file.write(b"X")
    os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (place.stat().st_size, place.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    found, again = hashed(folder, index.fresh, started_ns=now_of(folder) + LATER)
    assert found == hash_tree(*walked(folder))
    assert again.hashed == 1


@pytest.mark.parametrize("age", [0, SLACK_NS - 1, -LATER])
def test_what_changed_too_lately_is_read_again(folder: Path, age: int) -> None:
    """Within a tick of the clock a file could change once more and look the same (git's racy index)."""
    _, index = hashed(folder, {}, started_ns=now_of(folder) + age)
    assert "sub/c.txt" not in index.fresh
    _, again = hashed(folder, index.fresh, started_ns=now_of(folder) + LATER)
    assert again.hashed >= 1


def test_what_looks_untouched_is_believed_unless_all_is_read(folder: Path) -> None:
    _, index = hashed(folder, {}, started_ns=now_of(folder) + LATER)
    lie = {**index.fresh, "a.py": [*index.fresh["a.py"][:4], "0" * 64, False]}
    assert hashed(folder, lie, started_ns=now_of(folder) + LATER)[0][0]["a.py"].sha256 == "0" * 64
    assert hashed(folder, {}, started_ns=now_of(folder) + LATER)[0] == hash_tree(*walked(folder))


@pytest.mark.parametrize(
    "row", [None, 7, [], [1, 2, 3], ["a"] * 6, {"x": 1}, [0, 0, 0, 4, "f" * 64, False], [None] * 6]
)
def test_a_row_of_another_shape_or_file_is_not_believed(folder: Path, row: Row) -> None:
    assert hashed(folder, {"a.py": row}, started_ns=0)[0] == hash_tree(*walked(folder))


@pytest.mark.parametrize("spoilt", ["x", "f" * 63, "F" * 64, 7, None])
def test_a_row_without_a_hash_is_not_believed(folder: Path, spoilt: object) -> None:
    _, index = hashed(folder, {}, started_ns=now_of(folder) + LATER)
    row = [*index.fresh["a.py"][:4], spoilt, False]
    assert hashed(folder, {"a.py": row}, started_ns=0)[0] == hash_tree(*walked(folder))


def test_a_file_that_is_gone_leaves_the_index(folder: Path) -> None:
    _, index = hashed(folder, {}, started_ns=now_of(folder) + LATER)
    (folder / "a.py").unlink()
    _, again = hashed(folder, index.fresh, started_ns=now_of(folder) + LATER)
    assert sorted(again.fresh) == ["b.so", "sub/c.txt"]


ROWS = st.dictionaries(
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
    st.tuples(
        st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**64), st.integers(0, 2**50),
        st.just("a" * 64), st.booleans(),
    ).map(list),
    max_size=8,
)  # fmt: skip


@given(rows=ROWS, part=st.integers(1, 4))
def test_an_index_is_recalled_as_it_was_saved(rows: dict[str, Row], part: int) -> None:
    records = Records()
    save_index(records, "/env", rows, part=part)
    assert load_index(records, "/env") == rows
    assert load_index(records, "/other") == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.dictionaries(st.sampled_from(["total", "part"]), st.one_of(st.none(), st.integers(), st.text())))
def test_an_index_of_another_shape_is_none(value: dict[str, object]) -> None:
    records = Records()
    save_index(records, "/env", {"a": [1, 2, 3, 4, "a" * 64, False]})
    for key in records.values:
        records.values[key] = value
    assert load_index(records, "/env") == {}


def test_a_damaged_index_in_the_store_is_none(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    rows: dict[str, Row] = {"a.py": [1, 2, 3, 4, "a" * 64, False]}
    save_index(store.actions, "/env", rows)
    assert load_index(store.actions, "/env") == rows
    (record,) = [path for path in (tmp_path / "store" / "actions").rglob("*") if path.is_file()]
    data = record.read_bytes()
    record.chmod(0o600)
    record.write_bytes(data.replace(b"aaaa", b"aaab", 1))
    assert load_index(store.actions, "/env") == {}


def test_an_index_with_a_part_missing_is_none() -> None:
    records = Records()
    save_index(records, "/env", {name: [1, 2, 3, 4, "a" * 64, False] for name in "abc"}, part=1)
    del records.values[list(records.values)[-1]]
    assert load_index(records, "/env") == {}
