"""Hashes that a record lacks are found in what channels say, without a package being fetched, and only there."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from envcap.blobs import open_lock
from envcap.conda.repodata import RepodataRow, find_rows
from envcap.environment import CondaPath, CondaRecord
from envcap.errors import MissingArtifactError
from envcap.sources.conda_lookup import look_up_records
from tests.conda.channel import Channel
from tests.conda.channel_server import serve_channel
from tests.conda.test_bad_input import KEPT, Edit, edit
from tests.conda.test_faithful import snapshot_and_rebuild
from tests.conda.world import make_world
from tests.flow import Flow

ROW = {"name": "x", "version": "1", "build": "0", "md5": "b" * 32, "sha256": "a" * 64, "size": 7}
FOUND = RepodataRow(name="x", version="1", build="0", md5="b" * 32, sha256="a" * 64, size=7)


def listed(*rows: tuple[str, object], key: str = "packages.conda") -> bytes:
    return json.dumps({"info": {"subdir": "noarch"}, key: dict(rows)}).encode()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@given(st.integers(1, 300), st.integers(0, 40), st.booleans())
def test_a_row_is_found_however_the_list_is_cut(size: int, others: int, spaced: bool) -> None:  # noqa: FBT001
    rows = [(f"y{number}-1-0.conda", {**ROW, "depends": ["a >=1,<2"] * number}) for number in range(others)]
    data = listed(*rows, ("x-1-0.conda", ROW), ("z-1-0.tar.bz2", ROW))
    data = json.dumps(json.loads(data), indent=2).encode() if spaced else data

    assert find_rows(pieces(data, size), {"x-1-0.conda", "gone-1-0.conda"}) == {"x-1-0.conda": FOUND}


def test_a_text_that_looks_like_a_key_is_none() -> None:
    fake = json.dumps({**ROW, "sha256": "f" * 64})
    data = listed(("y-1-0.conda", {**ROW, "summary": f'"x-1-0.conda": {fake}'}), ("x-1-0.conda", ROW))

    assert find_rows([data], {"x-1-0.conda"}) == {"x-1-0.conda": FOUND}


def test_nothing_is_read_behind_the_last_wanted_row() -> None:
    def chunks() -> Iterator[bytes]:
        yield listed(("x-1-0.conda", ROW))
        pytest.fail("read too far")

    assert find_rows(chunks(), {"x-1-0.conda"}) == {"x-1-0.conda": FOUND}


@pytest.mark.parametrize(
    "value", [3, [], None, {}, {"sha256": "a" * 63}, {"sha256": 3}, {"md5": "B" * 32}, {"name": "x"}], ids=str
)
def test_a_row_without_hash_is_passed_over(value: object) -> None:
    assert find_rows([listed(("x-1-0.conda", value))], {"x-1-0.conda"}) == {}


@pytest.mark.parametrize("lack", [{"name": None}, {"build": 1}, {"version": ""}, {"sha256": "a" * 63}], ids=str)
def test_a_row_without_identity_or_sha256_completes_no_record(lack: dict[str, object]) -> None:
    server = Server(repodata_json=listed(("x-1-0.conda", {**ROW, **lack})))

    assert look_up(RECORD, server) == {}


def test_a_row_behind_that_of_its_signature_is_found() -> None:
    data = json.dumps({"signatures": {"x-1-0.conda": {"k": {}}}, "packages.conda": {"x-1-0.conda": ROW}}).encode()

    assert find_rows([data], {"x-1-0.conda"}) == {"x-1-0.conda": FOUND}


def test_a_file_that_is_named_over_and_over_by_what_is_no_row_is_given_up() -> None:
    data = b'"x-1-0.conda":{}' * 500_000 + listed(("x-1-0.conda", ROW), ("y-1-0.conda", {**ROW, "name": "y"}))

    found = find_rows(pieces(data, 1 << 16), {"x-1-0.conda", "y-1-0.conda"})

    assert found == {"y-1-0.conda": replace(FOUND, name="y")}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 5000,
        b'"x-1-0.conda":{' * 2000,
        b'{"x-1-0.conda": {"name": "x", ',
        b'{"x-1-0.conda": ' + b'{"a":' * 100_000,
        b'"' * 100_000,
        b'"' + b"a" * 3_000_000 + b'.conda": {}',
    ],
    ids=["empty", "no text", "keys only", "cut", "deep", "quotes", "long"],
)
def test_a_hostile_list_gives_nothing_in_no_time(data: bytes) -> None:
    assert find_rows(pieces(data, 1 << 16), {"x-1-0.conda"}) == {}


def test_a_row_longer_than_its_bound_is_passed_over() -> None:
    long = {"depends": ["a" * 100] * 12_000, **ROW}

    assert find_rows(pieces(listed(("x-1-0.conda", long)), 1 << 16), {"x-1-0.conda"}) == {}


RECORD = CondaRecord(
    name="x", version="1", build="0", channel="lab", subdir="noarch", file="x-1-0.conda", directory="conda-meta/x.json",
    md5="b" * 32, paths=(CondaPath(path="share/x", sha256="c" * 64),),
)  # fmt: skip


class Server:
    """A channel by URL: lists, and what was asked."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.asked: list[str] = []

    def addresses(self, channel: str) -> Iterator[str]:
        yield f"https://conda.example.org/{channel}"

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        self.asked.append(url.removeprefix("https://conda.example.org/"))
        name = url.rpartition("/")[2]
        if name not in self.files:
            raise MissingArtifactError(f"{name} is not there")
        assert len(self.files[name]) <= limit
        yield self.files[name]


