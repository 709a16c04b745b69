"""Strict reading of conda packages."""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from envcap.archives.access import FileReader
from envcap.archives.conda import CondaArchive, open_conda
from envcap.build.conda import archive_paths
from envcap.errors import ArchiveError
from tests.conda.channel import SITE, Member, Spec, make_package, make_tar, small_specs

SMALL = Spec(name="x", version="1", files={"share/x": Member(data=b"x"), "share/y": Member(target="x")})


Open = Callable[[bytes, str], CondaArchive]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Give a function that opens a package; contents can be read until the test ends."""
    with tempfile.TemporaryFile(dir=tmp_path) as spool:

        def open_package(data: bytes, name: str) -> CondaArchive:
            path = tmp_path / name
            path.write_bytes(data)
            with FileReader(path) as reader:
                return open_conda(reader, name=name, spool=spool)

        yield open_package


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def packed(files: Mapping[str, Member]) -> bytes:
    return zstandard.ZstdCompressor().compress(make_tar(files))


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
@pytest.mark.parametrize("spec", small_specs(), ids=lambda spec: spec.name)
def test_both_formats_hold_the_same(opened: Open, spec: Spec, suffix: str) -> None:
    spec = replace(spec, suffix=suffix)

    archive = opened(make_package(spec), spec.file)

    assert archive.index["name"] == spec.name
    assert {path: b"".join(member.content.chunks()) for path, member in archive.members.items()} == {
        path: member.data for path, member in spec.files.items()
    }
    assert {path: member.target for path, member in archive.members.items()} == {
        path: member.target for path, member in spec.files.items()
    }


def test_paths_are_those_of_the_prefix_without_bytecode(opened: Open) -> None:
    by_name = {spec.name: spec for spec in small_specs()}
    tool, fast = by_name["tool"], by_name["fast"]

    paths = archive_paths(opened(make_package(tool), tool.file), SITE)

    assert [row.path for row in paths if not row.path.startswith(SITE)] == ["bin/tool", "bin/tool-script"]
    assert f"{SITE}/tool/where.py" in {row.path for row in paths}
    found = archive_paths(opened(make_package(fast), fast.file), SITE)
    assert not [row.path for row in found if row.path.endswith(".pyc")]


def test_a_package_without_paths_json_gets_the_hashes_of_its_files(opened: Open) -> None:
    new = replace(SMALL, suffix=".tar.bz2")
    old = replace(new, old=True)

    rows = archive_paths(opened(make_package(old), old.file), SITE)

    assert [(row.path, row.kind, row.sha256) for row in rows if row.kind == "hardlink"] == [
        (row.path, row.kind, row.sha256)
        for row in archive_paths(opened(make_package(new), new.file), SITE)
        if row.kind == "hardlink"
    ]


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_a_truncated_package_is_refused(opened: Open, suffix: str, cut: int) -> None:
    spec = replace(SMALL, suffix=suffix)

    with pytest.raises(ArchiveError):
        opened(make_package(spec)[:cut], spec.file)


INFO = packed(SMALL.info())
PACKAGE = packed(SMALL.files)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"info-x-1-0.tar.zst": INFO}, "unexpected members"),
        ({"info-x-1-0.tar.zst": INFO, "pkg-y-1-0.tar.zst": PACKAGE}, "unexpected members"),
        ({"info-x-1-0.tar.zst": INFO, "pkg-x-1-0.tar.zst": PACKAGE, "more": b""}, "unexpected members"),
        (
            {"metadata.json": b'{"conda_pkg_format_version": 3}', "info-x-1-0.tar.zst": INFO,
             "pkg-x-1-0.tar.zst": PACKAGE},
            "unexpected format version 3",
        ),
        (
            {"info-x-1-0.tar.zst": INFO, "pkg-x-1-0.tar.zst": packed({"info/paths.json": Member(data=b"{}")})},
            "belongs into the other part",
        ),
        ({"info-x-1-0.tar.zst": packed({"share/x": Member()}), "pkg-x-1-0.tar.zst": PACKAGE}, "other part"),
        ({"info-x-1-0.tar.zst": packed({}), "pkg-x-1-0.tar.zst": PACKAGE}, "it has no info/index.json"),
        (
            {"info-x-1-0.tar.zst": packed({"info/index.json": Member(data=b"[")}), "pkg-x-1-0.tar.zst": PACKAGE},
            "info/index.json is no JSON",
        ),
        ({"info-x-1-0.tar.zst": INFO, "pkg-x-1-0.tar.zst": packed({"../x": Member()})}, r"`\.\.` component"),
        ({"info-x-1-0.tar.zst": INFO, "pkg-x-1-0.tar.zst": packed({"a/.wh.x": Member()})}, "deletes files"),
        (
            {"info-x-1-0.tar.zst": INFO, "pkg-x-1-0.tar.zst": packed({"l": Member(target="../../etc")})},
            "climbs over the root",
        ),
    ],
)  # fmt: skip
def test_a_hostile_or_foreign_zip_is_refused(opened: Open, members: Mapping[str, bytes], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        opened(zipped(members), "x-1-0.conda")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (b'{"paths": [{"_path": "../x"}]}', "a path that is none"),
        (b'{"paths": [{"_path": "/etc/x"}]}', "a path that is none"),
        (b'{"paths": [{"_path": "share/gone"}]}', "lists 'share/gone', which it does not hold"),
        (b'{"paths": [{"_path": "share/x"}, {"_path": "share/x"}]}', "lists 'share/x' twice"),
    ],
)
def test_a_table_that_lies_is_refused(opened: Open, paths: bytes, message: str) -> None:
    info = {**SMALL.info(), "info/paths.json": Member(data=paths)}
    data = zipped({"info-x-1-0.tar.zst": packed(info), "pkg-x-1-0.tar.zst": PACKAGE})

    with pytest.raises(ArchiveError, match=message):
        archive_paths(opened(data, "x-1-0.conda"), SITE)


def test_a_file_of_another_format_is_refused(opened: Open) -> None:
    with pytest.raises(ArchiveError, match="no conda package by its name"):
        opened(b"", "x-1-0.zip")
