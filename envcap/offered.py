"""Which layers of a plan an image in a registry can give, so that they need not be built.

The cheapest way wins: what the store knows, then what the registry has, then building. The store remembers what was
taken by the digest of the manifest, so that the same lock needs neither registry nor building the next time.
"""

from dataclasses import dataclass, field, replace

from envcap.build.image import Progress, config_of, known_layers
from envcap.build.materials import Materials
from envcap.digest import Digest
from envcap.oci.image import Layer
from envcap.plan import CondaLayer, ImagePlan, PackagesLayer
from envcap.registry.offer import Offer, take_layers
from envcap.store import Store
from envcap.store.actions import action_key


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedLayers:
    """What an offer gave.

    Attributes:
        taken: Layers that are in the store now, by their place in the plan.
        problems: Why others are not, a sentence each.
        complete: Whether nothing is left to build.
    """

    taken: dict[int, Layer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    complete: bool = False


def fits(plan: ImagePlan, offer: Offer) -> bool:
    """Tell whether the plan gives the offer's image, were its layers the offer's: all but the layers is compared."""
    diff_ids = [layer.diff_id for layer in offer.layers]
    return len(diff_ids) == len(plan.layers) and config_of(plan, diff_ids) == offer.config


def take_offered(
    plan: ImagePlan, materials: Materials, offer: Offer, store: Store, *, progress: Progress
) -> OfferedLayers:
    """Have the layers that the store doesn't know from the registry, and remember them.

    Raises:
        StoreError: The disk is full or fails.
    """
    if not fits(plan, offer):
        return OfferedLayers(problems=(f"{offer.reference.name} has an image that doesn't follow from the lock",))
    rows = _unknown(plan, materials, offer.layers, store)
    if rows is None:
        return OfferedLayers(problems=(f"{offer.reference.name} has other layers than were built here",))
    found = take_layers(offer, [layer.diff_id for layer in rows.values()], store, progress=progress)
    taken = {place: layer for place, layer in rows.items() if layer.diff_id in found.layers}
    if taken:
        value = {str(place): [str(row.diff_id), str(row.digest), row.size] for place, row in taken.items()}
        blobs = [layer.digest for layer in taken.values()]
        store.actions.put(_key(offer.manifest.descriptor.digest), {"layers": value}, blobs=blobs)
    return OfferedLayers(taken=_complete(plan, taken), problems=found.problems, complete=len(taken) == len(rows))


def recall_offered(
    plan: ImagePlan, materials: Materials, store: Store, *, image_id: Digest, manifest: Digest, diff_ids: list[Digest]
) -> OfferedLayers:
    """Recall what was taken of an image earlier; its blobs are still in the store.

    Args:
        plan: What is built.
        materials: Where its entries come from.
        store: Remembers.
        image_id: What the lock expects, as are the others.
        manifest: By which the layers are remembered.
        diff_ids: Lowest first.

    Raises:
        StoreError: The store can't be read.
    """
    record = store.recall(_key(manifest))
    if record is None or len(diff_ids) != len(plan.layers) or Digest.of(config_of(plan, diff_ids)) != image_id:
        return OfferedLayers()
    table = record["layers"] if isinstance(record["layers"], dict) else {}
    layers = {
        int(place): Layer(diff_id=Digest.parse(row[0]), digest=Digest.parse(row[1]), size=row[2])
        for place, row in table.items()
    }
    expected = tuple(
        layers.get(place, Layer(diff_id=diff_id, digest=diff_id, size=0)) for place, diff_id in enumerate(diff_ids)
    )
    if any(layer.diff_id != diff_id for layer, diff_id in zip(expected, diff_ids, strict=True)):
        return OfferedLayers()
    rows = _unknown(plan, materials, expected, store)
    if rows is None:
        return OfferedLayers()
    taken = {place: row for place, row in rows.items() if place in layers}
    return OfferedLayers(taken=_complete(plan, taken), complete=len(taken) == len(rows))


def _key(manifest: Digest) -> Digest:
    return action_key("taken-layers", {"manifest": str(manifest)})


def _unknown(plan: ImagePlan, materials: Materials, layers: tuple[Layer, ...], store: Store) -> dict[int, Layer] | None:
    """Give the layers that the store can't, by place; None if it knows others than these.

    What was built here would then be another layer: the whole image is built, and what differs is seen.
    """
    known = known_layers(plan, materials, store)
    if any(layers[place].diff_id != diff_id for place, diff_id in known.items()):
        return None
    return {
        place: replace(layer, what=plan.layers[place].what) for place, layer in enumerate(layers) if place not in known
    }


def _complete(plan: ImagePlan, taken: dict[int, Layer]) -> dict[int, Layer]:
    """Take no layer of packages without the last one, which holds the RECORDs of all packages: it needs their files."""
    if len(plan.layers) - 1 in taken:
        return taken
    packages = PackagesLayer | CondaLayer
    return {place: layer for place, layer in taken.items() if not isinstance(plan.layers[place], packages)}
