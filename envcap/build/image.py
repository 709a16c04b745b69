"""A plan and its materials to an image: layer by layer, on both cores, never twice.

Every layer is looked up in the action cache by what decides its bytes before anything is opened; what is written goes
to the store in one pass. `build_image` writes blobs, `predict_image` only the digests of the tars.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from envcap.build.arrange import arrange
from envcap.build.conda_layer import conda_environment_entries
from envcap.build.host_driver import refuse_host_driver
from envcap.build.known import (
    Built,
    environment_key,
    keep_files,
    layer_key,
    list_packages,
    read_files,
    recall_layer,
    remember_layer,
)
from envcap.build.layer import Compression, write_layer
from envcap.build.materials import Materials
from envcap.build.records import environment_entries
from envcap.digest import Digest
from envcap.entry import Entry
from envcap.oci.image import ConfigSettings, Image, Layer, image_config
from envcap.plan import CondaLayer, EnvironmentLayer, ImagePlan, LayerPlan, PackagesLayer
from envcap.recipe import CONDA_ROOT
from envcap.store import Store
from envcap.workers import worker_pool

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how many steps are done, and how many there are."""

Ready = Callable[[Layer], None]
"""Receives each layer once its blob is in the store, while others are still being built."""


def ignore(_: Layer) -> None:
    """Wait for no layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What an image would be: everything but the blobs.

    Attributes:
        image_id: Digest of the config.
        diff_ids: Of the layers, lowest first.
        sizes: Bytes of each layer's tar.
    """

    image_id: Digest
    diff_ids: tuple[Digest, ...]
    sizes: tuple[int, ...]


def build_image(
    plan: ImagePlan,
    materials: Materials,
    store: Store,
    *,
    jobs: int,
    progress: Progress,
    ready: Ready = ignore,
    taken: Mapping[int, Layer] | None = None,
) -> Image:
    """Build an image into the store.

    Args:
        plan: What to build.
        materials: Where the entries come from.
        store: Receives the blobs and remembers the work.
        jobs: Layers built at a time.
        progress: Told of each finished layer.
        ready: Given each finished layer.
        taken: Layers that are not built but had from elsewhere, their blobs in the store, by their place in the plan.
            Where one of packages is among them, so is the last: its RECORDs follow from the files of all packages.

    Raises:
        EnvcapError: An artifact is missing, damaged or hostile, or the store can't be written.
    """
    layers: list[Layer] = []

    def finished(plan: LayerPlan, row: Built) -> None:
        if row.digest is None:
            raise TypeError(row)
        layers.append(Layer(diff_id=row.diff_id, digest=row.digest, size=row.size, what=plan.what))
        ready(layers[-1])

    had = {
        place: Built(diff_id=layer.diff_id, digest=layer.digest, size=layer.size, tar_size=0, files=None)
        for place, layer in (taken or {}).items()
    }
    built = _build_layers(plan, materials, store, jobs=jobs, progress=progress, finished=finished, had=had)
    config = config_of(plan, [row.diff_id for row in built])
    return Image(platform=plan.platform, config=config, layers=tuple(layers), blobs=store.blobs)


def predict_image(plan: ImagePlan, materials: Materials, store: Store, *, jobs: int, progress: Progress) -> Prediction:
    """Compute the image ID without writing a blob.

    Raises:
        EnvcapError: A file or an artifact can't be read.
    """
    built = _build_layers(plan, materials, store, jobs=jobs, progress=progress)
    diff_ids = tuple(row.diff_id for row in built)
    config = config_of(plan, diff_ids)
    return Prediction(image_id=Digest.of(config), diff_ids=diff_ids, sizes=tuple(row.tar_size for row in built))


def config_of(plan: ImagePlan, diff_ids: Sequence[Digest]) -> bytes:
    """Write the config that an image of the plan has, were these its layers."""
    return image_config(plan.platform, diff_ids, _settings(plan), epoch=plan.epoch)


def known_layers(plan: ImagePlan, materials: Materials, store: Store) -> dict[int, Digest]:
    """Tell which layers the store can give, by their place in the plan, and the diff ID of each.

    The last layer is not among them unless all others are: it is looked up by what the others hold.
    """
    found: dict[int, Built] = {}
    *lower, last = plan.layers
    for place, layer in enumerate(lower):
        built = recall_layer(store, layer_key(layer, plan, materials, blobs=True))
        if built is not None:
            found[place] = built
    if len(found) == len(lower) and isinstance(last, EnvironmentLayer):
        rows = [(layer, found[place]) for place, layer in enumerate(lower)]
        built = recall_layer(store, environment_key(last, rows, plan, blobs=True))
        if built is not None:
            found[len(lower)] = built
    return {place: built.diff_id for place, built in found.items()}


def unknown_layers(
    plan: ImagePlan, materials: Materials, store: Store, *, taken: Collection[int] = ()
) -> tuple[LayerPlan, ...]:
    """Tell which layers the store can't give and are not taken, so that only their artifacts need be fetched."""
    return tuple(
        layer
        for place, layer in enumerate(plan.layers)
        if place not in taken
        and not isinstance(layer, EnvironmentLayer)
        and store.recall(layer_key(layer, plan, materials, blobs=True)) is None
    )


