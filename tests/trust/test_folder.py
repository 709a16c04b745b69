"""Attestations as files: written whole under a name that stays, read without following or waiting."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envcap.errors import TrustError
from envcap.trust.claims import rebuild_statement, signature_statement
from envcap.trust.folder import file_name, key_name, read_attestations, write_attestation
from envcap.trust.judge import Attestation
from tests.trust.people import ALICE, BOB, FACTS, IMAGE, MANIFEST, OTHER_IMAGE

SIGNATURE = signature_statement(FACTS)
KEY = ALICE.public.digest.hex[:16]


def test_a_folder_without_attestations_has_none(tmp_path: Path) -> None:
    assert read_attestations(tmp_path / "envcap.lock") == ()


def test_what_is_written_is_read_sorted(tmp_path: Path) -> None:
    lock = tmp_path / "envcap.lock"
    written = [write_attestation(lock, SIGNATURE, person.public, person.signs().data) for person in (BOB, ALICE)]
    found = read_attestations(lock)
    assert found == tuple(sorted((Attestation(name=path.name, data=path.read_bytes()) for path in written),
                                 key=lambda row: row.name))  # fmt: skip
    assert {row.data for row in found} == {ALICE.signs().data, BOB.signs().data}
    assert {path.stat().st_mode & 0o777 for path in written} == {0o644}
    assert len(list((tmp_path / "attestations").iterdir())) == 2


def test_names_say_kind_platform_and_key() -> None:
    rebuild = rebuild_statement(FACTS, platform="linux/amd64", got=IMAGE, manifest=MANIFEST, version="0.1.0")
    assert file_name(SIGNATURE, ALICE.public) == f"signature-{KEY}.json"
    assert file_name(rebuild, ALICE.public) == f"rebuild-linux-amd64-{KEY}.json"
    assert key_name(ALICE.public.hint) == KEY


@pytest.mark.parametrize("hint", ["", "AAAA", "é", "../../etc", "A" * 5000])
def test_a_hint_that_is_no_hash_names_no_key(hint: str) -> None:
    assert key_name(hint) == "?"


def test_who_says_it_again_replaces_what_they_said(tmp_path: Path) -> None:
    lock = tmp_path / "envcap.lock"
    for got in (OTHER_IMAGE, IMAGE):
        statement = rebuild_statement(FACTS, platform="linux/amd64", got=got, manifest=MANIFEST, version="0.1.0")
        write_attestation(lock, statement, ALICE.public, ALICE.rebuilds(got).data)
    assert [row.data for row in read_attestations(lock)] == [ALICE.rebuilds().data]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "attestations"
    folder.mkdir()
    for name in ("README.md", ".signature.json.123", ".hidden.json"):
        (folder / name).write_text("x")
    assert read_attestations(tmp_path / "envcap.lock") == ()


def make_link(folder: Path) -> None:
    (folder / "target").write_text("{}")
    (folder / "a.json").symlink_to("target")


def make_many(folder: Path) -> None:
    for number in range(257):
        (folder / f"{number}.json").write_text("{}")


def make_very_many(folder: Path) -> None:
    for number in range(1025):
        (folder / f"{number}.txt").touch()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (make_link, "attestations/a.json can't be read: Too many levels of symbolic links"),
        (lambda folder: os.mkfifo(folder / "a.json"), r"a.json is no attestation \(expected a regular file\)"),
        (lambda folder: (folder / "a.json").mkdir(), "attestations/a.json can't be read: Is a directory"),
        (lambda folder: (folder / "a.json").write_bytes(b" " * 65_537), "a.json is too long for an attestation"),
        (make_many, r"attestations holds too many attestations \(257, at most 256\)"),
        (make_very_many, r"attestations holds too many files \(at most 1024\)"),
    ],
    ids=["symlink", "fifo", "folder", "endless", "many", "very many"],
)
def test_a_strange_file_is_refused(tmp_path: Path, prepare: Callable[[Path], object], message: str) -> None:
    folder = tmp_path / "attestations"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(TrustError, match=message):
        read_attestations(tmp_path / "envcap.lock")


def test_nothing_is_read_or_written_through_a_symlink(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "attestations").symlink_to(elsewhere)
    lock = tmp_path / "envcap.lock"
    with pytest.raises(TrustError, match="attestations is not a folder of its own"):
        read_attestations(lock)
    with pytest.raises(TrustError, match="attestations is not a folder of its own"):
        write_attestation(lock, SIGNATURE, ALICE.public, b"{}")
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "attestations").write_text("x")
    with pytest.raises(TrustError, match=r"attestations/signature-\w+\.json can't be written: File exists"):
        write_attestation(tmp_path / "envcap.lock", SIGNATURE, ALICE.public, b"{}")
