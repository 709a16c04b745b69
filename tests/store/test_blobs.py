"""`envcap.store.blobs`: what is in the store hashes to its name, or is not let out."""

import errno
import io
import os
import random
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.digest import Digest
from envcap.errors import DigestError, StoreError
from envcap.store import Store, open_store
from envcap.store.blobs import BlobStore
from envcap.store.writer import BlobWriter

DATA = b"the bytes of an artifact" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def overwrite(path: Path, data: bytes) -> None:
    """Change an object in place, as a failing disk or a careless user would."""
    path.chmod(0o644)
    path.write_bytes(data)


def read_out(store: Store, digest: Digest) -> bytes:
    out = io.BytesIO()
    store.blobs.copy_to(digest, out)
    return out.getvalue()


def temporary_files(store: Store) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir()]


def test_any_bytes_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store(tmp_path_factory.mktemp("round") / "store")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=3000), max_size=8))
    def round_trip(chunks: list[bytes]) -> None:
        with store.blobs.writer() as writer:
            for chunk in chunks:
                assert writer.write(chunk) == len(chunk)
            digest = writer.commit()
        whole = b"".join(chunks)
        assert digest == Digest.of(whole)
        assert read_out(store, digest) == whole
        assert store.blobs.has(digest, size=len(whole))
        assert not store.blobs.has(digest, size=len(whole) + 1)
        with store.blobs.open_verified(digest) as file:
            assert file.read() == whole

    round_trip()


def test_an_object_is_read_only_private_and_where_its_hash_says(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)

    path = store.blobs.path(digest)
    state = path.lstat()
    assert path == store.root / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    assert stat.filemode(state.st_mode) == "-r--r--r--"
    assert stat.filemode(path.parent.lstat().st_mode) == "drwx------"
    assert state.st_nlink == 1
    assert temporary_files(store) == []


def test_objects_have_the_same_mode_under_any_umask(store: Store) -> None:
    previous = os.umask(0o077)
    try:
        digest = store.blobs.add_bytes(DATA)
    finally:
        os.umask(previous)

    assert stat.S_IMODE(store.blobs.path(digest).lstat().st_mode) == 0o444


def test_editing_what_went_in_or_came_out_never_changes_the_store(store: Store, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(DATA)
    digest = store.blobs.add_file(source)
    with copy.open("wb") as file:
        store.blobs.copy_to(digest, file)

    for path in (source, copy):
        assert path.lstat().st_nlink == 1
        with path.open("r+b") as file:
            file.write(b"edited in place")

    assert store.blobs.path(digest).lstat().st_nlink == 1
    assert read_out(store, digest) == DATA


def test_every_one_of_1000_bit_flips_is_detected_and_healed(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)
    place = random.Random(20260101)
    for _ in range(1000):
        flipped = bytearray(DATA)
        bit = place.randrange(len(DATA) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
        overwrite(store.blobs.path(digest), bytes(flipped))

        with pytest.raises(StoreError, match="Unexpected bytes"):
            read_out(store, digest)
        assert not store.blobs.has(digest)
        store.blobs.ensure(digest, write_data)
        assert read_out(store, digest) == DATA
    assert len(list((store.root / "quarantine").iterdir())) == 1000


def write_data(writer: BlobWriter) -> None:
    writer.write(DATA)


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], DATA + b"\0", b"other"], ids=len)
def test_a_damaged_object_is_refused_by_every_verified_read(store: Store, damaged: bytes) -> None:
    def copy(blobs: BlobStore, digest: Digest) -> None:
        blobs.copy_to(digest, io.BytesIO())

    reads = (copy, BlobStore.verified, BlobStore.open_verified)
    for read in reads:
        digest = store.blobs.add_bytes(DATA)
        overwrite(store.blobs.path(digest), damaged)
        with pytest.raises(StoreError, match=f"expected {digest}, found {Digest.of(damaged)}") as caught:
            read(BlobStore(store.root), digest)
        assert "run the command again" in caught.value.hint


