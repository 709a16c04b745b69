"""Local headers, data descriptors and extra fields that contradict the central directory are refused."""

import struct

import pytest

from tests.archives.test_zip_refusals import refusal
from tests.archives.zip_builder import FakeMember, build_zip, descriptor, extra_field


@pytest.mark.parametrize(
    ("field", "value", "label"),
    [
        ("name", b"b.txt", "name"),
        ("flags", 2, "flags"),
        ("method", 0, "method"),
        ("crc", 1, "CRC"),
        ("compressed_size", 1, "compressed size"),
        ("size", 6, "size"),
        ("crc", 0, "CRC"),
        ("size", 0, "size"),
    ],
)
def test_local_header_unlike_the_central_directory(field: str, value: int | bytes, label: str) -> None:
    assert f"{label} in its local header is {value!r}" in refusal(build_zip(FakeMember(local={field: value})))


def test_missing_local_header() -> None:
    assert "no local header at byte 0" in refusal(build_zip(FakeMember(local={"signature": b"PK\3\5"})))


@pytest.mark.parametrize("value", [1, 6])
def test_local_size_with_descriptor_is_zero_or_right(value: int) -> None:
    member = FakeMember(flags=8, local={"size": value}, after=descriptor(b"hello"))
    assert f"size in its local header is {value}" in refusal(build_zip(member))


@pytest.mark.parametrize(
    "after",
    [
        descriptor(b"hullo"),
        descriptor(b"hullo", marked=False),
        descriptor(b"hello", long=True)[:-1] + b"\1",
        b"PK\7\t" + descriptor(b"hello")[4:],
    ],
)
def test_data_descriptor_unlike_the_central_directory(after: bytes) -> None:
    assert "its data descriptor differs" in refusal(build_zip(FakeMember(flags=8, after=after)))


def test_data_descriptor_without_its_flag() -> None:
    assert "is followed by 16 bytes" in refusal(build_zip(FakeMember(after=descriptor(b"hello"))))


@pytest.mark.parametrize(
    ("zip64", "reason"),
    [
        ({"locator_offset": 0}, "locator doesn't point at the record before it"),
        ({"locator_disk": 1}, "locator doesn't point"),
        ({"disks": 2}, "locator doesn't point"),
        ({"record_size": 45}, "malformed ZIP64 end record"),
        ({"count": 2, "count_here": 2}, "central directory has 1 members"),
        ({"offset": 0}, "prefixed, hidden or missing data"),
        ({"disk": 3}, "the two end records disagree (0 and 3)"),
        ({"count_here": 7}, "multi-disk"),
    ],
)
def test_zip64_end_record_that_lies(zip64: dict[str, int], reason: str) -> None:
    assert reason in refusal(build_zip(FakeMember(), zip64=zip64))


def test_end_records_that_disagree() -> None:
    assert "the two end records disagree (2 and 1)" in refusal(
        build_zip(FakeMember(), zip64={}, end={"count": 2, "count_here": 2})
    )


def test_zip64_locator_without_its_record() -> None:
    """CVE-2025-8291: the locator was looked for, its target not checked."""
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    assert "locator doesn't point" in refusal(build_zip(FakeMember(), after_directory=locator))


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b"\1\0", "malformed extra field"),
        (b"\1\0\x20\0abc", "malformed or repeated extra field 0x0001"),
        (extra_field(5, b"") * 2, "malformed or repeated extra field 0x0005"),
        (extra_field(1, b"1234"), "ZIP64 field of 4 bytes for 0 values"),
        (extra_field(1, struct.pack("<QQ", 6, 7)), "ZIP64 field of 16 bytes for 0 values"),
        (extra_field(0x7075, b"\1" + bytes(4) + b"evil"), "the Unicode path field names another file"),
    ],
)
@pytest.mark.parametrize("header", ["local", "central"])
def test_extra_field_that_lies(extra: bytes, reason: str, header: str) -> None:
    lie: dict[str, int | bytes] = {"extra": extra}
    member = FakeMember(local=lie) if header == "local" else FakeMember(central=lie)
    assert reason in refusal(build_zip(member))


def test_zip64_field_with_too_few_values() -> None:
    lie: dict[str, int | bytes] = {"size": 0xFFFFFFFF, "offset": 0xFFFFFFFF, "extra": extra_field(1, bytes(8))}
    assert "ZIP64 field of 8 bytes for 2 values" in refusal(build_zip(FakeMember(central=lie)))
