"""GPU models by the names that people and drivers give them. Pure.

`NVIDIA H100 80GB HBM3`, `H100` and `h100-sxm5` are one model here: makers, brands, memory and form factors are left
out before names are compared. What is left must be the whole name: an `RTX 4060` is no `RTX 4060 Ti`.
"""

import difflib
import re
from functools import lru_cache

from envcap.errors import UsageError
from envcap.gpu.table import GpuModel, GpuTable

_LONGEST = 120
_MEMORY = re.compile(r"\b[0-9]{1,4} ?(?:[gi]b|gib|g)\b|\bmig\b.*$")
_WORD = re.compile(r"[a-z]+|[0-9]+")
_NOISE_WORDS = (
    "nvidia amd geforce tesla quadro instinct radeon tm r c graphics gpu generation accelerator laptop "
    "pcie nvl server workstation max q edition ac cpu apu"
)
_NOISE = frozenset(_NOISE_WORDS.split())
_FORM = re.compile(r"\b(?:hbm|sxm|pg|ddr|gddr)[0-9]*[ex]?\b")
_NEAREST = 3


def find_model(name: str, table: GpuTable) -> GpuModel:
    """Find the model that a person names.

    Raises:
        UsageError: No model, or more than one, has that name; the hint lists the nearest.
    """
    wanted = _words(name)
    found = [model for model in table.models if _words(model.name) == wanted] if wanted else []
    if len(found) == 1 and not (others := _also_meant(name, wanted, found[0], table)):
        return found[0]
    if found:
        raise UsageError(
            f"{_shown(name)} may be any of several GPUs",
            hint="say which: " + ", ".join(f"`{model.name}`" for model in (*found, *others)[:6]),
        )
    longer = [model for model in table.models if wanted and set(wanted) < set(_words(model.name))]
    if len(longer) == 1:
        return longer[0]
    near = [model.name for model in longer] or _nearest(name, table)
    raise UsageError(
        f"{_shown(name)} is no GPU that envcap knows",
        hint="the nearest names: " + ", ".join(f"`{one}`" for one in near[:6]) if near else "say it as its maker does",
    )


def model_of_device(name: str, table: GpuTable) -> GpuModel | None:
    """Find the model of a device by the name that its driver tells; None where it isn't clear."""
    try:
        return find_model(name, table)
    except UsageError:
        return None


def kind_of_device(name: str, context: str, table: GpuTable) -> str:
    """Tell the kind of a device: that of its model, else by its brand; empty where neither tells."""
    if context == "jetson":
        return "jetson"
    if model := model_of_device(name, table):
        return model.kind
    words = name.lower().replace("-", " ").split()
    brands = {"geforce": "consumer", "titan": "consumer", "tesla": "datacenter", "quadro": "workstation"}
    return next((kind for brand, kind in brands.items() if brand in words), "")


def representative(vendor: str, arch: str, table: GpuTable) -> str:
    """Name one model of an architecture, the best known; the architecture itself if the table has none."""
    models = [model for model in table.models if (model.vendor, model.arch) == (vendor, arch)]
    central = [model.name for model in models if model.kind == "datacenter"]
    # The last of those that people buy is the largest.
    bought = [model.name for model in models if model.kind == "consumer"][-1:]
    return next(iter((*central, *bought, *(model.name for model in models))), arch)


def _also_meant(name: str, wanted: tuple[str, ...], found: GpuModel, table: GpuTable) -> list[GpuModel]:
    """List what a name without its brand may mean as well: `RTX 6000` is a Quadro, an Ada or a Blackwell."""
    if "quadro" not in found.name.lower() or "quadro" in name.lower():
        return []
    return [model for model in table.models if model != found and set(wanted) < set(_words(model.name))]


@lru_cache(maxsize=1024)
def _words(name: str) -> tuple[str, ...]:
    text = _MEMORY.sub(" ", re.sub(r"[^a-z0-9.]+", " ", name[:_LONGEST].lower()))
    return tuple(word for word in _WORD.findall(_FORM.sub(" ", text)) if word not in _NOISE)


def _nearest(name: str, table: GpuTable) -> list[str]:
    names = {model.name.lower(): model.name for model in table.models}
    for model in table.models:
        names.setdefault(" ".join(_words(model.name)), model.name)
    asked = [name[:_LONGEST].lower(), " ".join(_words(name))]
    near = [names[one] for text in asked for one in difflib.get_close_matches(text, names, n=_NEAREST, cutoff=0.4)]
    return list(dict.fromkeys(near))


def _shown(name: str) -> str:
    return repr(name[:60])
