"""What `envcap rebuild` says of the image that it made: as JSON, and for people."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envcap.cli.rebuild_options import RebuildOptions
from envcap.cli.talk import Talk, print_data, visible
from envcap.rebuild import Rebuilt
from envcap.render import columns, human_size
from envcap.verify import Level

if TYPE_CHECKING:
    from envcap.registry.push import PushedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where an image was put.

    Attributes:
        places: Files, folders and engines.
        pushed: What was pushed, or None.
    """

    places: list[str] = field(default_factory=list)
    pushed: "PushedImage | None" = None


def rebuilt_table(rebuilt: Rebuilt, written: Written, options: RebuildOptions) -> dict[str, object]:
    """Say it as JSON (DESIGN §7)."""
    image = rebuilt.image
    more: dict[str, object] = {"built": rebuilt.built} if options.push or options.source else {}
    if options.source or rebuilt.taken:
        taken = [str(layer.digest) for layer in rebuilt.taken]
        more["from"] = {"reference": options.source or options.push, "taken": taken, "problems": list(rebuilt.problems)}
    if written.pushed:
        from envcap.cli.push import pushed_table  # noqa: PLC0415  # most rebuilds need no registry

        more["push"] = pushed_table(written.pushed)
    return {
        "image_id": str(image.image_id),
        "manifest": str(image.descriptor.digest),
        "platform": image.platform,
        "layers": [
            {"diff_id": str(layer.diff_id), "digest": str(layer.digest), "size": layer.size, "what": layer.what}
            for layer in image.layers
        ],
        "expected": rebuilt.expected.image_id if rebuilt.expected else None,
        "level": rebuilt.level.value if rebuilt.level else None,
        "output": written.places,
    } | more


def report_rebuilt(rebuilt: Rebuilt, written: Written, options: RebuildOptions, seconds: float, talk: Talk) -> None:
    """Say it to people: layers, image ID, level, what went to a registry, where it is, and what to do next."""
    image, places = rebuilt.image, written.places
    rows = [("layer", "size", "digest")]
    rows += [(layer.what, human_size(layer.size), layer.digest.hex[:12]) for layer in image.layers]
    print_data(columns(rows, right=frozenset({1})))
    print_data(f"\nimage ID  {image.image_id}\nmanifest  {image.descriptor.digest}")
    print_data(f"level     {_level(rebuilt)}")
    if rebuilt.taken or written.pushed:
        from envcap.cli.push import pushed_text, taken_text  # noqa: PLC0415  # most rebuilds need no registry

        if rebuilt.taken:
            print_data(taken_text(rebuilt, options.source or options.push))
        if written.pushed:
            print_data(pushed_text(written.pushed))
            places = [*places, str(written.pushed.reference)]
    total = human_size(sum(layer.size for layer in image.layers))
    if not rebuilt.built:
        talk.say(f"Nothing had to be built: a registry has the image that the lock expects ({seconds:.1f} s)")
        return
    where = ", ".join(places) or "the store"
    talk.say(f"Built {total} in {seconds:.1f} s: {visible(where)}{_next(places)}")


def _level(rebuilt: Rebuilt) -> str:
    match rebuilt.level:
        case None:
            return "unknown: the lock expects nothing on this platform (write it down with `--record`)"
        case Level.MANIFEST:
            return "manifest: the same blobs as expected"
        case Level.CONFIG:
            return "config: the image ID that the lock expects"
        case _:
            return "none: not the image that the lock expects"


def _next(written: list[str]) -> str:
    for place in written:
        if place.startswith("docker:"):
            return f". Next: docker run --rm -it {place.removeprefix('docker:')}"
    return "" if written else ". Next: add `--output FILE.tar` or `--load`"
