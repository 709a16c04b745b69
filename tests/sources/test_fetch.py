"""Pinned files into the store: from whoever has them, whole and right, or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.archives.held import Held
from envcap.digest import Digest
from envcap.errors import ArchiveError, MissingArtifactError
from envcap.lockfile.model import CAPTURED, Artifact
from envcap.sources.answer import Meter
from envcap.sources.fetch import Fetcher
from envcap.sources.http import OFFLINE_HINT, Session
from envcap.sources.index import IndexReader
from envcap.sources.locate import FilePlace, Locator, Refusal, SimpleLocator
from envcap.sources.location import IndexLocation
from envcap.sources.settings import IndexSettings
from envcap.store import Store, open_store
from tests.sources.index_server import Fault, Index, serve

NAME = "demo-1.0-py3-none-any.whl"
DATA = bytes(range(256)) * 1000
PATH = f"/files/{NAME}"


def artifact(data: bytes = DATA, *, source: str = "pypi", url: str = "", file: str = NAME) -> Artifact:
    digest = sha256(data).hexdigest()
    return Artifact(platform="linux/amd64", source=source, file=file, size=len(data), sha256=digest, url=url)


@contextmanager
def fetcher(
    store: Store,
    *urls: str,
    offline: bool = False,
    hints: dict[str, str] | None = None,
    kinds: dict[str, str] | None = None,
    blobs: tuple[Path, ...] = (),
    held: tuple[Held, ...] = (),
) -> Iterator[Fetcher]:
    indexes = tuple(
        IndexLocation(name="pypi" if not number else f"extra{number}", url=url, is_default=not number)
        for number, url in enumerate(urls)
    )
    with Session(IndexSettings(indexes=indexes, timeout=5), offline=offline, sleep=lambda _: None) as session:
        locator = SimpleLocator(IndexReader(session), hints or {})
        yield Fetcher(store.blobs, session, {"simple-index": locator}, kinds=kinds or {}, blob_folders=blobs, held=held)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def kept(store: Store, data: bytes = DATA) -> bool:
    return store.blobs.has(Digest.of(data))


def is_clean(store: Store) -> bool:
    return not list((store.root / "tmp").iterdir()) and not [*(store.root / "blobs").rglob("*/*/*")]


@pytest.mark.parametrize("html", [False, True])
def test_a_file_is_found_by_name_and_hash_and_fetched_once(store: Store, *, html: bool) -> None:
    with serve(Index(html=html)) as index:
        index.add("demo", NAME, DATA)
        with fetcher(store, index.simple) as fetch:
            assert fetch.fetch(artifact()) == Digest.of(DATA)
            asked = len(index.requests)
            fetch.fetch(artifact())
            assert len(index.requests) == asked
        assert len(index.asked(PATH)) == 1
    with store.blobs.open_verified(Digest.of(DATA)) as file:
        assert file.read() == DATA


def test_another_index_serves_where_the_first_has_other_bytes(store: Store) -> None:
    with serve(Index()) as first, serve(Index()) as second:
        first.add("demo", NAME, b"other bytes of the same name")
        second.add("demo", NAME, DATA)
        with fetcher(store, first.simple, second.simple) as fetch:
            fetch.fetch(artifact())
        assert not first.asked(PATH)
    assert kept(store)


def test_a_yanked_file_is_fetched(store: Store) -> None:
    with serve(Index(yanked={NAME})) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        fetch.fetch(artifact())
    assert kept(store)


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_a_download_cut_again_and_again_is_resumed(store: Store, etag: str) -> None:
    with serve(Index(etag=etag)) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        index.always[PATH] = Fault(cut=65_536)
        meter = Meter()
        fetch.fetch(artifact(), meter=meter)
        assert [request.headers.get("range", "") for request in index.asked(PATH)] == [
            "", "bytes=65536-", "bytes=131072-", "bytes=196608-"
        ]  # fmt: skip
        assert meter.received == len(DATA)
    assert kept(store)


def test_a_server_without_ranges_is_resumed_by_skipping(store: Store) -> None:
    with serve(Index(ranges=False)) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        index.faults[PATH] = [Fault(cut=100_000)]
        fetch.fetch(artifact())
    assert kept(store)


def test_a_file_that_changes_between_two_tries_is_refused(store: Store) -> None:
    with serve(Index()) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        index.faults[PATH] = [Fault(cut=100_000), Fault(body=b"x" * len(DATA), headers={"ETag": '"two"'})]
        index.always[PATH] = Fault(status=404)
        with pytest.raises(MissingArtifactError, match="another hash"):
            fetch.fetch(artifact())
    assert is_clean(store)


BAD = {
    "wrong bytes": (Fault(body=b"x" * len(DATA)), "another hash"),
    "longer": (Fault(body=DATA + b"x"), "expected 256000"),
    "shorter": (Fault(body=DATA[:-1]), "expected 256000"),
    "cut at once": (Fault(cut=0), "broke off|sent 0 bytes"),
    "gone": (Fault(status=404), "404"),
    "html": (Fault(body=b"<html>"), "expected 256000"),
}


@pytest.mark.parametrize(("fault", "answer"), BAD.values(), ids=BAD)
def test_a_wrong_answer_is_refused_and_nothing_is_kept(store: Store, fault: Fault, answer: str) -> None:
    with serve(Index()) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        index.always[PATH] = fault
        with pytest.raises(MissingArtifactError, match=answer):
            fetch.fetch(artifact())
    assert is_clean(store)


def test_the_error_names_everyone_who_was_asked_and_shows_no_secret(store: Store) -> None:
    with serve(Index()) as first, serve(Index()) as second:
        second.always["/simple/demo/"] = Fault(status=403)
        hint = {"pypi": "https://user:canary@hint.invalid/simple?token=canary"}
        with (
            fetcher(store, first.simple, second.simple, hints=hint) as fetch,
            pytest.raises(MissingArtifactError) as caught,
        ):
            fetch.fetch(artifact(url="https://user:canary@url.invalid/demo.whl?token=canary"))
    message = caught.value.message
    for part in ("pypi: does not have it", "403", "https://hint.invalid/simple", "https://url.invalid/demo.whl", NAME):
        assert part in message
    assert "canary" not in message + caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://example.org/a.whl", "file:///etc/passwd", "https://127.0.0.1/a.whl", "https://169.254.169.254/a"]
)
def test_a_lock_may_not_point_inward_or_without_encryption(store: Store, url: str) -> None:
    with serve(Index()) as index, fetcher(store, "https://index.invalid/simple", hints={"lab": url}) as fetch:
        for pinned in (artifact(source="url", url=url), artifact(source="lab")):
            with pytest.raises(MissingArtifactError, match=r"Refused|only name https"):
                fetch.fetch(pinned)
        assert not index.requests


def test_offline_only_what_is_here_serves(store: Store, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with serve(Index()) as index:
        index.add("demo", NAME, DATA)
        with fetcher(store, index.simple, offline=True) as fetch, pytest.raises(MissingArtifactError) as caught:
            fetch.fetch(artifact())
        assert caught.value.hint == OFFLINE_HINT
        (tmp_path / "wheels" / NAME).write_bytes(DATA)
        links = IndexLocation(name="local", url=(tmp_path / "wheels").as_uri(), kind="find-links")
        with Session(IndexSettings(indexes=(links,)), offline=True) as session:
            locator = SimpleLocator(IndexReader(session), {})
            Fetcher(store.blobs, session, {"simple-index": locator}, kinds={}).fetch(artifact())
        assert not index.requests
    assert kept(store)


def test_captured_bytes_come_from_beside_the_lock_alone(store: Store, tmp_path: Path) -> None:
    digest = sha256(DATA).hexdigest()
    with serve(Index()) as index:
        index.add("demo", NAME, DATA)
        with fetcher(store, index.simple, blobs=(tmp_path / "blobs",)) as fetch:
            with pytest.raises(MissingArtifactError, match="only they can"):
                fetch.fetch(artifact(source=CAPTURED))
            (tmp_path / "blobs" / digest[:2]).mkdir(parents=True)
            (tmp_path / "blobs" / digest[:2] / digest).write_bytes(DATA[:-1] + b"x")
            with pytest.raises(MissingArtifactError, match="another hash"):
                fetch.fetch(artifact(source=CAPTURED))
            (tmp_path / "blobs" / digest).write_bytes(DATA)
            fetch.fetch(artifact(source=CAPTURED))
        assert not index.requests
    assert kept(store)


def test_another_kind_of_source_has_its_own_locator(store: Store, tmp_path: Path) -> None:
    class Pool:
        """A locator that knows one folder."""

        def urls(self, artifact: Artifact) -> Iterator[FilePlace | Refusal]:
            yield Refusal(shown="mirror", answer="busy")
            yield FilePlace(url=(tmp_path / artifact.file).as_uri(), shown="pool")

    (tmp_path / "demo.deb").write_bytes(DATA)
    with ExitStack() as stack:
        session = stack.enter_context(Session(IndexSettings()))
        locators: dict[str, Locator] = {"simple-index": SimpleLocator(IndexReader(session), {}), "debian": Pool()}
        fetch = Fetcher(store.blobs, session, locators, kinds={"debian": "debian"})
        fetch.fetch(artifact(source="debian", file="demo.deb"))
    assert kept(store)


def test_a_damaged_object_is_fetched_anew(store: Store) -> None:
    with serve(Index()) as index, fetcher(store, index.simple) as fetch:
        index.add("demo", NAME, DATA)
        fetch.fetch(artifact())
        path = store.blobs.path(Digest.of(DATA))
        path.chmod(0o644)
        path.write_bytes(b"short")
        fetch.fetch(artifact())
    with store.blobs.open_verified(Digest.of(DATA)) as file:
        assert file.read() == DATA


@pytest.fixture
def large() -> bytes:
    return b"".join(sha256(b"%d" % number).digest() for number in range(20_000))


def test_parts_of_a_file_are_read_where_it_lies(store: Store, large: bytes) -> None:
    with serve(Index()) as index:
        index.add("demo", NAME, large)
        with fetcher(store, index.simple) as fetch:
            with fetch.reading(artifact(large), tail=1000) as reader:
                assert reader.read_at(len(large) - 10, 10) == large[-10:]
                assert reader.read_at(5, 100) == large[5:105]
            ranges = [request.headers.get("range", "") for request in index.asked(PATH)]
            assert ranges == [f"bytes={len(large) - 1000}-{len(large) - 1}", "bytes=5-104"]
            assert not kept(store, large)
            store.blobs.add_bytes(large)
            with fetch.reading(artifact(large), tail=1000) as reader:
                assert reader.read_at(0, 10) == large[:10]
            assert len(index.asked(PATH)) == 2


def test_parts_are_read_from_the_first_place_that_has_the_right_size(
    store: Store, large: bytes, tmp_path: Path
) -> None:
    pinned = artifact(large)
    (tmp_path / pinned.sha256).write_bytes(b"cut off")
    with serve(Index()) as first, serve(Index()) as second:
        first.add("demo", NAME, large)
        first.always[PATH] = Fault(status=500)
        second.add("demo", NAME, large)
        with (
            fetcher(store, first.simple, second.simple, blobs=(tmp_path,)) as fetch,
            fetch.reading(pinned, tail=100) as reader,
        ):
            assert reader.read_at(0, 10) == large[:10]


def test_where_nobody_has_a_file_its_parts_are_missing(store: Store) -> None:
    with (
        fetcher(store, "https://127.0.0.1:9/simple", offline=True) as fetch,
        pytest.raises(MissingArtifactError, match="not asked") as caught,
        fetch.reading(artifact(), tail=10),
    ):
        pass
    assert caught.value.hint == OFFLINE_HINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A bundle in memory: says its size, and fails where it is told to."""

    data: bytes
    name: str = Digest.of(DATA).hex
    size: int = len(DATA)
    fault: str = ""
    shown: str = "the bundle x.envcap"

    def reader(self, sha256: str) -> "Memory | None":
        return self if sha256 == self.name else None

    def read_at(self, offset: int, length: int) -> bytes:
        if self.fault:
            raise ArchiveError(self.fault)
        return self.data[offset : offset + length]


