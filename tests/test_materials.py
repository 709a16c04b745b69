"""Live files and pinned artifacts give the same entries: that is what makes an image faithful."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from packaging.utils import canonicalize_name

from envcap.blobs import open_lock
from envcap.entry import Entry
from envcap.errors import BuildError
from envcap.materials import ArtifactMaterials, LiveMaterials
from envcap.pinned import PinnedArtifacts
from envcap.plan import EnvironmentLayer, FilesLayer, ImagePlan, LayerPlan, PackagesLayer, SystemLayer, plan_image
from envcap.rebuild import choose_platform
from envcap.scan import SubprocessRunner, scan_environment
from tests.flow import make_flow
from tests.worlds import world_of


@dataclass(frozen=True)
class Both:
    plan: ImagePlan
    pinned: ArtifactMaterials
    live: LiveMaterials


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A lock with an edited, an added and a deleted file, and a file of nobody."""
    flow = make_flow(tmp_path_factory.mktemp("materials") / "world")
    site = flow.site_packages
    (site / "beta.py").write_bytes(b"VALUE = 3\n")
    (site / "alpha" / "data" / "table.csv").unlink()
    (flow.prefix / "share").mkdir()
    (flow.prefix / "share" / "mine.txt").write_text("mine")
    (flow.prefix / "share" / "link").symlink_to("mine.txt")
    assert flow.snapshot().status == 0
    folder = open_lock(flow.lock)
    environment = scan_environment(flow.prefix, run=SubprocessRunner(flow.environ))
    with world_of(flow) as world:
        pinned = ArtifactMaterials(
            artifacts=PinnedArtifacts(world, sources=folder.lockfile.sources, blobs=folder.blobs),
            scratch=world.store.root / "tmp",
        )
        live = LiveMaterials(environment=environment, artifacts=pinned, normalise=canonicalize_name)
        yield Both(plan=plan_image(folder.lockfile, choose_platform(folder.lockfile, "")), pinned=pinned, live=live)


def described(entries: list[Entry]) -> dict[str, tuple[object, ...]]:
    return {
        entry.path: (entry.kind, entry.mode, entry.target, b"".join(entry.content.chunks()), entry.uid, entry.gid)
        for entry in entries
    }


def test_live_and_pinned_entries_are_equal_in_every_layer(both: Both) -> None:
    seen: set[type[LayerPlan]] = set()
    for layer in both.plan.layers:
        if isinstance(layer, EnvironmentLayer):
            continue
        with ExitStack() as stack:
            pinned = described(both.pinned.entries(layer, stack))
            live = described(both.live.entries(layer, stack))
        assert pinned
        assert live == pinned, layer.what
        seen.add(type(layer))
    assert seen >= {SystemLayer, PackagesLayer, FilesLayer}


def test_patches_are_in_both(both: Both) -> None:
    with ExitStack() as stack:
        found: dict[str, tuple[object, ...]] = {}
        for layer in both.plan.layers:
            if not isinstance(layer, EnvironmentLayer):
                found |= described(both.live.entries(layer, stack))
    beta = next(path for path in found if path.endswith("/beta.py"))
    assert found[beta][3] == b"VALUE = 3\n"
    assert not any(path.endswith("table.csv") for path in found)
    assert found["opt/env/share/link"][2] == "mine.txt"


def test_keys_name_what_decides_the_bytes(both: Both) -> None:
    layer = next(layer for layer in both.plan.layers if isinstance(layer, PackagesLayer) and layer.packages[0].patches)
    key = both.pinned.key(layer)
    assert both.pinned.key(layer) == key
    package = layer.packages[0]
    other = replace(package.artifacts[0], sha256="0" * 64)
    for changed in (replace(package, artifacts=(other,)), replace(package, patches=())):
        assert both.pinned.key(replace(layer, packages=(changed, *layer.packages[1:]))) != key
    assert both.pinned.key(replace(layer, layout=replace(layer.layout, python="3.99"))) != key
    assert both.live.key(layer) != key
    assert both.pinned.key(replace(layer, what="another name")) == key


def test_the_last_layer_has_no_artifacts(both: Both) -> None:
    last = both.plan.layers[-1]
    assert isinstance(last, EnvironmentLayer)
    with pytest.raises(BuildError), ExitStack() as stack:
        both.pinned.entries(last, stack)
    with pytest.raises(BuildError):
        both.pinned.key(last)


def test_a_package_that_is_not_live_is_told(both: Both) -> None:
    layer = next(layer for layer in both.plan.layers if isinstance(layer, PackagesLayer))
    gone = replace(layer, packages=(replace(layer.packages[0], version="99"),))
    with pytest.raises(BuildError, match="is in the lock, but not in the live environment"), ExitStack() as stack:
        both.live.entries(gone, stack)
