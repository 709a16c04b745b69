"""Every lock in `lockfiles/` is real, readable, canonical, and plans to what it expects."""

import re
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.lockfile.document import write_lockfile
from envcap.plan import plan_image

LOCKS = sorted((Path(__file__).parent.parent / "lockfiles").glob("*/envcap.lock"))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_an_example_is_canonical(path: Path) -> None:
    assert write_lockfile(open_lock(path).lockfile) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_an_example_expects_as_many_layers_as_it_plans(path: Path) -> None:
    lockfile = open_lock(path).lockfile
    for expected in lockfile.expected:
        assert len(plan_image(lockfile, expected.platform).layers) == len(expected.diff_ids)
        assert expected.manifest


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_an_example_names_no_place(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"https?://|file:|/home/|/root/|/tmp/", text) is None


def test_there_are_examples() -> None:
    assert len(LOCKS) >= 2
