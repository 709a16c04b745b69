"""What the store knows of layers that were built before.

Each is looked up by what decides its bytes, in the action cache; the files of packages are listed by a blob, for the
last layer is made of those lists.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from envcap.build.conda_layer import root_key
from envcap.build.layer import FileHash
from envcap.build.materials import Materials
from envcap.digest import Digest
from envcap.plan import CondaLayer, EnvironmentLayer, ImagePlan, LayerPlan, PackagesLayer
from envcap.recipe import RECIPE
from envcap.store import Store
from envcap.store.actions import action_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A layer that was built, or taken.

    Attributes:
        diff_id: Digest of its tar.
        digest: Digest of its blob; None where only the tar was hashed.
        size: Bytes of the blob.
        tar_size: Bytes of the tar.
        files: Blob that lists its regular files, empty for all but packages; None for a layer that was taken.
    """

    diff_id: Digest
    digest: Digest | None
    size: int
    tar_size: int
    files: Digest | None


def environment_key(
    layer: EnvironmentLayer, lower: Sequence[tuple[LayerPlan, Built]], plan: ImagePlan, *, blobs: bool
) -> Digest:
    """Name what decides the last layer's bytes: the layers of packages below it, and the interpreter."""
    inputs = {
        "recipe": RECIPE,
        "epoch": plan.epoch,
        "packages": [str(listed) for listed in list_packages(lower)],
        "interpreter": [layer.interpreter.version, layer.interpreter.home],
        "system_site_packages": layer.system_site_packages,
    } | root_key(layer)
    return action_key("environment" if blobs else "environment-diff-id", inputs)


def list_packages(lower: Sequence[tuple[LayerPlan, Built]]) -> list[Digest]:
    """Give the blobs that list the packages' files."""
    packages = [built.files for below, built in lower if isinstance(below, PackagesLayer | CondaLayer)]
    if None in packages:
        raise TypeError(packages)  # a layer of packages was taken, and the last was not
    return [listed for listed in packages if listed is not None]


def layer_key(layer: LayerPlan, plan: ImagePlan, materials: Materials, *, blobs: bool) -> Digest:
    """Name what decides the bytes of any other layer, with its blob or without."""
    inputs = {"recipe": RECIPE, "epoch": plan.epoch, "layer": dict(materials.key(layer))}
    return action_key("layer" if blobs else "diff-id", inputs)


def remember_layer(store: Store, key: Digest, built: Built) -> None:
    """Write a layer down; the record lasts as long as its blobs do."""
    value = {
        "diff_id": str(built.diff_id),
        "digest": str(built.digest) if built.digest else "",
        "size": built.size,
        "tar_size": built.tar_size,
        "files": str(built.files),
    }
    store.actions.put(key, value, blobs=[blob for blob in (built.files, built.digest) if blob])


def recall_layer(store: Store, key: Digest) -> Built | None:
    """Look a layer up; a record whose blobs are gone counts as unknown, and the layer is built again."""
    record = store.recall(key)
    if record is None:
        return None
    return Built(
        diff_id=Digest.parse(str(record["diff_id"])),
        digest=Digest.parse(str(record["digest"])) if record["digest"] else None,
        size=int(str(record["size"])),
        tar_size=int(str(record["tar_size"])),
        files=Digest.parse(str(record["files"])),
    )


def keep_files(store: Store, files: Sequence[FileHash]) -> Digest:
    """List a layer's regular files in a blob."""
    rows = [[file.owner, file.path, file.sha256, file.size] for file in files]
    return store.blobs.add_bytes(json.dumps(rows).encode())


def read_files(store: Store, digest: Digest) -> list[FileHash]:
    """Read such a list."""
    with store.blobs.open_verified(digest) as stream:
        rows = json.load(stream)
    return [FileHash(owner=row[0], path=row[1], sha256=row[2], size=row[3]) for row in rows]