def look_up(record: CondaRecord, server: Server, *caches: Path) -> dict[str, RepodataRow]:
    return look_up_records([record], caches=caches, channels=server, transport=server)


def test_the_compressed_list_is_asked_for_first() -> None:
    server = Server(repodata_json_zst=zstandard.compress(listed(("x-1-0.conda", ROW))), repodata_json=b"")

    assert look_up(RECORD, server) == {"x": FOUND}
    assert server.asked == ["lab/noarch/repodata.json.zst"]


@pytest.mark.parametrize("bad", [b"", b"no zstd", zstandard.compress(b"x" * 100)[:-3]], ids=["empty", "other", "cut"])
def test_the_plain_list_is_asked_for_where_the_compressed_one_is_damaged(bad: bytes) -> None:
    server = Server(repodata_json_zst=bad, repodata_json=listed(("x-1-0.conda", ROW)))

    assert look_up(RECORD, server) == {"x": FOUND}


def test_a_channel_with_the_short_list_only_is_read_too() -> None:
    server = Server()
    server.files["current_repodata.json"] = listed(("x-1-0.conda", ROW))

    assert look_up(RECORD, server) == {"x": FOUND}


@pytest.mark.parametrize(
    "change", [{"md5": "d" * 32}, {"md5": ""}, {"version": "2"}, {"build": "1"}, {"name": "y"}, {"size": 8}], ids=str
)
def test_a_row_of_another_package_is_not_taken(change: dict[str, Any]) -> None:
    server = Server(repodata_json=listed(("x-1-0.conda", {**ROW, **change})))

    assert look_up(replace(RECORD, size=7), server) == {}


