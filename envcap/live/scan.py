"""Scanning as a lock needs it: with what Python sees beyond the prefix, and the code of editables in its place.

`snapshot` and `check` must look at an environment alike; so both look through here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from envcap.environment import Environment, InterpreterFacts
from envcap.errors import ScanError
from envcap.finding import Finding
from envcap.live.system import find_foreign_packages
from envcap.lock.conda import check_without_python
from envcap.lock.debian import NO_PINS, Pins
from envcap.lock.pypi import PLATFORMS, platform_of
from envcap.project.build import Builder, build_environ
from envcap.project.lost import build_lost
from envcap.scan import Beyond, scan_environment
from envcap.scan.editable import expand_editables
from envcap.scan.git import add_checkouts, git_environ
from envcap.scan.hashing import HashTree, hash_tree
from envcap.scan.outside_elf import add_outside_elf
from envcap.scan.prefix import VirtualEnvironment
from envcap.scan.runner import SubprocessRunner
from envcap.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlace:
    """Which environment of this machine is meant.

    Attributes:
        prefix: Its folder.
        executable: The interpreter, where it is a whole Python.
        user_site: Take the user's own packages or not; None to do as the interpreter would.
        build: Whether an editable project whose code can't be found may be built, which runs code of it.
    """

    prefix: Path
    executable: Path | None = None
    user_site: bool | None = None
    build: bool = True


def live_place(found: VirtualEnvironment, *, user_site: bool | None = None, build: bool = True) -> LivePlace:
    """Mean an environment that was found; the arguments are those of `LivePlace`."""
    executable = found.executable if found.kind == "system" else None
    return LivePlace(prefix=found.prefix, executable=executable, user_site=user_site, build=build)


def scan_live(
    place: LivePlace,
    world: World,
    step: Callable[[str, int, int], None],
    *,
    hashes: HashTree = hash_tree,
    binaries: bool = True,
    suite: str = "",
    pins: Pins = NO_PINS,
) -> Environment:
    """Scan; once more if packages of the operating system turn out to be of no archive, to capture their files.

    Args:
        place: The environment.
        world: This machine.
        step: Told how far the scan is.
        hashes: Gives the hashes of its files.
        binaries: Look also into ELF files and bytecode, which only a lock needs.
        suite: The Debian suite that the user wants, or empty.
        pins: OS packages of an earlier lock.

    Raises:
        EnvcapError: It is no environment, or can't be read, or the archive of its OS packages can't.
    """

    def scan(foreign: frozenset[str]) -> Environment:
        return scan_environment(
            place.prefix,
            run=SubprocessRunner(world.machine.environ),
            progress=step,
            hashes=hashes,
            binaries=binaries,
            executable=place.executable,
            beyond=Beyond(user_site=place.user_site, environ=world.machine.environ, foreign=foreign),
        )

    environment = scan(frozenset())
    if environment.has_python:
        check_platform(environment.interpreter)
    else:
        check_without_python(environment)
    foreign = find_foreign_packages(environment, platform_of(environment), suite, pins, world)
    if foreign:
        environment = scan(foreign) if environment.system_site_packages else _without(environment, foreign)
    return _complete_editables(environment, world, step, build=place.build)


def _without(environment: Environment, foreign: frozenset[str]) -> Environment:
    """Do without packages that complete the standard library and that no archive has: it is not looked into by file."""
    message = f"No archive of Debian has {', '.join(sorted(foreign))}: the image will lack their modules"
    return replace(
        environment,
        os_packages=tuple(row for row in environment.os_packages if row.name not in foreign),
        findings=(*environment.findings, Finding(code="os-package-foreign", message=message)),
    )


def _complete_editables(
    scanned: Environment, world: World, step: Callable[[str, int, int], None], *, build: bool
) -> Environment:
    """Put the code of editable installs in the place of what points to it, and say where it stands in git."""
    environ = world.machine.environ
    found = expand_editables(scanned)
    if build:
        run = SubprocessRunner(build_environ(environ))
        found = build_lost(found, Builder(store=world.store, run=run, offline=world.machine.offline), step)
    return add_checkouts(add_outside_elf(found), run=SubprocessRunner(git_environ(environ)))


def check_platform(facts: InterpreterFacts) -> None:
    """Refuse an interpreter that no image can hold.

    Raises:
        ScanError: It is for another system, processor or C library.
    """
    machine, system = facts.markers.get("platform_machine", ""), facts.markers.get("sys_platform", "")
    if system != "linux" or machine not in PLATFORMS:
        raise ScanError(
            f"The environment is for {system or 'an unknown system'} on {machine or 'an unknown machine'} "
            f"(expected linux on {' or '.join(PLATFORMS)})",
            hint="take the snapshot on a Linux machine or in a Linux virtual machine",
        )
    if "musl" in facts.soabi:
        raise ScanError(
            "The environment's Python was built for musl (expected glibc: an image has Debian's libraries)",
            hint="make the environment anew on a Python for glibc, such as uv's `cpython-3.12-linux-x86_64-gnu`",
        )
