"""A plan and its materials to an image: the cache, the order of layers, and what a failure leaves behind."""

import gzip
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from envcap.build.image import build_image, compression_of, predict_image, unknown_layers
from envcap.build.layer import Compression
from envcap.digest import Digest
from envcap.entry import Entry, EntryKind, LiteralContent
from envcap.errors import BuildError, StoreError
from envcap.lockfile.model import Artifact, ImageSettings, Package
from envcap.oci.image import Image, Layer
from envcap.plan import FilesLayer, ImagePlan, LayerPlan, PackagesLayer, SystemLayer, plan_image
from envcap.store import Store, open_store
from tests.lock.wheels import SITE
from tests.lockfile.small import SMALL

AMD64 = "linux/amd64"


def entry(path: str, data: bytes, owner: str = "demo") -> Entry:
    return Entry(path, EntryKind.FILE, 0o644, LiteralContent(data), owner=owner)


@dataclass(slots=True)
class Materials:
    """Layers made up from their names; notes what was opened."""

    changes: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    fails: str = ""
    closed: bool = False
    opened: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    gate: threading.Barrier | None = None

    def key(self, layer: LayerPlan) -> Mapping[str, object]:
        return {
            "what": layer.what,
            "changed": [hashlib.sha256(str(row).encode()).hexdigest() for row in self._rows(layer)],
        }

    def entries(self, layer: LayerPlan, stack: ExitStack) -> list[Entry]:
        assert not self.closed, f"{layer.what} was opened"
        self.opened.append(layer.what)
        stack.callback(self.left.append, layer.what)
        if self.gate:
            self.gate.wait(timeout=60)
        if layer.what == self.fails:
            raise BuildError(f"{layer.what} is damaged")
        return list(self._rows(layer))

    def _rows(self, layer: LayerPlan) -> Sequence[Entry]:
        if layer.what in self.changes:
            return self.changes[layer.what]
        match layer:
            case PackagesLayer():
                return [row for package in layer.packages for row in files_of(package)]
            case _:
                return [entry(f"{layer.what}/file", layer.what.encode())]


def files_of(package: Package) -> list[Entry]:
    site = f"opt/env/{SITE}"
    return [
        entry(f"{site}/{package.name}.py", package.name.encode() * 200, package.name),
        entry(f"{site}/{package.name}-1.dist-info/INSTALLER", b"envcap\n", package.name),
    ]


def package(name: str, size: int) -> Package:
    artifact = Artifact(platform=AMD64, source="pypi", file=f"{name}-1-py3-none-any.whl", size=size, sha256="a" * 64)
    return Package(name=name, version="1", artifacts=(artifact,))


PLAN = plan_image(
    replace(SMALL, packages=tuple(package(f"p{n}", 2_000_000 * (n % 2)) for n in range(6)), image=ImageSettings()),
    AMD64,
)


def quiet(what: str, done: int, total: int) -> None:
    pass


def build(store: Store, materials: Materials, plan: ImagePlan = PLAN, jobs: int = 2) -> Image:
    return build_image(plan, materials, store, jobs=jobs, progress=quiet)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def objects(store: Store) -> set[str]:
    return {path.name for path in (store.root / "blobs/sha256").rglob("*") if path.is_file()}


def record_of(store: Store, image: Image) -> bytes:
    with store.blobs.open_verified(image.layers[-1].digest) as file:
        return gzip.decompress(file.read())


def test_an_image_has_these_digests(store: Store) -> None:
    image = build(store, Materials())
    assert (str(image.image_id), str(image.descriptor.digest)) == (
        "sha256:7dbc36e8fb40b3357cb97e52c7b8b3390ef275b8230bdb6bc554e7169058eefd",
        "sha256:960130092941e77a895e00d595755f278649c285b6feb3a65d8653ad2412294c",
    )


