"""Captured archives: the same members give the same bytes, and our own strict reader takes them."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.archives.zip import open_zip
from envcap.entry import Content, LiteralContent
from envcap.errors import BuildError
from envcap.lock import zip_writer
from envcap.lock.zip_writer import ZipWriter
from tests.archives.fakes import MemoryReader


@dataclass(slots=True)
class Changing:
    """Content that is another each time it is read."""

    size: int
    readings: list[bytes] = field(default_factory=list)

    def chunks(self) -> Iterator[bytes]:
        yield self.readings.pop(0)


@dataclass(frozen=True, slots=True)
class Repeated:
    """Large content that is held nowhere."""

    size: int

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, self.size, 1 << 20):
            yield bytes(min(1 << 20, self.size - start))


def archive(*members: tuple[str, Content, bool]) -> bytes:
    data = bytearray()
    writer = ZipWriter(data.extend)
    for name, content, executable in members:
        writer.add(name, content, executable=executable)
    writer.finish()
    return bytes(data)


def noise(size: int) -> bytes:
    return b"".join(sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


def test_an_archive_is_these_bytes() -> None:
    data = archive(("a.txt", LiteralContent(b"hello"), False))
    local = "504b03041400000800000000210086a61036050000000500000005000000"
    central = "504b010214031400000800000000210086a610360500000005000000050000000000000000000000a48100000000"
    name, body = b"a.txt".hex(), b"hello".hex()
    end = "504b0506000000000100010033000000280000000000"
    assert data.hex() == local + name + body + central + name + end


def test_a_large_archive_has_this_hash() -> None:
    """Another release of libdeflate may give another: then the pin in pyproject.toml, or the recipe, must change."""
    data = archive(("a", LiteralContent(b"abc" * 9 + noise(5000) + b"x" * 90), True))
    assert sha256(data).hexdigest() == "774c019a9dbef430d8e005675a5267fed4a1467790db6ee025dcee2821228108"


def test_an_empty_archive_is_an_end_record() -> None:
    assert archive().hex() == "504b0506" + "00" * 18


def test_zipfile_reads_names_modes_and_dates() -> None:
    data = archive(("é", LiteralContent(b"x" * 50), True), ("b", LiteralContent(b""), False))
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        assert [(one.filename, one.external_attr >> 16, one.date_time) for one in theirs.infolist()] == [
            ("é", 0o100755, (1980, 1, 1, 0, 0, 0)),
            ("b", 0o100644, (1980, 1, 1, 0, 0, 0)),
        ]
        assert theirs.testzip() is None


NAME = st.text("abcdé-. ", min_size=1, max_size=6).filter(lambda name: name.strip("."))
BODY = st.binary(max_size=400) | st.integers(0, 5000).map(lambda size: b"ab" * size) | st.integers(0, 3000).map(noise)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAME, st.tuples(BODY, st.booleans()), max_size=6))
def test_what_was_written_is_read_back(files: dict[str, tuple[bytes, bool]]) -> None:
    members = [(name, LiteralContent(data), executable) for name, (data, executable) in files.items()]
    folded = {name.casefold() for name in files}
    if len(folded) != len(files):
        return
    data = archive(*members)
    assert archive(*members) == data
    opened = open_zip(MemoryReader(data), name="a.zip")
    found = {one.name: (b"".join(opened.content(one).chunks()), one.mode == 0o755) for one in opened.members}
    assert found == files


def test_the_hash_of_each_member_is_given_back() -> None:
    writer = ZipWriter(bytearray().extend)
    assert writer.add("a", LiteralContent(b"abc"), executable=False) == sha256(b"abc").hexdigest()
    large = Repeated((32 << 20) + 5)
    assert writer.add("b", large, executable=False) == sha256(bytes(large.size)).hexdigest()


@pytest.mark.parametrize(
    ("content", "method"),
    [
        (LiteralContent(b""), 0),
        (LiteralContent(b"abc"), 0),
        (LiteralContent(noise(1000)), 0),
        (LiteralContent(b"some text, " * 20), 8),
        (Repeated(32 << 20), 0),
        (Repeated((32 << 20) + 1), 0),
        (LiteralContent(bytes(20_000)), 0),
    ],
)
def test_a_member_is_deflated_where_that_is_shorter_and_harmless(content: Content, method: int) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(("a", content, False)))) as theirs:
        assert theirs.infolist()[0].compress_type == method
        assert theirs.testzip() is None


def test_a_captured_file_of_zeros_is_no_bomb_to_its_reader() -> None:
    data = archive(("zeros", Repeated(30 << 20), False))
    opened = open_zip(MemoryReader(data), name="a.zip")
    assert opened.members[0].size == 30 << 20


@pytest.mark.parametrize("found", [b"ab", b"abcd"])
def test_a_file_of_another_length_than_scanned_is_refused(found: bytes) -> None:
    with pytest.raises(BuildError, match="'a' changed while it was captured"):
        archive(("a", Changing(3, [found]), False))


@pytest.mark.parametrize("second", [b"abd", b"abcd", b"ab"])
def test_a_large_file_that_changes_between_two_readings_is_refused(
    second: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_writer, "_MAX_WHOLE", 2)
    with pytest.raises(BuildError, match="'a' changed while it was captured"):
        archive(("a", Changing(3, [b"abc", second]), False))


def test_a_large_file_that_grew_since_the_scan_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_writer, "_MAX_WHOLE", 2)
    with pytest.raises(BuildError, match="'a' changed while it was captured"):
        archive(("a", Changing(3, [b"abcd", b"abcd"]), False))


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(BuildError, match="its name is not valid UTF-8"):
        archive(("a\udcff", LiteralContent(b""), False))


def test_4_gib_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match="'a' can't be captured: the archive would have more than 4 GiB"):
        archive(("a", Changing(0xFFFFFFFF), False))
    monkeypatch.setattr(zip_writer, "_MAX_32", 100)
    with pytest.raises(BuildError, match="'b' can't be captured"):
        archive(("a", LiteralContent(noise(50)), False), ("b", LiteralContent(noise(50)), False))


def test_65535_members_are_refused() -> None:
    writer = ZipWriter(lambda data: None)
    for number in range(65535):
        writer.add(f"{number}", LiteralContent(b""), executable=False)
    with pytest.raises(BuildError, match="65535 files can't be captured in one archive"):
        writer.finish()