def compression_of(layer: LayerPlan) -> Compression:
    """Wheels are spliced, everything else is compressed by libdeflate: recipe 1, rule 4."""
    return Compression.SPLICE if isinstance(layer, PackagesLayer) else Compression.LIBDEFLATE


def _settings(plan: ImagePlan) -> ConfigSettings:
    settings = plan.settings
    return ConfigSettings(
        environment=plan.environment,
        user=settings.user,
        workdir=settings.workdir,
        entrypoint=settings.entrypoint,
        cmd=settings.cmd or ("/bin/bash",),
        labels=settings.labels,
    )


def _build_layers(
    plan: ImagePlan,
    materials: Materials,
    store: Store,
    *,
    jobs: int,
    progress: Progress,
    finished: Callable[[LayerPlan, Built], None] | None = None,
    had: Mapping[int, Built] | None = None,
) -> list[Built]:
    """Build all layers, lowest first; with blobs if somebody waits for them."""
    *lower, last = plan.layers
    blobs = finished is not None
    total = len(plan.layers)
    done: list[Built] = []
    running: list[Future[Built]] = [Future() for _ in lower]
    had = had or {}
    for place, built in had.items():
        if place < len(lower):
            running[place].set_result(built)
    waiting = deque(
        (layer, future) for place, (layer, future) in enumerate(zip(lower, running, strict=True)) if place not in had
    )
    with worker_pool(jobs) as pool:
        for number in range(jobs):
            pool.submit(
                _work,
                waiting,
                partial(_build_layer, plan=plan, materials=materials, store=store, blobs=blobs),
                from_the_end=number % 2 == 1,
            )
        try:
            for future, layer in zip(running, lower, strict=True):
                done.append(future.result())
                if finished:
                    finished(layer, done[-1])
                progress(layer.what, len(done), total)
        finally:
            waiting.clear()
    if not isinstance(last, EnvironmentLayer):
        raise TypeError(last)
    rows = list(zip(lower, done, strict=True))
    done.append(had.get(len(lower)) or _build_environment(last, rows, plan, store, blobs=blobs))
    if finished:
        finished(last, done[-1])
    progress(last.what, total, total)
    return done


def _work(
    waiting: deque[tuple[LayerPlan, Future[Built]]],
    build: Callable[[LayerPlan], Built],
    *,
    from_the_end: bool,
) -> None:
    """Build what is waiting, from one end, until nothing is.

    The plan ranks layers by size, with buckets of small packages last. Those at the beginning are few large files that
    are inflated and hashed without the GIL, those at the end are many small ones that need it: side by side they
    hinder each other least.
    """
    while waiting:
        try:
            layer, future = waiting.pop() if from_the_end else waiting.popleft()
        except IndexError:  # another thread took the last one
            return
        try:
            future.set_result(build(layer))
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            future.set_exception(error)


def _build_environment(
    layer: EnvironmentLayer,
    lower: Sequence[tuple[LayerPlan, Built]],
    plan: ImagePlan,
    store: Store,
    *,
    blobs: bool,
) -> Built:
    """Build the last layer: it follows from the files of the packages, which are listed by blobs of the store."""
    key = environment_key(layer, lower, plan, blobs=blobs)
    known = recall_layer(store, key)
    if known is not None:
        return known
    files = [file for listed in list_packages(lower) for file in read_files(store, listed)]
    entries = conda_environment_entries(layer, files) if layer.root == CONDA_ROOT else environment_entries(layer, files)
    built = _write(arrange(entries), layer, plan.epoch, store, blobs=blobs)
    remember_layer(store, key, built)
    return built


def _build_layer(layer: LayerPlan, *, plan: ImagePlan, materials: Materials, store: Store, blobs: bool) -> Built:
    key = layer_key(layer, plan, materials, blobs=blobs)
    known = recall_layer(store, key)
    if known is not None:
        return known
    with ExitStack() as stack:
        entries = arrange(materials.entries(layer, stack))
        refuse_host_driver(entries)
        built = _write(entries, layer, plan.epoch, store, blobs=blobs)
    remember_layer(store, key, built)
    return built


def _write(entries: Sequence[Entry], layer: LayerPlan, epoch: int, store: Store, *, blobs: bool) -> Built:
    hash_files = isinstance(layer, PackagesLayer | CondaLayer)
    compression = compression_of(layer)
    if not blobs:
        written = write_layer(entries, epoch=epoch, compression=compression, write=None, hash_files=hash_files)
    else:
        with store.blobs.writer(hashing=False) as writer:
            written = write_layer(
                entries, epoch=epoch, compression=compression, write=writer.write, hash_files=hash_files
            )
            # Hashed once, as it was written; checked again whenever it leaves the store.
            writer.commit_as(Digest.parse(str(written.digest)))
    return Built(
        diff_id=written.diff_id,
        digest=written.digest,
        size=written.size,
        tar_size=written.tar_size,
        files=keep_files(store, written.files),
    )
