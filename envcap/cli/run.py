"""`envcap run`: the lock's image in docker or podman, a command in it, and the GPUs that the lock wants.

An image that the engine has is run at once; else it is rebuilt and loaded first. This process then becomes the
engine's program: input, terminal, signals and exit status are the command's own.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from envcap.blobs import LockFolder
from envcap.cli.facts import warn_of_weak_cpu
from envcap.cli.locks import open_lock
from envcap.cli.machine import this_machine
from envcap.cli.rebuild import check_level, repairing
from envcap.cli.talk import Talk, visible
from envcap.driver.container import look_for_container_gpus
from envcap.errors import DifferenceError, UsageError
from envcap.gpu.container import ContainerHost, GpuAccess, choose_gpu_access, withhold_gpus
from envcap.gpu.model import GpuMachine
from envcap.gpu.runtimes import wanted_vendors
from envcap.gpu.words import say_preflight
from envcap.lockfile.model import Lockfile
from envcap.oci.container_run import ContainerRun, absolute_volume, as_caller, mount_of, run_arguments
from envcap.oci.engine import ENGINES, Engine, Programs, RealPrograms, find_engine, find_image, load_into
from envcap.plan import root_of
from envcap.preflight.gpu import preflight, refuses
from envcap.rebuild import choose_platform, rebuild_lock
from envcap.render import human_size
from envcap.world import Machine, open_world

_ROOT = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command's options, as given."""

    lock: Path
    command: tuple[str, ...]
    volume: tuple[str, ...]
    workdir: str
    env: tuple[str, ...]
    mount_cwd: bool
    gpu: bool
    engine: str
    platform: str
    index: tuple[str, ...]
    offline: bool
    store: Path | None


def run_command(options: RunOptions) -> NoReturn:
    """Run a command in the image of a lock; does not come back.

    Raises:
        EnvcapError: The image can't be built or loaded, no engine answers, or the machine lacks the lock's GPU.
    """
    if options.engine and options.engine not in ENGINES:
        raise UsageError(f"Unknown engine {options.engine!r} (expected `docker` or `podman`)")
    talk, environ = Talk(), dict(os.environ)
    folder = open_lock(options.lock, store=options.store, offline=options.offline)
    platform = choose_platform(folder.lockfile, options.platform)
    programs = RealPrograms(environ=environ, search=shutil.which)
    run = _container(options, folder.lockfile)
    engine = find_engine(options.engine, programs)
    # Before anything is fetched: a machine without the GPU needs no image.
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    access = _access(folder.lockfile, engine, machine, talk, allowed=options.gpu)
    warn_of_weak_cpu(folder.lockfile, platform, talk)
    image = _known_image(folder.lockfile, platform, engine, programs) or _loaded_image(
        folder, platform, machine, engine, programs, talk
    )
    if access.words:
        talk.say(f"GPU: {access.words}")
    _become(engine, run(image, engine, access), environ)


def gpu_access(lockfile: Lockfile, here: GpuMachine, host: ContainerHost, talk: Talk) -> GpuAccess:
    """Choose how the container gets the lock's GPUs, after the preflight of `envcap check`.

    Args:
        lockfile: A lock that wants a GPU.
        here: What the machine has.
        host: What its engine can give to a container.
        talk: Says what is wrong, or only different.

    Raises:
        DifferenceError: The machine has no GPU for the lock, can't give it to a container, or its code won't run there.
    """
    wanted = wanted_vendors(lockfile.gpu)
    found = preflight(lockfile, here)
    without = found is not None and found.cpu_only and not host.offers(wanted)
    if found and without and not refuses(found, lockfile):
        talk.warn("This machine has no GPU for the lock: programs run on the CPU only, as where it was locked")
        return withhold_gpus(wanted)
    access = choose_gpu_access(wanted, host)
    if found and not found.cpu_only and refuses(found, lockfile):
        for line in say_preflight(found):
            talk.say(f"  {visible(line)}")
        raise DifferenceError(
            "The lock's GPU code will not run on this machine",
            hint="see where it runs with `envcap gpu where LOCK`, or run it without a GPU with `--no-gpu`",
        )
    return access


def _access(lockfile: Lockfile, engine: Engine, machine: Machine, talk: Talk, *, allowed: bool) -> GpuAccess:
    wanted = wanted_vendors(lockfile.gpu)
    if not wanted:
        return GpuAccess()
    if not allowed:
        return withhold_gpus(wanted)
    return gpu_access(lockfile, machine.gpu()[0], look_for_container_gpus(_ROOT, engine.name, engine.facts), talk)


def _container(options: RunOptions, lockfile: Lockfile) -> Callable[[str, Engine, GpuAccess], ContainerRun]:
    """Check the options, and give what writes the container once image and engine are known."""
    cwd, user = Path.cwd(), (os.getuid(), os.getgid())
    mounted = (mount_of(cwd, root=root_of(lockfile)),) if options.mount_cwd else ()
    terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def container(image: str, engine: Engine, access: GpuAccess) -> ContainerRun:
        run = ContainerRun(
            image=image,
            command=options.command,
            terminal=terminal,
            volumes=(*mounted, *(absolute_volume(volume, cwd) for volume in options.volume)),
            variables=options.env,
            workdir=options.workdir or (str(cwd) if mounted else ""),
            memory=engine.facts.memory,
            options=access.options,
        )
        if not mounted or lockfile.image.user:
            return run
        return as_caller(run, user, engine=engine.name, rootless=engine.facts.rootless)

    return container


def _known_image(lockfile: Lockfile, platform: str, engine: Engine, programs: Programs) -> str:
    """Find the image in the engine, if the lock says which one it is."""
    expected = next((row for row in lockfile.expected if row.platform == platform), None)
    if expected is None:
        return ""
    return find_image(engine, [name for name in (expected.image_id, expected.manifest) if name], programs)


def _loaded_image(
    folder: LockFolder, platform: str, machine: Machine, engine: Engine, programs: Programs, talk: Talk
) -> str:
    """Rebuild the image, and load it if the engine has not got it."""
    with open_world(machine, held=folder.held) as world:

        def attempt() -> str:
            rebuilt = rebuild_lock(folder.lockfile, blobs=folder.blobs, platform=platform, world=world, talk=talk)
            check_level(rebuilt)
            image = rebuilt.image
            names = (str(image.image_id), str(image.descriptor.digest))
            if found := find_image(engine, names, programs):
                return found
            tag = f"{folder.lockfile.name.lower()}:envcap"
            with talk.step(f"Loading into {engine.name}") as step:
                name = load_into(engine, image, tag=tag, programs=programs, progress=step)
            total = human_size(sum(layer.size for layer in image.layers))
            talk.say(f"Loaded {total} into {engine.name} as {visible(tag)}")
            return name

        return repairing(attempt, world, talk)


def _become(engine: Engine, run: ContainerRun, environ: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(engine.path, [engine.path, *run_arguments(run)], environ)  # noqa: S606  # that is the purpose
