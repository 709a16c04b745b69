"""The environments of two locks, and their images' settings."""

from collections.abc import Iterator

from envcap.difference.row import Difference, Topic, compare_facts, compare_tables
from envcap.lockfile.model import Lockfile
from envcap.lockfile.virtual import required_virtual


def compare_environments(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare what kind of environment it is, what it asks of a machine, its linear algebra and its markers."""
    one, two = before.environment, after.environment
    rows = {
        "kind": (one.kind, two.kind),
        "CPU": (one.cpu, two.cpu),
        "system site packages": (_truth(one.system_site_packages), _truth(two.system_site_packages)),
        "recipe": (str(before.recipe), str(after.recipe)),
    }
    yield from compare_facts(Topic.ENVIRONMENT, rows)
    yield from compare_tables(Topic.ENVIRONMENT, _wishes(before), _wishes(after))
    blas = [{f"{row.library} of {row.provider}": row.version or row.file for row in side.blas} for side in (one, two)]
    yield from compare_tables(Topic.ENVIRONMENT, *blas)
    markers = [{name: value for name, value in side.markers.items() if "version" not in name} for side in (one, two)]
    yield from compare_tables(Topic.ENVIRONMENT, *markers)


def _wishes(lock: Lockfile) -> dict[str, str]:
    """Say what conda packages ask of a machine, by virtual package; a lock that is older than these rows too."""
    found: dict[str, list[str]] = {}
    for row in lock.virtual or required_virtual(lock.conda):
        text = f"{row.wanted or 'any'}{' (where there is one)' if row.optional else ''}"
        found.setdefault(f"asks for {row.name}", []).append(text)
    return {name: ", ".join(texts) for name, texts in found.items()}


def _truth(value: bool) -> str:  # noqa: FBT001  # it writes this one value
    return "yes" if value else "no"


def compare_images(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare the settings of the image's config."""
    one, two = before.image, after.image
    rows = {
        "epoch": (str(one.epoch), str(two.epoch)),
        "user": (one.user, two.user),
        "working directory": (one.workdir, two.workdir),
        "entrypoint": (" ".join(one.entrypoint), " ".join(two.entrypoint)),
        "command": (" ".join(one.cmd), " ".join(two.cmd)),
    }
    yield from compare_facts(Topic.IMAGE, rows)
    yield from compare_tables(Topic.IMAGE, one.env, two.env)
    yield from compare_tables(Topic.IMAGE, one.labels, two.labels)
