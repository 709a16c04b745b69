"""Patches of the lock: live bytes become the image's, and each shared path has one winner."""

from hashlib import sha256
from pathlib import Path

import pytest

from envcap.environment import Distribution, EntryPoint, InstalledFile
from envcap.lock.patches import captured_patches, final_patches, image_patch, lost_paths, shared_paths
from envcap.lockfile.model import Patch
from tests.lock.wheels import SITE, put

INFO = f"{SITE}/demo-1.0.dist-info"
POINT = EntryPoint(name="demo", value="demo:main")


def owner(name: str, *paths: str) -> Distribution:
    files = tuple(InstalledFile(path=path, mode=0o644, size=0, sha256="0" * 64) for path in paths)
    return Distribution(name=name, version="1", directory=f"{name}.dist-info", files=files)


def demo(*files: InstalledFile, points: tuple[EntryPoint, ...] = ()) -> Distribution:
    return Distribution(name="demo", version="1.0", directory=INFO, files=files, entry_points=points)


def test_shared_paths_have_several_owners() -> None:
    rows = [owner("a", "x", "y"), owner("b", "y", "z"), owner("c", "y", "z")]
    assert shared_paths(rows) == {"y", "z"}
    assert shared_paths([]) == frozenset()


@pytest.mark.parametrize(
    ("patched", "lost"),
    [
        ({"a.dist-info": {"y"}, "b.dist-info": set()}, {"y"}),
        ({"a.dist-info": {"y"}}, {"y"}),
        ({"a.dist-info": {"y"}, "b.dist-info": {"y"}}, set()),
        ({"a.dist-info": set(), "b.dist-info": {"y"}}, set()),
        ({"b.dist-info": {"y"}}, set()),
        ({"a.dist-info": {"x"}, "b.dist-info": set()}, set()),
    ],
)
def test_a_path_is_lost_to_another_owner_whose_bytes_are_live(patched: dict[str, set[str]], lost: set[str]) -> None:
    frozen = {name: frozenset(paths) for name, paths in patched.items()}
    assert lost_paths(owner("a", "x", "y"), frozen, {"y": ["a.dist-info", "b.dist-info"]}) == lost


def test_an_edited_file_keeps_its_live_bytes(tmp_path: Path) -> None:
    file = put(tmp_path, f"{SITE}/a.py", b"mine", executable=True)
    final, kept = final_patches(
        demo(file), [Patch(path=file.path, change="edited")], prefix=tmp_path, lost=frozenset(), generates=True
    )
    digest = sha256(b"mine").hexdigest()
    assert final == (Patch(path=file.path, change="edited", sha256=digest, size=4, executable=True),)
    assert [(name, b"".join(content.chunks())) for name, content in kept] == [(digest, b"mine")]


def test_an_edited_script_names_the_image_s_interpreter(tmp_path: Path) -> None:
    file = put(tmp_path, "bin/tool", f"#!{tmp_path}/bin/python\nmine\n".encode())
    patch, content = image_patch(
        Patch(path="bin/tool", change="edited"), file, prefix=tmp_path, distribution=demo(file)
    )
    data = b"#!/opt/env/bin/python\nmine\n"
    assert b"".join(content.chunks()) == data
    assert (patch.sha256, patch.size) == (sha256(data).hexdigest(), len(data))


def test_a_symlink_and_a_deleted_file_have_no_bytes_to_keep(tmp_path: Path) -> None:
    link = InstalledFile(path="a", mode=0o777, size=0, sha256="", target="b")
    rows = [Patch(path="z", change="deleted"), Patch(path="a", change="edited", target="b")]
    final, kept = final_patches(demo(link), rows, prefix=tmp_path, lost=frozenset(), generates=True)
    assert (final, kept) == ((rows[1], rows[0]), ())


def test_a_file_that_another_owns_is_left_out(tmp_path: Path) -> None:
    file = put(tmp_path, "a", b"theirs")
    rows = [Patch(path="a", change="edited")]
    final, kept = final_patches(demo(file), rows, prefix=tmp_path, lost=frozenset({"a"}), generates=True)
    assert (final, kept) == ((Patch(path="a", change="deleted"),), ())


def test_an_added_file_that_another_owns_stays(tmp_path: Path) -> None:
    """Both then bring the same bytes."""
    file = put(tmp_path, "a", b"theirs")
    final, _ = final_patches(
        demo(file), [Patch(path="a", change="added")], prefix=tmp_path, lost=frozenset({"a"}), generates=True
    )
    assert [patch.change for patch in final] == ["added"]


@pytest.mark.parametrize(("generates", "changes"), [(True, ["deleted"]), (False, [])])
def test_a_script_that_is_not_there_is_deleted_where_the_image_would_get_one(
    tmp_path: Path,
    generates: bool,  # noqa: FBT001 - a parameter of the test
    changes: list[str],
) -> None:
    final, _ = final_patches(demo(points=(POINT,)), [], prefix=tmp_path, lost=frozenset(), generates=generates)
    assert [patch.change for patch in final] == changes


def test_patches_are_sorted_by_path(tmp_path: Path) -> None:
    rows = [Patch(path=path, change="deleted") for path in ("b", "é", "a", "B")]
    final, _ = final_patches(demo(), rows, prefix=tmp_path, lost=frozenset(), generates=False)
    assert [patch.path for patch in final] == ["B", "a", "b", "é"]


def test_a_captured_distribution_s_links_and_edited_scripts_are_patches() -> None:
    link = InstalledFile(path="a", mode=0o777, size=0, sha256="", target="b")
    plain = InstalledFile(path="c", mode=0o644, size=0, sha256="0" * 64)
    assert captured_patches(demo(link, plain), {"bin/x": True, "bin/y": False}) == (
        Patch(path="a", change="added", target="b"),
        Patch(path="bin/y", change="edited"),
    )
