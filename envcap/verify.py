"""Does an image hold what a lock says? The level that holds and, where one does not, each file that differs.

Levels, strongest first: `manifest` (the same blobs), `config` (the same tars and config: the same image ID), `content`
(the same files, wrapped otherwise), `none`.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.contents import FoundImage
from envcap.oci.image import Image
from envcap.oci.layers import FileFacts, FoundLayer, merge_layers, read_files
from envcap.recipe import CONDA_ROOT, ENVIRONMENT_ROOT
from envcap.workers import worker_pool


class Level(enum.Enum):
    """How much of two images is equal."""

    MANIFEST = "manifest"
    CONFIG = "config"
    CONTENT = "content"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path, or the config, that is not what the lock gives.

    Attributes:
        path: Relative to the image's root; empty for the config.
        what: `missing`, `unexpected`, or what differs: `content`, `mode`, `owner`, `kind`, `target`.
        cause: The likely reason, for people.
    """

    path: str
    what: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome.

    Attributes:
        level: The strongest level that holds.
        image_id: Of the image that was checked.
        expected: Image ID that the lock gives.
        reasons: Why no stronger level holds, one sentence each.
        differences: The files that differ, sorted by path; empty unless the level is `none`.
    """

    level: Level
    image_id: Digest
    expected: Digest
    reasons: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


def check_integrity(found: FoundImage, *, jobs: int = 1) -> list[dict[str, FileFacts]]:
    """Read every layer of an image and check it against the image's own digests.

    Args:
        found: The image.
        jobs: Layers read at a time: each keeps a core busy, with inflating and hashing.

    Returns:
        The files of each layer.

    Raises:
        SinkError: A blob is damaged, or a layer is not the one that the config names; of several, the lowest is told.
    """
    if len(found.layers) != len(found.diff_ids):
        raise SinkError(f"The image has {len(found.layers)} layers, its config names {len(found.diff_ids)}")
    names = [f"layer {number + 1}" for number in range(len(found.layers))]
    with worker_pool(jobs) as pool:
        return list(pool.map(_check_layer, found.layers, found.diff_ids, names))


def _check_layer(layer: FoundLayer, expected: Digest, name: str) -> dict[str, FileFacts]:
    diff_id, files = read_files(layer, name=name)
    if diff_id != expected:
        raise SinkError(f"{name} is not what the config names (expected {expected}, found {diff_id})")
    return files


def expected_level(found: FoundImage, *, image_id: Digest, manifest: Digest | None) -> Verdict | None:
    """Judge by digests alone; None if the image ID differs and the files must be compared.

    Args:
        found: The image, its integrity checked.
        image_id: What the lock expects.
        manifest: What the lock expects, if it knows.
    """
    if found.image_id != image_id:
        return None
    reasons: tuple[str, ...] = ()
    level = Level.CONFIG
    if found.manifest is None:
        reasons = ("this form of image has no manifest to compare (docker keeps uncompressed layers)",)
    elif manifest is None:
        reasons = ("the lock names no manifest digest (record one with `envcap rebuild --record`)",)
    elif found.manifest == manifest:
        level = Level.MANIFEST
    else:
        reasons = ("the layers are compressed otherwise: same tars, other compressor or level",)
    return Verdict(level=level, image_id=found.image_id, expected=image_id, reasons=reasons)


def compare_images(
    found: FoundImage,
    layers: Sequence[Mapping[str, FileFacts]],
    reference: Image,
    reference_layers: Sequence[Mapping[str, FileFacts]],
    owners: Mapping[str, str],
) -> Verdict:
    """Compare an image file by file with the one that the lock gives.

    Args:
        found: The image.
        layers: Its files, layer by layer.
        reference: The image rebuilt from the lock.
        reference_layers: Its files, layer by layer.
        owners: Which package brings a path, for the causes.
    """
    expected = merge_layers([dict(layer) for layer in reference_layers])
    actual = merge_layers([dict(layer) for layer in layers])
    differences = tuple(_differences(expected, actual, owners))
    if differences:
        return Verdict(level=Level.NONE, image_id=found.image_id, expected=reference.image_id, differences=differences)
    reasons = ["every file is equal; the image ID differs because of the config or of how layers are cut and dated"]
    if found.diff_ids == tuple(layer.diff_id for layer in reference.layers):
        reasons = ["every layer is equal; only the config differs (variables, command, labels or creation time)"]
    return Verdict(level=Level.CONTENT, image_id=found.image_id, expected=reference.image_id, reasons=tuple(reasons))


def label_differences(verdict: Verdict, labels: Mapping[str, str]) -> Verdict:
    """Say of each path that differs what the lock itself did to it, if anything: the image may lack that patch.

    Args:
        verdict: From `compare_images`.
        labels: By path, such as `edited by a patch of beta`.
    """
    rows = [
        replace(row, cause=f"{labels[row.path]}; {row.cause}") if row.path in labels else row
        for row in verdict.differences
    ]
    return replace(verdict, differences=tuple(rows))


def _differences(
    expected: Mapping[str, FileFacts], actual: Mapping[str, FileFacts], owners: Mapping[str, str]
) -> list[Difference]:
    found: list[Difference] = []
    for path in sorted(expected.keys() | actual.keys()):
        owner = owners.get(path, "")
        if path not in actual:
            found.append(Difference(path=path, what="missing", cause=_because(owner, "removed after the build")))
        elif path not in expected:
            found.append(Difference(path=path, what="unexpected", cause=_unexpected(path)))
        else:
            what, cause = _compare(expected[path], actual[path])
            if what:
                found.append(Difference(path=path, what=what, cause=_because(owner, cause)))
    return found


def _compare(expected: FileFacts, actual: FileFacts) -> tuple[str, str]:
    if expected.kind != actual.kind:
        return "kind", f"a {actual.kind} in place of a {expected.kind}"
    if (expected.sha256, expected.size) != (actual.sha256, actual.size):
        return "content", f"edited, or of another version ({actual.size} bytes instead of {expected.size})"
    if expected.target != actual.target:
        return "target", f"links to {actual.target!r} instead of {expected.target!r}"
    if (expected.uid, expected.gid) != (actual.uid, actual.gid):
        return "owner", f"owned by {actual.uid}:{actual.gid} instead of {expected.uid}:{expected.gid}"
    if expected.mode != actual.mode and expected.kind != "symlink":
        return "mode", f"mode {actual.mode:04o} instead of {expected.mode:04o}"
    return "", ""


def _because(owner: str, cause: str) -> str:
    return f"file of {owner}: {cause}" if owner else cause


def _unexpected(path: str) -> str:
    if "/__pycache__/" in path:
        return "bytecode that Python wrote when the image ran"
    if path.startswith((f"{ENVIRONMENT_ROOT}/", f"{CONDA_ROOT}/")):
        return "installed or written after the build"
    return "not in the lock: another base, or written after the build"
