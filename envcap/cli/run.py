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

from envcap.blobs import LockFolder, open_lock
from envcap.cli.facts import warn_of_weak_cpu
from envcap.cli.machine import this_machine
from envcap.cli.rebuild import check_level, repairing
from envcap.cli.talk import Talk
from envcap.driver.container import look_for_container_gpus
from envcap.errors import UsageError
from envcap.gpu.container import GpuAccess, choose_gpu_access, withhold_gpus
from envcap.gpu.runtimes import wanted_vendors
from envcap.lockfile.model import Lockfile
from envcap.oci.container_run import ContainerRun, absolute_volume, mount_of, run_arguments
from envcap.oci.engine import ENGINES, Engine, Programs, RealPrograms, find_engine, find_image, load_into
from envcap.plan import root_of
from envcap.rebuild import choose_platform, rebuild_lock
from envcap.world import open_world

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
    folder = open_lock(options.lock)
    platform = choose_platform(folder.lockfile, options.platform)
    programs = RealPrograms(environ=environ, search=shutil.which)
    run = _container(options, folder.lockfile)
    engine = find_engine(options.engine, programs)
    # Before anything is fetched: a machine without the GPU needs no image.
    access = gpu_access(folder.lockfile, engine, _ROOT, allowed=options.gpu)
    warn_of_weak_cpu(folder.lockfile, platform, talk)
    image = _known_image(folder.lockfile, platform, engine, programs) or _loaded_image(
        folder, platform, options, engine, programs, talk
    )
    if access.words:
        talk.say(f"GPU: {access.words}")
    _become(engine, run(image, engine, access), environ)


def gpu_access(lockfile: Lockfile, engine: Engine, root: Path, *, allowed: bool) -> GpuAccess:
    """Choose how the container gets the lock's GPUs, from what the machine has.

    Raises:
        DifferenceError: It has none that the lock wants.
    """
    wanted = wanted_vendors(lockfile.gpu)
    if not wanted:
        return GpuAccess()
    if not allowed:
        return withhold_gpus(wanted)
    return choose_gpu_access(wanted, look_for_container_gpus(root, engine.name, engine.facts))


def _container(options: RunOptions, lockfile: Lockfile) -> Callable[[str, Engine, GpuAccess], ContainerRun]:
    """Check the options, and give what writes the container once image and engine are known."""
    cwd, uid, gid = Path.cwd(), os.getuid(), os.getgid()
    mounted = (mount_of(cwd, root=root_of(lockfile)),) if options.mount_cwd else ()
    terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def container(image: str, engine: Engine, access: GpuAccess) -> ContainerRun:
        # Files in the caller's folder shall be the caller's. Root of a rootless engine is the caller already; anybody
        # else has no home in the image, and programs want one.
        foreign = bool(mounted) and uid != 0 and not engine.facts.rootless and not lockfile.image.user
        return ContainerRun(
            image=image,
            command=options.command,
            terminal=terminal,
            volumes=(*mounted, *(absolute_volume(volume, cwd) for volume in options.volume)),
            variables=(*(("HOME=/tmp",) if foreign else ()), *options.env),
            workdir=options.workdir or (str(cwd) if mounted else ""),
            user=f"{uid}:{gid}" if foreign else "",
            memory=engine.facts.memory,
            options=access.options,
        )

    return container


def _known_image(lockfile: Lockfile, platform: str, engine: Engine, programs: Programs) -> str:
    """Find the image in the engine, if the lock says which one it is."""
    expected = next((row for row in lockfile.expected if row.platform == platform), None)
    if expected is None:
        return ""
    return find_image(engine, [name for name in (expected.image_id, expected.manifest) if name], programs)


def _loaded_image(
    folder: LockFolder, platform: str, options: RunOptions, engine: Engine, programs: Programs, talk: Talk
) -> str:
    """Rebuild the image, and load it if the engine has not got it."""
    machine = this_machine(store=options.store, offline=options.offline, index=options.index)
    with open_world(machine) as world:

        def attempt() -> str:
            rebuilt = rebuild_lock(folder.lockfile, blobs=folder.blobs, platform=platform, world=world, talk=talk)
            check_level(rebuilt)
            image = rebuilt.image
            names = (str(image.image_id), str(image.descriptor.digest))
            if found := find_image(engine, names, programs):
                return found
            tag = f"{folder.lockfile.name.lower()}:envcap"
            with talk.step(f"Loading into {engine.name}") as step:
                return load_into(engine, image, tag=tag, programs=programs, progress=step)

        return repairing(attempt, world, talk)


def _become(engine: Engine, run: ContainerRun, environ: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(engine.path, [engine.path, *run_arguments(run)], environ)  # noqa: S606  # that is the purpose
