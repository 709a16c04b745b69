"""A plan and its materials to an image: layer by layer, on both cores, never twice.

Every layer is looked up in the action cache by what decides its bytes before anything is opened; what is written goes
to the store in one pass. `build_image` writes blobs, `predict_image` only the digests of the tars.
"""

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from envcap.build.arrange import arrange
from envcap.build.conda_layer import conda_environment_entries, root_key
from envcap.build.host_driver import refuse_host_driver
from envcap.build.layer import Compression, FileHash, write_layer
from envcap.build.materials import Materials
from envcap.build.records import environment_entries
from envcap.digest import Digest
from envcap.entry import Entry
from envcap.oci.image import ConfigSettings, Image, Layer, image_config
from envcap.plan import CondaLayer, EnvironmentLayer, ImagePlan, LayerPlan, PackagesLayer
from envcap.recipe import CONDA_ROOT, RECIPE
from envcap.store import Store
from envcap.store.actions import action_key

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    diff_id: Digest
    digest: Digest | None
    size: int
    tar_size: int
    files: Digest | None
    """Blob that lists the layer's regular files, empty for all but packages; None for a layer that was taken."""


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

    def finished(plan: LayerPlan, row: _Built) -> None:
        if row.digest is None:
            raise TypeError(row)
        layers.append(Layer(diff_id=row.diff_id, digest=row.digest, size=row.size, what=plan.what))
        ready(layers[-1])

    had = {
        place: _Built(diff_id=layer.diff_id, digest=layer.digest, size=layer.size, tar_size=0, files=None)
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
    found: dict[int, _Built] = {}
    *lower, last = plan.layers
    for place, layer in enumerate(lower):
        built = _recall(store, _layer_key(layer, plan, materials, blobs=True))
        if built is not None:
            found[place] = built
    if len(found) == len(lower) and isinstance(last, EnvironmentLayer):
        rows = [(layer, found[place]) for place, layer in enumerate(lower)]
        built = _recall(store, _environment_key(last, rows, plan, blobs=True))
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
        and store.recall(_layer_key(layer, plan, materials, blobs=True)) is None
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
    finished: Callable[[LayerPlan, _Built], None] | None = None,
    had: Mapping[int, _Built] | None = None,
) -> list[_Built]:
    """Build all layers, lowest first; with blobs if somebody waits for them."""
    *lower, last = plan.layers
    blobs = finished is not None
    total = len(plan.layers)
    done: list[_Built] = []
    running: list[Future[_Built]] = [Future() for _ in lower]
    had = had or {}
    for place, built in had.items():
        if place < len(lower):
            running[place].set_result(built)
    waiting = deque(
        (layer, future) for place, (layer, future) in enumerate(zip(lower, running, strict=True)) if place not in had
    )
    with ThreadPoolExecutor(max_workers=jobs) as pool:
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
    waiting: deque[tuple[LayerPlan, Future[_Built]]], build: Callable[[LayerPlan], _Built], *, from_the_end: bool
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
    layer: EnvironmentLayer, lower: Sequence[tuple[LayerPlan, _Built]], plan: ImagePlan, store: Store, *, blobs: bool
) -> _Built:
    """Build the last layer: it follows from the files of the packages, which are listed by blobs of the store."""
    key = _environment_key(layer, lower, plan, blobs=blobs)
    known = _recall(store, key)
    if known is not None:
        return known
    files = [file for listed in _listed(lower) for file in _read_files(store, listed)]
    entries = conda_environment_entries(layer, files) if layer.root == CONDA_ROOT else environment_entries(layer, files)
    built = _write(arrange(entries), layer, plan.epoch, store, blobs=blobs)
    _remember(store, key, built)
    return built


def _environment_key(
    layer: EnvironmentLayer, lower: Sequence[tuple[LayerPlan, _Built]], plan: ImagePlan, *, blobs: bool
) -> Digest:
    inputs = {
        "recipe": RECIPE,
        "epoch": plan.epoch,
        "packages": [str(listed) for listed in _listed(lower)],
        "interpreter": [layer.interpreter.version, layer.interpreter.home],
        "system_site_packages": layer.system_site_packages,
    } | root_key(layer)
    return action_key("environment" if blobs else "environment-diff-id", inputs)


def _listed(lower: Sequence[tuple[LayerPlan, _Built]]) -> list[Digest]:
    """Give the blobs that list the packages' files."""
    packages = [built.files for below, built in lower if isinstance(below, PackagesLayer | CondaLayer)]
    if None in packages:
        raise TypeError(packages)  # a layer of packages was taken, and the last was not
    return [listed for listed in packages if listed is not None]


def _build_layer(layer: LayerPlan, *, plan: ImagePlan, materials: Materials, store: Store, blobs: bool) -> _Built:
    key = _layer_key(layer, plan, materials, blobs=blobs)
    known = _recall(store, key)
    if known is not None:
        return known
    with ExitStack() as stack:
        entries = arrange(materials.entries(layer, stack))
        refuse_host_driver(entries)
        built = _write(entries, layer, plan.epoch, store, blobs=blobs)
    _remember(store, key, built)
    return built


def _layer_key(layer: LayerPlan, plan: ImagePlan, materials: Materials, *, blobs: bool) -> Digest:
    inputs = {"recipe": RECIPE, "epoch": plan.epoch, "layer": dict(materials.key(layer))}
    return action_key("layer" if blobs else "diff-id", inputs)


def _write(entries: Sequence[Entry], layer: LayerPlan, epoch: int, store: Store, *, blobs: bool) -> _Built:
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
    rows = json.dumps([[file.owner, file.path, file.sha256, file.size] for file in written.files]).encode()
    return _Built(
        diff_id=written.diff_id,
        digest=written.digest,
        size=written.size,
        tar_size=written.tar_size,
        files=store.blobs.add_bytes(rows),
    )


def _remember(store: Store, key: Digest, built: _Built) -> None:
    value = {
        "diff_id": str(built.diff_id),
        "digest": str(built.digest) if built.digest else "",
        "size": built.size,
        "tar_size": built.tar_size,
        "files": str(built.files),
    }
    store.actions.put(key, value, blobs=[blob for blob in (built.files, built.digest) if blob])


def _recall(store: Store, key: Digest) -> _Built | None:
    """Look a layer up; a record whose blobs are gone counts as unknown, and the layer is built again."""
    record = store.recall(key)
    if record is None:
        return None
    return _Built(
        diff_id=Digest.parse(str(record["diff_id"])),
        digest=Digest.parse(str(record["digest"])) if record["digest"] else None,
        size=int(str(record["size"])),
        tar_size=int(str(record["tar_size"])),
        files=Digest.parse(str(record["files"])),
    )


def _read_files(store: Store, digest: Digest) -> list[FileHash]:
    with store.blobs.open_verified(digest) as stream:
        rows = json.load(stream)
    return [FileHash(owner=row[0], path=row[1], sha256=row[2], size=row[3]) for row in rows]
