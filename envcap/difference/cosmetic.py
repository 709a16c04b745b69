"""What changes neither results nor the image: how two locks came about."""

from collections.abc import Iterator

from envcap.difference.conda import compare_archives
from envcap.difference.row import Difference, Topic, compare_facts, compare_lists, compare_tables
from envcap.lockfile.model import Lockfile, Session


def compare_details(before: Lockfile, after: Lockfile) -> Iterator[Difference]:
    """Compare what is told for people: the name, the machine, proofs, wishes and sources."""
    one, two = before.session, after.session
    rows = {
        "name": (before.name, after.name),
        "newest upload": (before.environment.newest_upload, after.environment.newest_upload),
        "system BLAS": (one.system_blas, two.system_blas),
        "machine's driver": (_drivers(one), _drivers(two)),
        "machine's GPUs": (_devices(one), _devices(two)),
    }
    yield from compare_facts(Topic.COSMETIC, rows)
    yield from compare_tables(Topic.COSMETIC, one.variables, two.variables)
    machines = [{f"machine's {name}": fact for name, fact in side.virtual.items()} for side in (one, two)]
    yield from compare_tables(Topic.COSMETIC, *machines)
    yield from compare_archives(before.conda, after.conda)
    left, right = {row.name: row for row in before.packages}, {row.name: row for row in after.packages}
    both = {*left} & {*right}
    for name in sorted(both):
        if left[name].proof != right[name].proof:
            yield Difference(
                topic=Topic.COSMETIC, name=f"proof of {name}", before=left[name].proof, after=right[name].proof
            )
    names = [[row.name for row in lock.packages if row.requested and row.name in both] for lock in (before, after)]
    yield from compare_lists(Topic.COSMETIC, "requested", *names)
    sources = [{row.name: row.url or row.suite or row.kind for row in lock.sources} for lock in (before, after)]
    yield from compare_tables(Topic.COSMETIC, *sources)


def _drivers(session: Session) -> str:
    return ", ".join(f"{row.vendor} {row.version or row.user or 'unknown'}" for row in session.gpu.drivers)


def _devices(session: Session) -> str:
    return ", ".join(f"{row.count} x {row.name}" for row in session.gpu.devices)
