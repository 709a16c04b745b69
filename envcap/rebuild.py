"""`rebuild`: a lock to an image, from what the lock pins."""

from dataclasses import dataclass
from pathlib import Path

from envcap.build.image import Ready, build_image, ignore, unknown_layers
from envcap.digest import Digest
from envcap.errors import BuildError, UsageError
from envcap.lockfile.model import Expected, Lockfile
from envcap.materials import ArtifactMaterials
from envcap.oci.image import Image, Layer
from envcap.offered import OfferedLayers, recall_offered, take_offered
from envcap.pinned import PinnedArtifacts
from envcap.plan import plan_image
from envcap.recipe import COMPRESSOR
from envcap.registry.offer import Offer
from envcap.verify import Level
from envcap.world import Reporter, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild gave.

    Attributes:
        image: The image, its blobs in the store.
        expected: What the lock expects on its platform, if it says.
        level: How much of that was reached; None without an expectation.
        taken: Layers that a registry gave now.
        problems: Why it gave no others, a sentence each.
        built: False where a registry had the expected image, so that nothing was built or taken.
    """

    image: Image
    expected: Expected | None
    level: Level | None
    taken: tuple[Layer, ...] = ()
    problems: tuple[str, ...] = ()
    built: bool = True


def rebuild_lock(
    lockfile: Lockfile,
    *,
    blobs: Path,
    platform: str,
    world: World,
    talk: Reporter,
    ready: Ready = ignore,
    offer: Offer | None = None,
    from_source: bool = False,
) -> Rebuilt:
    """Fetch what a lock pins and build its image into the store.

    Args:
        lockfile: What to build.
        blobs: The folder of bytes kept beside the lock.
        platform: From `choose_platform`.
        world: This machine.
        talk: Shows progress.
        ready: Given each layer once it is in the store.
        offer: The expected image in a registry, whose layers are taken rather than built.
        from_source: Whether only layers that were built here count, and none that a registry gave earlier.

    Raises:
        EnvcapError: Something pinned is gone, damaged or hostile, or the store can't be written.
    """
    plan = plan_image(lockfile, platform)
    pinned = PinnedArtifacts(world, sources=lockfile.sources, blobs=blobs)
    materials = ArtifactMaterials(artifacts=pinned, scratch=world.store.root / "tmp")
    expected, offered, is_new = expected_on(lockfile, platform), OfferedLayers(), False
    if expected is not None and expected.manifest and not from_source:
        offered = recall_offered(
            plan,
            materials,
            world.store,
            image_id=Digest.parse(expected.image_id),
            manifest=Digest.parse(expected.manifest),
            diff_ids=[Digest.parse(row) for row in expected.diff_ids],
        )
    if offer is not None and not offered.complete:
        with talk.step("Taking layers") as step:
            offered, is_new = take_offered(plan, materials, offer, world.store, progress=step), True
    with talk.step("Fetching") as step:
        pinned.prefetch(unknown_layers(plan, materials, world.store, taken=offered.taken), step)
    with talk.step("Building") as step:
        image = build_image(
            plan,
            materials,
            world.store,
            jobs=world.machine.jobs,
            progress=step,
            ready=ready,
            taken=offered.taken,
        )
    return Rebuilt(
        image=image,
        expected=expected,
        level=reached_level(image, expected) if expected else None,
        taken=tuple(offered.taken.values()) if is_new else (),
        problems=offered.problems,
    )


def expected_on(lockfile: Lockfile, platform: str) -> Expected | None:
    """Tell what a lock expects on a platform, if it says."""
    return next((row for row in lockfile.expected if row.platform == platform), None)


def reached_level(image: Image, expected: Expected) -> Level:
    """Compare an image with what its lock expects, by digests."""
    if Digest.parse(expected.image_id) != image.image_id:
        return Level.NONE
    same = expected.manifest == str(image.descriptor.digest)
    return Level.MANIFEST if same else Level.CONFIG


def recorded(image: Image) -> Expected:
    """Write an image as what a lock expects."""
    return Expected(
        platform=image.platform,
        image_id=str(image.image_id),
        manifest=str(image.descriptor.digest),
        compressor=COMPRESSOR,
        diff_ids=tuple(str(layer.diff_id) for layer in image.layers),
    )


def choose_platform(lockfile: Lockfile, wanted: str) -> str:
    """Choose the platform to build: the wanted one, or the lock's only one.

    Raises:
        UsageError: The lock has several, and none was named.
        BuildError: It has none.
    """
    platforms = sorted({package.platform for package in lockfile.system})
    if wanted:
        return wanted
    if len(platforms) > 1:
        raise UsageError(f"The lock covers {', '.join(platforms)}: name one with `--platform`")
    if not platforms:
        raise BuildError("The lock covers no platform: it pins no OS packages")
    return platforms[0]