def test_a_cached_list_spares_the_channel(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/1a2b3c4d.json").write_bytes(listed(("x-1-0.conda", ROW)))
    (tmp_path / "cache/1a2b3c4d.info.json").write_text("{}")
    server = Server()

    assert look_up(RECORD, server, tmp_path / "none", tmp_path) == {"x": FOUND}
    assert server.asked == []


def test_a_cached_list_is_not_believed_of_a_record_without_md5(tmp_path: Path) -> None:
    """It does not say whose list it is; a channel does."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/1a2b3c4d.json").write_bytes(listed(("x-1-0.conda", ROW)))

    assert look_up(replace(RECORD, md5=""), Server(), tmp_path) == {}
    assert look_up(replace(RECORD, md5=""), Server(repodata_json=listed(("x-1-0.conda", ROW)))) == {"x": FOUND}


def test_what_an_installer_noted_beside_an_unpacked_package_is_read(tmp_path: Path) -> None:
    note = tmp_path / "x-1-0/info/repodata_record.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({**ROW, "channel": "https://conda.example.org/lab/noarch"}, indent=2))
    server = Server()

    assert look_up(RECORD, server, tmp_path) == {"x": FOUND}
    assert server.asked == []


def md5_only(table: dict[str, Any]) -> None:
    table.pop("sha256")


def rows(flow: Flow) -> dict[str, tuple[str, int, str]]:
    return {row.name: (row.sha256, row.size, row.captured) for row in open_lock(flow.lock).lockfile.conda}


@pytest.mark.parametrize("change", [md5_only, lambda table: table.pop("size")], ids=["md5 only", "no size"])
def test_no_archive_is_fetched_for_a_hash(channel: Channel, locked: Flow, tmp_path: Path, change: Edit) -> None:
    with serve_channel(channel.root) as server:
        flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_CHANNELS": server.url})
        edit(flow, "fast", change)

        taken = flow.snapshot()

        assert taken.status == 0, taken.err
        assert rows(flow)["fast"] == rows(locked)["fast"]
        assert not list((flow.store / "blobs").rglob(rows(flow)["fast"][0]))
        assert next(path for path in server.asked if "repodata" in path).endswith("/repodata.json.zst")
        asked = len(server.asked)
        # What a server had is remembered.
        edit(flow, "fast", lambda table: table.update(sha256=rows(locked)["fast"][0], size=rows(locked)["fast"][1]))
        assert flow.snapshot().status == 0
        assert server.asked[asked:] == []


def test_a_server_is_asked_for_one_byte_of_each_archive(channel: Channel, tmp_path: Path) -> None:
    with serve_channel(channel.root) as server:
        flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_CHANNELS": server.url})

        snapshot_and_rebuild(flow)

        assert sorted({path.rpartition("/")[2] for path in server.asked}) == sorted(
            channel.path(name).name for name in KEPT
        )
        assert {row[2] for row in rows(flow).values()} == {""}


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask servers that fail again at once."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.mark.parametrize(
    ("status", "ranges", "said"),
    [(404, True, "does not have it"), (410, True, "does not have it"), (403, True, "answers 403"), (200, False, "")],
)
def test_what_a_server_answers_decides(
    channel: Channel,
    tmp_path: Path,
    status: int,
    ranges: bool,  # noqa: FBT001 - parametrized
    said: str,
    without_pauses: None,
) -> None:
    with serve_channel(channel.root) as server:
        flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_CHANNELS": server.url})
        shutil.rmtree(flow.root / "cache")
        move_url(flow)
        server.status, server.ranges = status, ranges

        taken = flow.snapshot()

        assert taken.status == 0, taken.err
        assert {row[2] for row in rows(flow).values()} == ({"files"} if said else {""})
        assert (f"fast 3.0 (lab: {said or 'x'}" in taken.err) is bool(said)


def test_a_server_that_does_not_answer_is_told_from_one_that_lacks_a_package(
    channel: Channel, tmp_path: Path, without_pauses: None
) -> None:
    with serve_channel(channel.root) as server:
        pass
    flow = make_world(tmp_path / "world", channel, ("python",), settings={"CONDA_CHANNELS": server.url})

    taken = flow.snapshot()

    assert (
        "(lab: can't be reached); take the snapshot again once it answers, or with `--offline` to take its word for"
        " it\n"
    ) in taken.err


def move_url(flow: Flow) -> None:
    """Let the records name a server, not the folder of the tests."""
    for name in KEPT:
        edit(
            flow, name, lambda table: table.update(url=f"https://u:p@conda.invalid/lab/{table['subdir']}/{table['fn']}")
        )


def test_offline_no_server_is_asked_and_nothing_kept(channel: Channel, tmp_path: Path) -> None:
    with serve_channel(channel.root) as server:
        flow = make_world(tmp_path / "world", channel, KEPT, settings={"CONDA_CHANNELS": server.url})

        assert flow.snapshot("--offline").status == 0

        assert server.asked == []
        assert {row[2] for row in rows(flow).values()} == {""}