def test_a_bundle_is_asked_before_the_index(store: Store) -> None:
    with serve(Index()) as index:
        index.add("demo", NAME, DATA)
        with fetcher(store, index.simple, held=(Memory(data=DATA),)) as fetch:
            with fetch.reading(artifact(), tail=10) as reader:
                assert reader.read_at(256, 256) == DATA[256:512]
            assert not kept(store)
            assert fetch.fetch(artifact()) == Digest.of(DATA)
    assert index.requests == []
    assert kept(store)


@pytest.mark.parametrize(
    ("bundle", "answer"),
    [
        (Memory(data=DATA, name="0" * 64), "does not have it"),
        (Memory(data=DATA, size=7), "has another size"),
        (Memory(data=DATA[:-1] + b"x"), "sent bytes with another hash"),
        (Memory(data=DATA[:-1]), "sent bytes with another hash"),
        (Memory(data=DATA, fault="Can't read archive at byte 0: Input/output error"), "Input/output error"),
    ],
)
def test_a_bundle_that_lies_is_passed_over_and_said(store: Store, bundle: Memory, answer: str) -> None:
    with fetcher(store, held=(bundle,)) as fetch:
        assert not fetch.fetch_kept(artifact())
        with pytest.raises(MissingArtifactError) as missing:
            fetch.fetch(artifact())
    assert f"the bundle x.envcap: {answer}" in missing.value.message.replace("Can't read archive at byte 0: ", "")
    assert is_clean(store)
    with serve(Index()) as index:
        index.add("demo", NAME, DATA)
        with fetcher(store, index.simple, held=(bundle,)) as fetch:
            fetch.fetch(artifact())
    assert kept(store)


def test_what_is_kept_is_had_without_the_index(store: Store, tmp_path: Path) -> None:
    (tmp_path / Digest.of(DATA).hex).write_bytes(DATA)
    with serve(Index()) as index, fetcher(store, index.simple, blobs=(tmp_path,)) as fetch:
        assert fetch.fetch_kept(artifact())
        assert not fetch.fetch_kept(artifact(b"other"))
        assert fetch.fetch_kept(artifact())
    assert index.requests == []