def test_the_config_is_these_bytes(store: Store) -> None:
    settings = ImageSettings(epoch=1_700_000_000, env={"A": "é"}, user="nonroot", workdir="/w", labels={"b": "1"})
    image = build(store, Materials(), replace(PLAN, layers=PLAN.layers[-1:], settings=settings, epoch=1_700_000_000))
    diff_id = image.layers[0].diff_id
    assert (
        image.config
        == (
            '{"architecture":"amd64","config":{"Cmd":["/bin/bash"],"Env":['
            '"PATH=/opt/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","VIRTUAL_ENV=/opt/env",'
            '"LANG=C.UTF-8","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],"Labels":{"b":"1"},"User":"nonroot",'
            '"WorkingDir":"/w"},"created":"2023-11-14T22:13:20Z","os":"linux","rootfs":{"diff_ids":["'
            f'{diff_id}"],"type":"layers"}}}}'
        ).encode()
    )
    layer = image.layers[0]
    assert (
        image.manifest
        == (
            '{"config":{"digest":"' + str(image.image_id) + f'","mediaType":"application/vnd.oci.image.config.v1+json",'
            f'"size":{len(image.config)}}},"layers":[{{"digest":"{layer.digest}",'
            f'"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":{layer.size}}}],'
            '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
        ).encode()
    )


def test_layers_come_in_the_plan_s_order(store: Store) -> None:
    image = build(store, Materials())
    assert [layer.what for layer in image.layers] == [layer.what for layer in PLAN.layers]
    assert json.loads(image.config)["rootfs"]["diff_ids"] == [str(layer.diff_id) for layer in image.layers]
    assert all(store.blobs.size(layer.digest) == layer.size for layer in image.layers)


def test_the_last_layer_records_the_files_of_all_packages(store: Store) -> None:
    tar = record_of(store, build(store, Materials()))
    for name in range(6):
        assert f"\np{name}.py,sha256=".encode() in tar


def test_wheels_are_spliced_and_everything_else_is_compressed() -> None:
    found = [compression_of(layer) is Compression.SPLICE for layer in PLAN.layers]
    assert found == [isinstance(layer, PackagesLayer) for layer in PLAN.layers]


def test_a_second_build_opens_nothing(store: Store) -> None:
    first = build(store, Materials())
    again = build(open_store(store.root), Materials(closed=True))
    assert (again.config, again.layers) == (first.config, first.layers)


def test_what_was_opened_is_closed(store: Store) -> None:
    materials = Materials()
    build(store, materials)
    assert sorted(materials.left) == sorted(materials.opened) == sorted(layer.what for layer in PLAN.layers[:-1])


def test_a_changed_layer_alone_is_built_again(store: Store) -> None:
    build(store, Materials())
    changed = Materials(changes={"interpreter": [entry("python", b"other")]})
    build(store, changed)
    assert changed.opened == ["interpreter"]


def test_another_epoch_is_another_image(store: Store) -> None:
    first = build(store, Materials())
    assert build(store, Materials(), replace(PLAN, epoch=1)).image_id != first.image_id


def test_a_missing_blob_is_built_again(store: Store) -> None:
    first = build(store, Materials())
    store.blobs.path(first.layers[1].digest).unlink()
    materials = Materials()
    assert unknown_layers(PLAN, materials, store) == (PLAN.layers[1],)
    again = build(store, materials)
    assert (again.layers, materials.opened) == (first.layers, [PLAN.layers[1].what])
    assert unknown_layers(PLAN, materials, store) == ()


def test_a_damaged_blob_is_seen_when_it_leaves_and_then_built_again(store: Store) -> None:
    first = build(store, Materials())
    path = store.blobs.path(first.layers[0].digest)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    fresh = open_store(store.root)
    with pytest.raises(StoreError, match="Unexpected bytes"):
        fresh.blobs.verified(build(fresh, Materials(closed=True)).layers[0].digest)
    materials = Materials()
    again = build(fresh, materials)
    assert (again.layers, materials.opened) == (first.layers, [PLAN.layers[0].what])
    assert fresh.blobs.verified(again.layers[0].digest).stat().st_size == again.layers[0].size


def test_a_damaged_list_of_files_is_an_error_once_and_then_its_layer_is_built_again(store: Store) -> None:
    first = build(store, Materials())
    lists = objects(store) - {layer.digest.hex for layer in first.layers}
    for name in lists:
        path = store.blobs.path(Digest(name))
        path.chmod(0o644)
        path.write_bytes(b"[]x")
    # Without the last layer the lists are needed.
    store.blobs.path(first.layers[-1].digest).unlink()
    for _ in [layer for layer in PLAN.layers if isinstance(layer, PackagesLayer)]:
        with pytest.raises(StoreError, match="Unexpected bytes") as caught:
            build(open_store(store.root), Materials())
        assert "run the command again" in caught.value.hint
    assert build(open_store(store.root), Materials()).layers == first.layers


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_number_of_jobs_does_not_matter(tmp_path: Path, jobs: int) -> None:
    one = build(open_store(tmp_path / "one"), Materials(), jobs=1)
    other = build(open_store(tmp_path / "other"), Materials(), jobs=jobs)
    assert (one.config, one.manifest) == (other.config, other.manifest)


