"""Pinning the OS packages of an environment, asking nobody where an earlier snapshot already has the answer."""

from dataclasses import asdict
from typing import cast

from envcap.digest import Digest
from envcap.environment import Environment
from envcap.finding import Finding, decode_findings, encode_findings
from envcap.lock.debian import NO_PINS, Pins, SystemNeeds, lock_system_packages
from envcap.lock.debian_choice import choose_suite
from envcap.lock.debian_deb import make_deb_reader
from envcap.lock.debian_rows import source_of
from envcap.lockfile.codec import from_table, to_table
from envcap.lockfile.model import Lockfile, Source, SystemPackage
from envcap.pinned import PinnedArtifacts
from envcap.sources.debian_archive import DebianSuite, open_suite
from envcap.store.actions import action_key
from envcap.world import StoredCache, World

System = tuple[tuple[SystemPackage, ...], tuple[Source, ...], tuple[Finding, ...]]

_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}


def pins_of(previous: Lockfile | None) -> Pins:
    """Give the pins of an earlier lock, if there is one."""
    return Pins(packages=previous.system, sources=previous.sources) if previous else NO_PINS


def pin_system(needs: SystemNeeds, platform: str, suite: str, pins: Pins, world: World) -> System:
    """Pin what an environment needs of the operating system.

    What served the same needs with the same pins before serves again, and no mirror is asked.

    Args:
        needs: What it needs.
        platform: `linux/amd64`, `linux/arm64`.
        suite: The suite that the user wants, or empty.
        pins: Those of an earlier lock.
        world: This machine.

    Raises:
        SystemPackageError: No suite serves.
        SourceError: A mirror fails.
    """
    known = world.store.actions.get(_key(needs, platform, suite, pins)) if pins.packages else None
    if known is not None:
        return _decode(known)
    system = _resolve(needs, platform, suite, pins, world)
    packages, sources, _ = system
    # Pinned to its own result, the resolution gives that result again: this is what the next snapshot will ask.
    again = Pins(packages=packages, sources=sources)
    world.store.actions.put(_key(needs, platform, suite, again), _encode(system))
    return system


def find_foreign_packages(
    environment: Environment, platform: str, suite: str, pins: Pins, world: World
) -> frozenset[str]:
    """Name the installed packages that no archive of Debian has (third-party archives, a .deb of one's own).

    Args:
        environment: A scan.
        platform: `linux/amd64`, `linux/arm64`.
        suite: The suite that the user wants, or empty.
        pins: Those of an earlier lock: what it pins is Debian's.
        world: This machine.

    Raises:
        SystemPackageError: No suite serves.
        SourceError: A mirror fails.
    """
    pinned = {package.name for package in pins.packages}
    unknown = [package.name for package in environment.os_packages if package.name not in pinned]
    if not unknown:
        return frozenset()
    version = environment.interpreter.version
    needs = SystemNeeds(elf=environment.elf, origin="debian", version=version)
    known = _choose_suite(needs, platform, suite, pins, world)
    return frozenset(name for name in unknown if next(iter(known.versions(name)), None) is None)


def _resolve(needs: SystemNeeds, platform: str, wanted: str, pins: Pins, world: World) -> System:
    suite = _choose_suite(needs, platform, wanted, pins, world)
    # The rows being resolved name these sources already; older pins name their own.
    sources = (*pins.sources, *(source_of(release) for release in suite.releases))
    pinned = PinnedArtifacts(world, sources=sources, blobs=None)
    read_deb = make_deb_reader(pinned.open_deb(), StoredCache(world.store))
    return lock_system_packages(needs, suite=suite, platform=platform, read_deb=read_deb, pins=pins)


def _choose_suite(needs: SystemNeeds, platform: str, wanted: str, pins: Pins, world: World) -> DebianSuite:
    access = world.debian_access()
    return choose_suite(
        needs.elf,
        origin=needs.origin,
        version=needs.version,
        wanted=wanted or _pinned_suite(pins),
        open_suite=lambda name: open_suite(access, name, _ARCHITECTURES[platform]),
    )


def _pinned_suite(pins: Pins) -> str | None:
    """Stay in the suite of an earlier lock: its pins would be worth nothing in another."""
    return min((source.suite for source in pins.sources if source.kind == "debian"), key=len, default=None)


def _key(needs: SystemNeeds, platform: str, suite: str, pins: Pins) -> Digest:
    debian = [to_table(source) for source in pins.sources if source.kind == "debian"]
    rows = [to_table(package) for package in pins.packages]
    inputs = {"needs": asdict(needs), "platform": platform, "suite": suite, "packages": rows, "sources": debian}
    return action_key("system", {"rules": 2, **inputs})


def _encode(system: System) -> dict[str, object]:
    packages, sources, findings = system
    return {
        "packages": [to_table(row) for row in packages],
        "sources": [to_table(row) for row in sources],
        "findings": encode_findings(findings),
    }


def _decode(value: dict[str, object]) -> System:
    packages = tuple(from_table(SystemPackage, row, where="system") for row in cast("list[object]", value["packages"]))
    sources = tuple(from_table(Source, row, where="sources") for row in cast("list[object]", value["sources"]))
    # That a pin was renewed is news once.
    findings = tuple(row for row in decode_findings(value["findings"]) if row.code != "pin-dropped")
    return packages, sources, findings
