"""Looking files up in a channel's index, in pieces of any size."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import MissingArtifactError, SourceError
from envcap.sources.conda_repodata import IndexedPackage, find_packages, scan_index

SHA, MD5 = "a" * 64, "b" * 32
INDEX = {
    "info": {"subdir": "linux-64"},
    "signatures": {"x-1-0.conda": {"key": {"signature": "s"}}},
    "packages": {"y-2-0.tar.bz2": {"name": "y", "md5": MD5, "depends": ["x-1-0.conda {"]}},
    "packages.conda": {
        "x-1-0.conda": {"name": "x", "sha256": SHA, "md5": MD5},
        "x-1-1.conda": {"name": "x", "sha256": "c" * 64},
        "z-1-0.conda": {"name": "z", "sha256": "beef", "md5": 7},
    },
    "removed": ["w-1-0.conda"],
}
FOUND = {"x-1-0.conda": IndexedPackage(md5=MD5, sha256=SHA), "y-2-0.tar.bz2": IndexedPackage(md5=MD5, sha256="")}
FILES = ["x-1-0.conda", "y-2-0.tar.bz2", "z-1-0.conda", "w-1-0.conda", "v-1-0.conda"]


@dataclass(frozen=True, slots=True)
class FakeChannel:
    """A transport with a few files."""

    files: Mapping[str, bytes]

    def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
        if url not in self.files:
            raise MissingArtifactError(f"{url} is not there")
        assert len(self.files[url]) <= limit
        yield from (self.files[url][start : start + 100] for start in range(0, len(self.files[url]), 100))


@given(st.integers(1, 2000), st.sampled_from([None, 1]))
def test_rows_are_found_wherever_the_pieces_end(size: int, indent: int | None) -> None:
    data = json.dumps(INDEX, indent=indent).encode()

    assert scan_index((data[at : at + size] for at in range(0, len(data), size)), FILES) == FOUND


@pytest.mark.parametrize("form", ["zst", "plain", "both"])
def test_the_compressed_index_is_asked_first(form: str) -> None:
    data, base = json.dumps(INDEX).encode(), "https://conda.example.org/lab/linux-64/repodata.json"
    files = {f"{base}.zst": zstandard.compress(data)} if form != "plain" else {base: data}
    files |= {base: b"{}"} if form == "both" else {}

    assert find_packages("https://conda.example.org/lab", "linux-64", FILES, FakeChannel(files)) == FOUND


def test_a_channel_without_index_says_so() -> None:
    with pytest.raises(MissingArtifactError, match=r"https://conda\.example\.org/lab/noarch has no repodata\.json"):
        find_packages("https://conda.example.org/lab", "noarch", FILES, FakeChannel({}))


@pytest.mark.parametrize("data", [b"nonsense", zstandard.compress(b"{}" * 999)[:-5]])
def test_a_damaged_index_is_an_error(data: bytes) -> None:
    channel = FakeChannel({"https://conda.example.org/lab/noarch/repodata.json.zst": data})

    with pytest.raises(SourceError, match=r"repodata\.json\.zst is damaged"):
        find_packages("https://conda.example.org/lab", "noarch", FILES, channel)


@pytest.mark.parametrize("row", [b'{"sha256":', b"{" + b'"a":{' * 30_000, b'{"sha256": "' + b"a" * 600_000])
def test_a_row_without_end_is_no_row(row: bytes) -> None:
    data = b'{"packages.conda": {"x-1-0.conda": ' + row + b'}, "y-2-0.tar.bz2": {"md5": "' + MD5.encode() + b'"}}'

    found = scan_index((data[at : at + 65_536] for at in range(0, len(data), 65_536)), FILES)

    assert "x-1-0.conda" not in found
