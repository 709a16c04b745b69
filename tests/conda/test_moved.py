"""Finding where a conda prefix lay before it was moved: by the hash of a file, never by its word alone."""

import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from envcap.conda.placeholder import put_prefix
from envcap.environment import CondaPath, CondaRecord
from envcap.scan.conda_moved import find_former_prefix
from envcap.scan.files import walk_tree
from envcap.scan.reader import TreeReader

PLACEHOLDER = "/build/" + "_placehold" * 20


def found(folder: Path, original: bytes, prefix: str, *, binary: bool, data: bytes | None = None) -> tuple[str, ...]:
    """Install a file for a prefix, and look for that from the folder where it lies now."""
    installed = put_prefix(original, PLACEHOLDER.encode(), prefix.encode(), binary=binary, where="file")
    (folder / "file").write_bytes(installed if data is None else data)
    sha256 = hashlib.sha256(original).hexdigest()
    row = CondaPath(path="file", sha256=sha256, size=len(original), placeholder=PLACEHOLDER, binary=binary)
    record = CondaRecord(
        name="x", version="1", build="0", channel="lab", subdir="linux-64", file="x-1-0.conda", directory="x.json",
        paths=(row,),
    )  # fmt: skip
    reader = TreeReader(walk_tree(str(folder), skip=frozenset()))
    return find_former_prefix(reader, str(folder).encode(), [record])


@pytest.mark.parametrize("prefix", ["/opt/conda", "/home/ada/miniforge3/envs/r", "/a b/c d", "/é", "/x"])
@pytest.mark.parametrize(
    ("original", "binary"),
    [
        (f"#!/bin/sh\nR_HOME={PLACEHOLDER}/lib/R\n: /usr/lib:{PLACEHOLDER}/lib\n".encode(), False),
        (f"prefix = '{PLACEHOLDER}'\n".encode(), False),
        (f"\x7fELF\0/lib64/ld-linux.so.2\0\0\0{PLACEHOLDER}/lib:{PLACEHOLDER}/share\0\0end\0".encode(), True),
        (f"\x7fELF\0{PLACEHOLDER}\0".encode(), True),
    ],
    ids=["shell", "quoted", "search path", "string"],
)
def test_the_former_prefix_is_found(tmp_path: Path, original: bytes, binary: bool, prefix: str) -> None:  # noqa: FBT001
    assert found(tmp_path, original, prefix, binary=binary) == (prefix,)


@given(st.lists(st.from_regex(r"[A-Za-z0-9_. +~-]{1,12}", fullmatch=True), min_size=1, max_size=6).map("/".join))
@settings(max_examples=60, deadline=None)
def test_any_plain_prefix_is_found_in_a_script(tmp_path_factory: pytest.TempPathFactory, below: str) -> None:
    original = f"#!/bin/sh\nhome='{PLACEHOLDER}/lib'\n".encode()
    # `/l` of `/l/lib` could be either: see the next test.
    assume(original.decode().replace(PLACEHOLDER, f"/{below}").count(f"/{below}") == 1)
    folder = tmp_path_factory.mktemp("moved")

    assert found(folder, original, f"/{below}", binary=False) == (f"/{below}",)


def test_a_prefix_that_the_archives_own_text_holds_can_not_be_told(tmp_path: Path) -> None:
    """Putting the placeholder in wherever it stands gives another file than the archive's; such a file is a patch."""
    assert found(tmp_path, f"home='{PLACEHOLDER}/lib'\n".encode(), "/l", binary=False) == ()


def test_a_prefix_that_was_not_moved_needs_no_other(tmp_path: Path) -> None:
    assert found(tmp_path, f"home={PLACEHOLDER}/lib\n".encode(), str(tmp_path), binary=False) == ()


def test_what_a_file_says_is_not_believed_without_its_hash(tmp_path: Path) -> None:
    original = f"home={PLACEHOLDER}/lib\n".encode()

    assert found(tmp_path, original, "", binary=False, data=b"home=/home/eve/lib # mine\n") == ()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"/a" * (2 << 20),
        b"/" * (4 << 20),
        b"\0" * (4 << 20),
        b"/a\0\0" * (1 << 20),
        b"/a b" * (1 << 20),
        b"a" * 5 + b" /" * (2 << 20),
    ],
    ids=["steps", "slashes", "nuls", "strings", "spaces", "paths"],
)
def test_a_file_made_to_be_slow_is_not(tmp_path: Path, data: bytes, binary: bool) -> None:  # noqa: FBT001
    started = time.process_time()

    assert found(tmp_path, b"other", "/opt/conda", binary=binary, data=data[: 4 << 20]) == ()
    assert time.process_time() - started < 8