def test_two_jobs_build_two_layers_at_once(store: Store) -> None:
    """Each layer waits for another to be open too."""
    plan = replace(PLAN, layers=(*PLAN.layers[:4], PLAN.layers[-1]))
    build(store, Materials(gate=threading.Barrier(2)), plan, jobs=2)


def test_a_prediction_says_what_a_build_gives_and_writes_no_layer(store: Store, tmp_path: Path) -> None:
    image = build(open_store(tmp_path / "other"), Materials())
    prediction = predict_image(PLAN, Materials(), store, jobs=2, progress=quiet)
    assert prediction.image_id == image.image_id
    assert prediction.diff_ids == tuple(layer.diff_id for layer in image.layers)
    assert all(size % 10240 == 0 for size in prediction.sizes)
    assert not objects(store) & {layer.digest.hex for layer in image.layers}
    again = predict_image(PLAN, Materials(closed=True), store, jobs=1, progress=quiet)
    assert again == prediction


def test_a_prediction_is_no_build(store: Store) -> None:
    predict_image(PLAN, Materials(), store, jobs=1, progress=quiet)
    assert unknown_layers(PLAN, Materials(), store) == PLAN.layers[:-1]
    assert len(build(store, Materials()).layers) == len(PLAN.layers)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_is_raised_and_leaves_no_part_of_a_layer(store: Store, jobs: int) -> None:
    materials = Materials(fails="interpreter")
    with pytest.raises(BuildError, match="interpreter is damaged"):
        build(store, materials, jobs=jobs)
    assert materials.left == materials.opened or sorted(materials.left) == sorted(materials.opened)
    assert list((store.root / "tmp").iterdir()) == []
    assert len(materials.opened) < len(PLAN.layers) - 1
    rest = Materials()
    build(store, rest)
    assert "interpreter" in rest.opened


def test_a_failure_while_a_layer_is_written_leaves_no_object(store: Store) -> None:
    @dataclass(frozen=True, slots=True)
    class Short:
        size: int = 3 << 20

        def chunks(self) -> list[bytes]:
            return [b"x" * (2 << 20)]

    broken = Entry("a", EntryKind.FILE, 0o644, Short())  # type: ignore[arg-type]  # a list is iterated alike
    plan = replace(PLAN, layers=(PLAN.layers[2], PLAN.layers[-1]))
    with pytest.raises(BuildError, match="has 2097152 bytes"):
        build(store, Materials(changes={PLAN.layers[2].what: [broken]}), plan)
    assert objects(store) == set()
    assert list((store.root / "tmp").iterdir()) == []


def test_packages_that_disagree_about_a_path_are_refused(store: Store) -> None:
    whats = [layer.what for layer in PLAN.layers if isinstance(layer, PackagesLayer)][:2]
    changes = {what: [entry("opt/env/x", what.encode(), owner=what)] for what in whats}
    with pytest.raises(BuildError, match="both bring 'opt/env/x', with different bytes") as caught:
        build(store, Materials(changes=changes))
    assert all(what in caught.value.message for what in whats)


def test_progress_is_told_of_each_layer_in_order(store: Store) -> None:
    told: list[tuple[str, int, int]] = []
    build_image(PLAN, Materials(), store, jobs=2, progress=lambda *step: told.append(step))
    total = len(PLAN.layers)
    assert told == [(layer.what, number + 1, total) for number, layer in enumerate(PLAN.layers)]


def test_each_layer_is_given_away_when_its_blob_is_in_the_store(store: Store) -> None:
    given: list[Layer] = []

    def ready(layer: Layer) -> None:
        assert store.blobs.has(layer.digest, size=layer.size)
        given.append(layer)

    image = build_image(PLAN, Materials(), store, jobs=2, progress=quiet, ready=ready)
    assert tuple(given) == image.layers


def test_a_plan_without_the_environment_s_layer_is_no_plan(store: Store) -> None:
    plan = replace(PLAN, layers=tuple(layer for layer in PLAN.layers if isinstance(layer, SystemLayer | FilesLayer)))
    with pytest.raises(TypeError):
        build(store, Materials(), plan)