def test_damage_after_the_first_check_is_seen_by_the_same_instance(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)
    path = store.blobs.verified(digest)
    before = path.lstat()
    overwrite(path, b"X" + DATA[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a forger restores the mtime; the ctime tells

    with pytest.raises(StoreError, match="Unexpected bytes"):
        store.blobs.verified(digest)


def bytes_read() -> int:
    """All that this process has read so far (`rchar`)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_an_object_is_hashed_once_per_instance_by_however_many_threads(store: Store) -> None:
    content = b"x" * 5_000_000
    digest = store.blobs.add_bytes(content)
    blobs = BlobStore(store.root)
    start = threading.Barrier(8)

    def ask() -> Path:
        start.wait()
        return blobs.verified(digest)

    before = bytes_read()
    with ThreadPoolExecutor(8) as pool:
        paths = [future.result() for future in [pool.submit(ask) for _ in range(8)]]
    blobs.verified(digest)

    assert set(paths) == {store.blobs.path(digest)}
    assert 5_000_000 <= bytes_read() - before < 6_000_000


def test_what_this_instance_wrote_and_hashed_is_not_hashed_again(store: Store) -> None:
    digest = store.blobs.add_bytes(b"x" * 5_000_000)
    before = bytes_read()
    store.blobs.verified(digest)

    assert bytes_read() - before < 100_000


def test_a_digest_of_the_callers_is_taken_but_checked_when_it_leaves(store: Store) -> None:
    right, wrong = Digest.of(DATA), Digest.of(b"something else")
    for digest in (right, wrong):
        with store.blobs.writer(hashing=False) as writer:
            writer.write(DATA)
            assert writer.commit_as(digest) == digest

    assert store.blobs.verified(right).read_bytes() == DATA
    with pytest.raises(StoreError, match="Unexpected bytes"):
        store.blobs.verified(wrong)


def test_a_hashing_writer_refuses_a_wrong_digest_of_the_callers(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(DATA)
        with pytest.raises(DigestError):
            writer.commit_as(Digest.of(b"something else"))

    assert temporary_files(store) == []


def test_a_writer_that_does_not_hash_can_not_commit_by_itself(store: Store) -> None:
    with store.blobs.writer(hashing=False) as writer, pytest.raises(StoreError, match="not hashed"):
        writer.commit()


def test_unexpected_bytes_are_not_published(store: Store) -> None:
    expected = Digest.of(DATA)
    with pytest.raises(DigestError, match=f"expected {expected}, found {Digest.of(b'other')} of 5 bytes"):
        store.blobs.add_stream(io.BytesIO(b"other"), expected=expected)

    assert not store.blobs.has(expected)
    assert not store.blobs.has(Digest.of(b"other"))
    assert temporary_files(store) == []


def test_an_abandoned_writer_leaves_nothing(store: Store) -> None:
    def write_and_fail() -> None:
        with store.blobs.writer() as writer:
            writer.write(DATA)
            assert len(temporary_files(store)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert temporary_files(store) == []


def test_ensure_produces_only_what_is_missing_or_of_the_wrong_size(store: Store) -> None:
    produced: list[int] = []

    def produce(writer: BlobWriter) -> None:
        produced.append(writer.write(DATA))

    digest = Digest.of(DATA)
    store.blobs.ensure(digest, produce, size=len(DATA))
    store.blobs.ensure(digest, produce, size=len(DATA))
    assert len(produced) == 1

    overwrite(store.blobs.path(digest), DATA[:100])
    store.blobs.ensure(digest, produce, size=len(DATA))
    assert len(produced) == 2
    assert read_out(store, digest) == DATA


def test_ensure_heals_what_has_the_right_size_and_wrong_bytes_when_told_to_check(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)
    overwrite(store.blobs.path(digest), DATA[::-1])

    store.blobs.ensure(digest, write_data, size=len(DATA), check=True)

    assert read_out(store, digest) == DATA


def test_ensure_refuses_what_was_produced_wrong(store: Store) -> None:
    with pytest.raises(DigestError):
        store.blobs.ensure(Digest.of(b"wanted"), write_data)
    assert temporary_files(store) == []


def test_adding_again_replaces_a_damaged_object(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)
    overwrite(store.blobs.path(digest), b"damaged")
    store.blobs.add_bytes(DATA)

    assert read_out(store, digest) == DATA


def test_a_link_in_place_of_an_object_is_refused_then_healed(store: Store, tmp_path: Path) -> None:
    digest = Digest.of(DATA)
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)  # even with the right bytes: they could change after the check
    path = store.blobs.path(digest)
    path.parent.mkdir()
    path.symlink_to(outside)

    assert not store.blobs.has(digest)
    with pytest.raises(StoreError, match=os.strerror(errno.ELOOP)):
        store.blobs.open(digest)
    with pytest.raises(StoreError, match=os.strerror(errno.ELOOP)):
        store.blobs.verified(digest)

    store.blobs.ensure(digest, write_data)
    assert not path.is_symlink()
    assert read_out(store, digest) == DATA
    assert outside.read_bytes() == DATA


def test_a_fifo_or_a_folder_in_place_of_an_object_is_refused_without_waiting(store: Store) -> None:
    for number, plant in enumerate((os.mkfifo, os.mkdir)):
        digest = Digest.of(b"%d" % number)
        store.blobs.path(digest).parent.mkdir()
        plant(store.blobs.path(digest))
        assert not store.blobs.has(digest)
        with pytest.raises(StoreError, match="Can't read"):
            store.blobs.open(digest)


def test_a_missing_object_is_named_with_a_next_step(store: Store) -> None:
    digest = Digest.of(b"never kept")
    with pytest.raises(StoreError, match=f"Missing object {digest}") as caught:
        store.blobs.verified(digest)

    assert caught.value.hint.startswith("run the command again")
    assert store.blobs.size(digest) is None


def test_a_failing_destination_is_the_callers_error(store: Store) -> None:
    digest = store.blobs.add_bytes(DATA)
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space") as caught:
        store.blobs.copy_to(digest, full)

    assert caught.value.errno == errno.ENOSPC
    assert read_out(store, digest) == DATA


def test_a_swap_of_the_path_between_check_and_use_does_not_reach_the_reader(store: Store, tmp_path: Path) -> None:
    digest = store.blobs.add_bytes(DATA)
    path, hidden = store.blobs.path(digest), tmp_path / "hidden"
    evil = tmp_path / "evil"
    evil.write_bytes(b"evil" * 6000)
    path.chmod(0o644)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            path.rename(hidden)
            path.symlink_to(evil)
            path.unlink()
            hidden.rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    delivered = refused = 0
    deadline = time.monotonic() + 60  # on a busy machine the swapping thread may wait long for its turn
    try:
        while (delivered < 100 or not refused) and time.monotonic() < deadline:
            try:
                with BlobStore(store.root).open_verified(digest) as file:
                    assert file.read() == DATA
                    delivered += 1
            except StoreError:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert refused > 0
