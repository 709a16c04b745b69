"""What lies where an installer unpacked a package: believed by hash, and silent where it can't be read."""

import hashlib
import json
from pathlib import Path

import pytest

from envcap.environment import CondaPath
from envcap.lock.conda_unpacked import find_original, read_placeholders, with_placeholder

DATA = b"prefix=/placehold\n"
ROW = CondaPath(path="lib/x.pc", sha256=hashlib.sha256(DATA).hexdigest(), installed_sha256="c" * 64)


def unpacked(root: Path, name: str, text: str) -> Path:
    (root / "info").mkdir()
    (root / "info" / name).write_text(text)
    return root


def rows(**change: object) -> str:
    row = {"_path": ROW.path, "sha256": ROW.sha256, "prefix_placeholder": "/placehold", "file_mode": "binary"}
    return json.dumps({"paths": [{**row, **change}, 3, {"_path": "../x"}]})


def test_a_placeholder_is_taken_for_the_same_path_and_hash(tmp_path: Path) -> None:
    known = read_placeholders([tmp_path / "none", unpacked(tmp_path, "paths.json", rows())])

    found = with_placeholder(ROW, ROW.path, known)

    assert (found.placeholder, found.binary, found.sha256) == ("/placehold", True, ROW.sha256)


@pytest.mark.parametrize("change", [{"_path": "lib/y.pc"}, {"sha256": "d" * 64}, {"prefix_placeholder": ""}], ids=str)
def test_a_placeholder_of_another_file_is_not_taken(tmp_path: Path, change: dict[str, object]) -> None:
    known = read_placeholders([unpacked(tmp_path, "paths.json", rows(**change))])

    assert with_placeholder(ROW, ROW.path, known) == ROW


def test_an_old_package_names_its_placeholders_in_another_file(tmp_path: Path) -> None:
    known = read_placeholders([unpacked(tmp_path, "has_prefix", f'"/p h" text "{ROW.path}"\n')])

    found = with_placeholder(ROW, ROW.path, known)

    assert (found.placeholder, found.binary) == ("/p h", False)


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"paths": 3}', "[" * 100_000], ids=["empty", "text", "list", "no rows", "deep"]
)
def test_a_table_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    assert read_placeholders([unpacked(tmp_path, "paths.json", text)]) == {}


def test_an_original_is_believed_by_its_hash(tmp_path: Path) -> None:
    for folder, data in (("edited", b"mine"), ("intact", DATA)):
        place = tmp_path / folder / ROW.path
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
    (tmp_path / "intact" / ROW.path).chmod(0o755)

    found = find_original(ROW, ROW.path, [tmp_path / "none", tmp_path / "edited", tmp_path / "intact"])

    assert found is not None
    assert (b"".join(found[0].chunks()), found[1]) == (DATA, True)
    assert find_original(ROW, ROW.path, [tmp_path / "edited"]) is None
