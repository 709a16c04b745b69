"""Which layers of a plan an image in a registry can give, so that they need not be built.

The cheapest way wins: what the store knows, then what the registry has, then building.
"""

from dataclasses import dataclass, field, replace

from envcap.build.image import Progress, config_of, known_layers
from envcap.build.materials import Materials
from envcap.oci.image import Layer
from envcap.plan import CondaLayer, ImagePlan, PackagesLayer
from envcap.registry.offer import Offer, take_layers
from envcap.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedLayers:
    """What an offer gave.

    Attributes:
        taken: Layers that are in the store now, by their place in the plan.
        problems: Why others are not, a sentence each.
    """

    taken: dict[int, Layer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def fits(plan: ImagePlan, offer: Offer) -> bool:
    """Tell whether the plan gives the offer's image, were its layers the offer's: all but the layers is compared."""
    diff_ids = [layer.diff_id for layer in offer.layers]
    return len(diff_ids) == len(plan.layers) and config_of(plan, diff_ids) == offer.config


def take_offered(
    plan: ImagePlan, materials: Materials, offer: Offer, store: Store, *, progress: Progress
) -> OfferedLayers:
    """Have the layers that the store doesn't know from the registry.

    Raises:
        StoreError: The disk is full or fails.
    """
    known = known_layers(plan, materials, store)
    if not fits(plan, offer):
        return OfferedLayers(problems=(f"{offer.reference.name} has an image that doesn't follow from the lock",))
    if any(offer.layers[place].diff_id != diff_id for place, diff_id in known.items()):
        # What was built here is another layer: then the whole image is built, and what differs is seen.
        return OfferedLayers(problems=(f"{offer.reference.name} has other layers than were built here",))
    rows = {
        place: replace(layer, what=plan.layers[place].what)
        for place, layer in enumerate(offer.layers)
        if place not in known
    }
    found = take_layers(offer, [layer.diff_id for layer in rows.values()], store, progress=progress)
    taken = {place: layer for place, layer in rows.items() if layer.diff_id in found.layers}
    if len(plan.layers) - 1 not in taken:
        # The last layer is built, and holds the RECORDs of all packages: their files must be known.
        packages = PackagesLayer | CondaLayer
        taken = {place: layer for place, layer in taken.items() if not isinstance(plan.layers[place], packages)}
    return OfferedLayers(taken=taken, problems=found.problems)
