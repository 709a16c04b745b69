"""Looking files up in the list of a channel's folder, in whatever form the channel has it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import zstandard

from envcap.conda.repodata import RepodataRow
from envcap.errors import MissingArtifactError, SourceError
from envcap.sources.conda_repodata import find_packages

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
FOUND = {
    "x-1-0.conda": RepodataRow(name="x", version="", build="", md5=MD5, sha256=SHA, size=-1),
    "y-2-0.tar.bz2": RepodataRow(name="y", version="", build="", md5=MD5, sha256="", size=-1),
}
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


def test_the_plain_index_makes_up_for_a_damaged_one() -> None:
    base = "https://conda.example.org/lab/linux-64/repodata.json"
    files = {f"{base}.zst": b"nonsense", base: json.dumps(INDEX).encode()}

    assert find_packages("https://conda.example.org/lab", "linux-64", FILES, FakeChannel(files)) == FOUND


def test_a_server_that_fails_is_not_asked_again() -> None:
    asked: list[str] = []

    class Failing:
        def stream(self, url: str, *, limit: int) -> Iterator[bytes]:
            asked.append(url)
            raise SourceError(f"no answer within {limit}")

    with pytest.raises(SourceError, match="no answer"):
        find_packages("https://conda.example.org/lab", "linux-64", FILES, Failing())
    assert len(asked) == 1
