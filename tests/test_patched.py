"""Patches for people: their order, their labels, and how long they may take."""

import pytest

from envcap.lockfile.model import Artifact, Interpreter, LockedEnvironment, Lockfile, Package, Patch
from envcap.patched import DiffLimits, compare_patches, group_patches, impatient, list_patches, patch_labels
from tests.flow import Flow, make_flow
from tests.worlds import world_of

ARTIFACT = Artifact(platform="linux/amd64", source="pypi", file="a-1-py3-none-any.whl", size=9, sha256="0" * 64)


def package(name: str, *patches: Patch) -> Package:
    return Package(name=name, version="1", artifacts=(ARTIFACT,), patches=patches)


LOCK = Lockfile(
    name="small",
    recipe=1,
    environment=LockedEnvironment(kind="venv"),
    interpreter=Interpreter(
        implementation="cpython", version="3.11.7", build="", soabi="", origin="debian", home="usr"
    ),
    packages=(
        package("a", Patch(path="x", change="added", target="y"), Patch(path="z", change="deleted")),
        package("b"),
        package("c", Patch(path="m", change="edited", sha256="1" * 64, size=3)),
    ),
)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return make_flow(tmp_path_factory.mktemp("patched") / "world")


def test_patches_keep_the_lock_s_order_and_packages() -> None:
    titles = [(title, [row.patch.path for row in rows]) for title, rows in group_patches(list_patches(LOCK))]
    assert titles == [("a 1", ["x", "z"]), ("c 1", ["m"])]


def test_labels_name_paths_of_the_image() -> None:
    assert patch_labels(LOCK) == {
        "opt/env/x": "added by a patch of a",
        "opt/env/z": "deleted by a patch of a",
        "opt/env/m": "edited by a patch of c",
    }


@pytest.mark.parametrize(("files", "with_diff"), [(0, []), (1, ["m"]), (2, ["x", "m"]), (9, ["x", "m"])])
def test_edited_files_are_compared_first_and_deleted_ones_not_at_all(
    flow: Flow, files: int, with_diff: list[str]
) -> None:
    with world_of(flow, offline=True) as world:
        rows = compare_patches(LOCK, blobs=flow.root / "none", world=world, limits=DiffLimits(files=files, lines=9))
    assert [row.patch.path for row in rows if row.diff] == with_diff
    notes = {row.patch.path: row.diff.note for row in rows if row.diff}
    assert notes.get("x", "a link to y") == "a link to y"
    assert "m" not in notes or notes["m"].startswith("the diff needs a-1-py3-none-any.whl, which is not on this")


def test_a_diff_waits_for_no_server_as_long_as_a_download(flow: Flow) -> None:
    with world_of(flow) as world, impatient(world) as hasty:
        assert hasty.session.settings.timeout == 3 < world.session.settings.timeout
        assert hasty.session.settings.indexes == world.session.settings.indexes
        assert not hasty.session.offline
    with world_of(flow, offline=True) as world, impatient(world) as hasty:
        assert hasty.session.offline
