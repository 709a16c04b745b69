"""Blobs on their way to a registry: what is not sent, what is sent again, and what is never committed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import DigestError, RegistryError
from envcap.oci.image import Descriptor
from envcap.registry.answer import RegistryAnswerError
from envcap.registry.journal import FileJournal
from envcap.registry.upload import Outcome, upload_blob
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.registry.machine import LOGIN, blob, connect, ignore, logged_in, opener

DATA = bytes(range(256)) * 1024
BLOB = blob(DATA)
PART = 65_536


def upload(registry: FakeRegistry, data: bytes = DATA, *, part_size: int = PART, **others: object) -> Outcome:
    with connect(registry.host, logged_in(registry.host)) as connection:
        return upload_blob(
            connection,
            "x",
            BLOB,
            opener(data),
            part_size=part_size,
            **{"count": ignore, **others},  # type: ignore[arg-type]
        )


def test_a_blob_that_is_there_is_not_sent() -> None:
    registry = FakeRegistry()
    registry.add_blob("x", DATA)
    with serve(registry):
        assert upload(registry) is Outcome.PRESENT

    assert [asked.method for asked in registry.asked if asked.path != "/v2/"][-1] == "HEAD"
    assert len(registry.requests("HEAD")) == 1


def test_a_blob_of_another_repository_is_mounted() -> None:
    registry = FakeRegistry()
    registry.add_blob("lab/base", DATA)
    with serve(registry):
        assert upload(registry, mounts=("lab/nothing", "lab/base")) is Outcome.MOUNTED

    assert registry.blobs["x"][str(BLOB.digest)] == DATA
    assert registry.requests("PATCH") == registry.requests("PUT") == []
    assert registry.uploads == {}


def test_a_small_blob_is_sent_at_once() -> None:
    with serve(FakeRegistry(login=LOGIN)) as registry:
        assert upload(registry, part_size=len(DATA)) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert registry.requests("PATCH") == []
    assert [asked.size for asked in registry.requests("PUT")] == [len(DATA)]


def test_an_empty_blob_is_sent() -> None:
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection:
        assert upload_blob(connection, "x", blob(b""), opener(b""), count=ignore) is Outcome.SENT

    assert registry.blobs["x"] == {str(blob(b"").digest): b""}


def test_a_large_blob_goes_in_parts_each_to_the_newest_place() -> None:
    counted: list[int] = []
    with serve(FakeRegistry()) as registry:
        assert upload(registry, count=counted.append) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert [asked.headers["content-range"] for asked in registry.requests("PATCH")] == [
        "0-65535",
        "65536-131071",
        "131072-196607",
        "196608-262143",
    ]
    assert sum(counted) == len(DATA)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(swallow=1000)],
        [Fault(swallow=0), Fault(swallow=40_000), Fault(swallow=65_000)],
        [Fault(status=503), Fault(status=429, headers={"Retry-After": "1"}), Fault(status=500)],
        [Fault(drop=True, after=True)],
        [Fault(drop=True)],
        [Fault(status=416)],
    ],
)
def test_an_upload_that_broke_off_goes_on_where_the_registry_stands(faults: list[Fault]) -> None:
    counted: list[int] = []
    with serve(FakeRegistry()) as registry:
        registry.fail("PATCH", "_state=", Fault())
        registry.fail("PATCH", "_state=", *faults)
        assert upload(registry, count=counted.append) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert len(registry.requests("POST")) == 1
    assert sum(counted) == len(DATA)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, PART)), max_size=6), st.integers(1, 4))
def test_whatever_breaks_off_the_blob_arrives_whole(breaks: list[tuple[int, int]], parts: int) -> None:
    with serve(FakeRegistry()) as registry:
        for good, swallow in breaks:
            registry.fail("PATCH", "_state=", *[Fault()] * good, Fault(swallow=swallow))
        upload(registry, part_size=PART * parts)

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}


def test_an_upload_of_which_one_byte_arrived_starts_anew() -> None:
    with serve(FakeRegistry()) as registry:
        registry.fail("PATCH", "_state=", Fault(swallow=1))
        assert upload(registry, part_size=PART) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert len(registry.requests("POST")) == 2


@pytest.mark.parametrize("part_size", [PART, len(DATA)])
def test_a_commit_whose_answer_was_lost_is_not_made_again(part_size: int) -> None:
    with serve(FakeRegistry()) as registry:
        registry.fail("PUT", "digest=", Fault(drop=True, after=True))
        assert upload(registry, part_size=part_size) is Outcome.SENT

    assert len(registry.requests("PUT")) == 1


@pytest.mark.parametrize("part_size", [PART, len(DATA)])
def test_a_commit_that_failed_is_made_again(part_size: int) -> None:
    with serve(FakeRegistry()) as registry:
        registry.fail("PUT", "digest=", Fault(status=500), Fault(drop=True))
        assert upload(registry, part_size=part_size) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}


def test_an_upload_that_the_registry_forgot_begins_again() -> None:
    with serve(FakeRegistry()) as registry:
        registry.fail("PATCH", "_state=", Fault())
        registry.fail("PATCH", "_state=", Fault(status=404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'))
        registry.fail("GET", "uploads", Fault(status=404))
        assert upload(registry) is Outcome.SENT

    assert len(registry.requests("POST")) == 2
    assert registry.blobs["x"] == {str(BLOB.digest): DATA}


def test_a_registry_that_knows_no_parts_gets_the_blob_at_once() -> None:
    with serve(FakeRegistry(chunks=False)) as registry:
        assert upload(registry) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}


def test_a_registry_that_wants_larger_parts_gets_them() -> None:
    with serve(FakeRegistry()) as registry:
        registry.fail("POST", "uploads", Fault(headers={"OCI-Chunk-Min-Length": "200000"}))
        upload(registry)

    assert [asked.size for asked in registry.requests("PATCH")] == [200_000, 62_144]


@pytest.mark.parametrize("part_size", [PART, len(DATA)])
@pytest.mark.parametrize("data", [DATA[:-1] + b"x", DATA[:-1], b"", b"x" + DATA[1:]])
def test_a_damaged_file_is_never_committed(data: bytes, part_size: int) -> None:
    with serve(FakeRegistry()) as registry, pytest.raises(DigestError):
        upload(registry, data, part_size=part_size)

    assert registry.blobs == {}
    assert [asked for asked in registry.requests("PUT") if asked.size == len(DATA)] == []


def test_a_registry_that_always_fails_is_given_up_with_its_answer() -> None:
    with serve(FakeRegistry()) as registry:
        registry.always.append(("PATCH", "_state=", Fault(status=500)))
        with pytest.raises(RegistryAnswerError) as caught:
            upload(registry)

    assert caught.value.message.startswith(f"{registry.host} answered 500 Internal Server Error to PATCH /v2/x/blobs/")
    assert "_state" not in caught.value.message
    assert len(registry.requests("PATCH")) < 10


def test_a_refused_push_is_not_tried_again() -> None:
    with serve(FakeRegistry()) as registry:
        registry.always.append(("POST", "uploads", Fault(status=403)))
        with pytest.raises(RegistryAnswerError, match="answered 403"):
            upload(registry)

    assert len(registry.requests("POST")) == 1


@pytest.mark.parametrize(
    ("method", "fault", "message"),
    [
        ("POST", Fault(headers={"Location": ""}), "takes an upload and doesn't say where"),
        ("PATCH", Fault(headers={"Range": "0-9999999"}), "and says that it has '0-9999999'"),
        ("PATCH", Fault(headers={"Range": "bytes"}), "and says that it has 'bytes'"),
        ("PUT", Fault(headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), "and says it is"),
        ("PATCH", Fault(status=307, headers={"Location": "/elsewhere"}), "redirects PATCH /v2/x/blobs/uploads"),
        ("POST", Fault(headers={"Location": "ftp://storage.example.org/"}), "which is not asked"),
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_upload(method: str, fault: Fault, message: str) -> None:
    with serve(FakeRegistry()) as registry:
        registry.always.append((method, "uploads", fault))
        with pytest.raises(RegistryError) as caught:
            upload(registry)

    assert message in caught.value.message
    assert caught.value.message.startswith(registry.host)


def test_a_registry_that_says_created_and_has_another_size_is_refused() -> None:
    with serve(FakeRegistry()) as registry:
        registry.always.append(("HEAD", "/blobs/", Fault(headers={"Content-Length": "0"})))
        with pytest.raises(RegistryError, match=r"took the blob .* and doesn't have it"):
            upload(registry)


def test_no_login_goes_to_a_place_for_uploads_elsewhere() -> None:
    storage = FakeRegistry(states={"u": 1})
    storage.uploads["u"] = bytearray()
    with serve(storage), serve(FakeRegistry(login=LOGIN)) as registry:
        place = f"{storage.url}/v2/x/blobs/uploads/u?_state=1"
        registry.fail("POST", "uploads", Fault(headers={"Location": place}))
        with pytest.raises(RegistryError, match="doesn't have it"):
            upload(registry)

    assert storage.blobs["x"] == {str(BLOB.digest): DATA}
    assert {asked.authorization for asked in storage.asked} == {""}
    assert "Basic" in {asked.authorization[:5] for asked in registry.asked}


def interrupted(registry: FakeRegistry, journal: FileJournal) -> None:
    """Send a part and a half, as a run that is killed then."""
    registry.fail("PATCH", "_state=", Fault())
    registry.always.append(("PATCH", "_state=", Fault(status=500)))
    with pytest.raises(RegistryAnswerError):
        upload(registry, journal=journal)
    registry.always.clear()
    registry.asked.clear()


def test_another_run_goes_on_where_a_killed_one_stopped(tmp_path: Path) -> None:
    counted: list[int] = []
    journal = FileJournal(tmp_path / "uploads")
    with serve(FakeRegistry()) as registry:
        interrupted(registry, journal)
        assert upload(registry, journal=journal, count=counted.append) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert sum(asked.size for asked in registry.requests("PATCH")) < len(DATA)
    assert registry.requests("POST") == []
    assert list((tmp_path / "uploads").iterdir()) == []
    assert sum(counted) == len(DATA)


def test_an_upload_that_the_registry_does_not_know_any_more_is_begun_anew(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "uploads")
    with serve(FakeRegistry()) as registry:
        interrupted(registry, journal)
        registry.uploads.clear()
        assert upload(registry, journal=journal) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("content", ["", "nonsense", "file:///etc/passwd", "\0", "x" * 9000, "http://[::1"])
def test_a_journal_that_was_tampered_with_only_costs_time(tmp_path: Path, content: str) -> None:
    journal = FileJournal(tmp_path / "uploads")
    with serve(FakeRegistry()) as registry:
        interrupted(registry, journal)
        [path] = (tmp_path / "uploads").iterdir()
        path.write_text(content)
        assert upload(registry, journal=journal) is Outcome.SENT

    assert registry.blobs["x"] == {str(BLOB.digest): DATA}


def test_a_journal_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serve(FakeRegistry()) as registry:
        assert upload(registry, journal=FileJournal(tmp_path / "file" / "uploads")) is Outcome.SENT


def test_a_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "uploads")
    journal.note("r/x", BLOB.digest, "https://registry.example.org/place")

    assert (tmp_path / "uploads").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "uploads").iterdir()] == [0o600]
    assert journal.recall("r/x", BLOB.digest) == "https://registry.example.org/place"
    assert journal.recall("r/y", BLOB.digest) == ""


def test_a_size_that_lies_is_found_out() -> None:
    lying = Descriptor(media_type=BLOB.media_type, digest=BLOB.digest, size=BLOB.size + 1)
    with serve(FakeRegistry()) as registry, connect(registry.host) as connection, pytest.raises(DigestError):
        upload_blob(connection, "x", lying, opener(DATA), count=ignore)

    assert registry.blobs == {}
