"""Exports of a conda environment from its channel on disk: what other tools read is what was installed."""

import asyncio
import hashlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import rattler
import yaml

from envcap.blobs import open_lock
from envcap.lockfile.document import write_lockfile
from tests.conda.channel import Channel
from tests.flow import Flow

FILES = {"conda-lock": "conda-lock.yml", "explicit": "conda-explicit.txt", "environment": "environment.yml"}
EXPLICIT = re.compile(
    r"(?:(?P<url_p>.+)(?:[/\\]))?(?P<fn>[^/\\#]+(?:\.tar\.bz2|\.conda))"
    r"(?:#((?P<md5>[0-9a-f]{32})|((sha256:)?(?P<sha256>[0-9a-f]{64}))))?$"
)
"""What conda reads a line of a list by (conda/ceps#79)."""


@pytest.mark.parametrize("form", FILES)
def test_an_export_is_the_same_each_time(locked: Flow, form: str) -> None:
    first, second = (locked.run("export", locked.lock, "--format", form) for _ in range(2))

    assert first.status == 0, first.err
    assert first.out == second.out
    assert (
        first.err == "warning: The channel lab is a folder of this machine: only this machine can install the export\n"
    )


def test_an_explicit_list_names_the_channels_files_with_their_hashes(locked: Flow, channel: Channel) -> None:
    text = locked.run("export", locked.lock, "--format", "explicit").out
    matches = [
        match for line in text.splitlines() if not line.startswith(("#", "@")) if (match := EXPLICIT.match(line))
    ]

    assert [match["fn"].partition("-")[0] for match in matches] == ["fast", "hooked", "old", "python", "tool"]
    for match in matches:
        data = Path(urlsplit(f"{match['url_p']}/{match['fn']}").path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == match["sha256"]


def test_a_conda_lock_names_the_channels_files_with_their_hashes(locked: Flow) -> None:
    document = yaml.safe_load(locked.run("export", locked.lock, "--format", "conda-lock").out)

    assert [row["name"] for row in document["package"]] == ["fast", "hooked", "old", "python", "tool"]
    for row in document["package"]:
        data = Path(urlsplit(row["url"]).path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["hash"]["sha256"]
        assert hashlib.md5(data, usedforsecurity=False).hexdigest() == row["hash"]["md5"]


def test_rattler_solves_an_environment_to_the_same_packages(locked: Flow) -> None:
    document = yaml.safe_load(locked.run("export", locked.lock, "--format", "environment").out)
    channels = [rattler.Channel(text) for text in document["channels"] if text != "nodefaults"]

    async def solve() -> list[rattler.RepoDataRecord]:
        specs = [
            rattler.MatchSpec(spec) for spec in document["dependencies"]
        ]  # not strict: conda writes NAME=VERSION=BUILD
        platforms = [rattler.Subdir.current(), rattler.Subdir("noarch")]
        return await rattler.solve(channels, specs, platforms=platforms)

    found = {(row.name.normalized, row.sha256.hex()) for row in asyncio.run(solve()) if row.sha256}
    assert found == {(row.name, row.sha256) for row in open_lock(locked.lock).lockfile.conda}


def test_an_md5_that_the_lock_lacks_is_taken_from_the_package(locked: Flow, tmp_path: Path) -> None:
    before = open_lock(locked.lock).lockfile
    bare = replace(before, conda=tuple(replace(row, md5="") for row in before.conda))
    (tmp_path / "envcap.lock").write_text(write_lockfile(bare))

    found = yaml.safe_load(locked.run("export", tmp_path, "--format", "conda-lock").out)["package"]

    assert [row["hash"]["md5"] for row in found] == [row.md5 for row in before.conda]


@pytest.mark.parametrize("form", FILES)
def test_a_channel_that_is_not_configured_is_one_line(locked: Flow, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)  # its constant would say where the channel is
    lost = replace(locked, settings={**locked.settings, "CONDA_CHANNELS": ""})

    answer = lost.run("export", locked.lock, "--format", form)

    assert (answer.status, answer.out) == (1, "")
    assert answer.err.splitlines()[0] == "error: No address is configured for the channel 'lab'"


@pytest.mark.parametrize(
    "alias", ["https://mirror.example.org", "https://me:to-secret-too@mirror.example.org/t/to-secret"]
)
def test_a_channel_below_the_alias_is_said_by_its_name(locked: Flow, alias: str) -> None:
    mirrored = replace(locked, settings={**locked.settings, "CONDA_CHANNELS": "", "CONDA_CHANNEL_ALIAS": alias})

    answers = [mirrored.run("export", locked.lock, "--format", form) for form in FILES]

    assert [answer.status for answer in answers] == [0, 0, 0]
    assert "to-secret" not in "".join(answer.out + answer.err for answer in answers)
    assert yaml.safe_load(answers[0].out)["metadata"]["channels"] == [{"url": "lab", "used_env_vars": []}]
    assert "\nhttps://mirror.example.org/lab/noarch/tool-1.2-0.conda#sha256:" in answers[1].out
    assert yaml.safe_load(answers[2].out)["channels"] == ["lab", "nodefaults"]


def test_a_snapshot_writes_exports_beside_the_lock(locked: Flow, tmp_path: Path) -> None:
    forms = [word for form in FILES for word in ("--export", form)]

    taken = locked.run("snapshot", locked.prefix, "--name", "x", "--output", tmp_path, *forms)

    assert taken.status == 0, taken.err
    assert {path.name for path in (tmp_path / "x").iterdir() if path.is_file()} == {"envcap.lock", *FILES.values()}
    assert (tmp_path / "x/conda-explicit.txt").read_text().startswith("# This file is generated by envcap")
