"""Laying the wheels of a `pylock.toml` out as a virtual environment, for a snapshot to be taken of.

As with conda's packages (`conda`): each is compared with the hash that the file has, laid out by recipe 1 in a folder
that is gone when the lock is written, and only the choice of packages gets into the lock.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.pylock import Pylock

from envcap.build.image import build_image
from envcap.conda.listed import ListedWheel
from envcap.environment import InterpreterFacts
from envcap.errors import EnvcapError, LockfileError, ScanError, UsageError
from envcap.importing.pylock import select_wheels
from envcap.importing.wheels import check_wheel, fetch_wheel
from envcap.lockfile.check import check_lockfile
from envcap.lockfile.model import ImageSettings, Interpreter, LockedEnvironment, Lockfile, Package
from envcap.materials import ArtifactMaterials
from envcap.oci.rootfs import write_rootfs
from envcap.pinned import PinnedArtifacts
from envcap.plan import EnvironmentLayer, ImagePlan, PackagesLayer
from envcap.recipe import ENVIRONMENT_ROOT, RECIPE
from envcap.scan.probe import probe_interpreter
from envcap.scan.runner import Runner
from envcap.wheel.layout import layout_of
from envcap.world import Reporter, World

_NEWEST, _OLDEST = 20, 8


def choose_interpreter(
    pylock: Pylock, python: str, search: Sequence[Path], *, name: str, run: Runner
) -> tuple[InterpreterFacts, tuple[ListedWheel, ...]]:
    """Find the interpreter that a lock is for: `python3` if it fits, else the newest that does.

    Args:
        pylock: The lock.
        python: An interpreter's path, a version such as `3.12`, or empty to choose.
        search: Folders where interpreters are looked for.
        name: The lock's file name, for messages.
        run: Starts interpreters.

    Returns:
        The interpreter, and the wheels for it.

    Raises:
        UsageError: There is no such interpreter.
        LockfileError: The lock fits none that there is, or has something else than wheels.
        ScanError: The interpreter that was named doesn't work.
    """
    candidates = _candidates(python, search)
    refusals: list[EnvcapError] = []
    for executable in candidates:
        try:
            facts = probe_interpreter(executable, run=run)
            return facts, select_wheels(pylock, facts, name=name)
        except (LockfileError, ScanError) as error:
            refusals.append(error)
    if not refusals:
        wanted = f"Python {python}" if python else "Python"
        raise UsageError(f"No {wanted} is on the PATH", hint="name an interpreter with `--python PATH`")
    first = next((error for error in refusals if isinstance(error, LockfileError)), refusals[0])
    more = f" (tried {len(refusals)} interpreters)" if len(refusals) > 1 else ""
    hint = first.hint or "name another interpreter with `--python`"
    raise LockfileError(f"{first.message}{more}", hint=hint)


@contextmanager
def wheel_environment(
    wheels: Sequence[ListedWheel], facts: InterpreterFacts, *, name: str, platform: str, world: World, talk: Reporter
) -> Iterator[Path]:
    """Fetch wheels and lay them out as a virtual environment that lasts as long as the context.

    Args:
        wheels: What to install.
        facts: The base interpreter, of this machine.
        name: Name of the lock.
        platform: `linux/amd64`, `linux/arm64`: this machine's.
        world: This machine.
        talk: Shows progress.

    Raises:
        LockfileError: A row is no wheel.
        MissingArtifactError: Nobody has a wheel with the hash that the file has.
        ArchiveError: A wheel is hostile or damaged.
    """
    for row in wheels:
        check_wheel(row)  # before anything is fetched
    packages = []
    with talk.step("Fetching") as step:
        for done, row in enumerate(wheels):
            step(row.name, done, len(wheels))
            packages.append(fetch_wheel(row, platform, world))
    plan = _plan(name, facts, packages, platform)
    scratch = world.store.root / "tmp"
    materials = ArtifactMaterials(artifacts=PinnedArtifacts(world, sources=(), blobs=None), scratch=scratch)
    with talk.step("Installing") as step, tempfile.TemporaryDirectory(dir=scratch, prefix="import-") as folder:
        image = build_image(plan, materials, world.store, jobs=world.machine.jobs, progress=step)
        write_rootfs(image, Path(folder) / "root", epoch=plan.epoch, scratch=scratch, progress=step)
        prefix = Path(folder) / "root" / ENVIRONMENT_ROOT
        _point_to(prefix, facts)
        yield prefix


def _candidates(python: str, search: Sequence[Path]) -> list[Path]:
    if "/" in python:
        path = Path(python).absolute()
        if not path.is_file():
            raise UsageError(f"{python} is no interpreter (expected a path such as /usr/bin/python3)")
        return [path]
    versions = [f"3.{minor}" for minor in range(_NEWEST, _OLDEST - 1, -1)]
    if python and python not in versions:
        raise UsageError(f"Unexpected Python {python!r} (expected a path, or a version such as 3.12)")
    names = [f"python{python}"] if python else ["python3", *(f"python{version}" for version in versions)]
    found = {path.resolve(): path for name in names for folder in search if (path := folder / name).is_file()}
    return list(found.values())


def _plan(name: str, facts: InterpreterFacts, packages: Sequence[Package], platform: str) -> ImagePlan:
    """Plan the wheels alone; names are checked, for they become paths."""
    interpreter = Interpreter(
        implementation=facts.implementation, version=facts.version, build="", soabi="", origin="debian", home="usr"
    )
    ordered = tuple(sorted(packages, key=lambda row: row.name))
    lockfile = Lockfile(
        name=name,
        recipe=RECIPE,
        environment=LockedEnvironment(kind="venv"),
        interpreter=interpreter,
        packages=ordered,
    )
    check_lockfile(lockfile)
    layout, settings = layout_of(facts.version, facts.soabi), ImageSettings()
    wheels = [PackagesLayer(packages=ordered, platform=platform, layout=layout, what="pip")] if ordered else []
    last = EnvironmentLayer(interpreter=interpreter, layout=layout, system_site_packages=False)
    return ImagePlan(platform=platform, epoch=settings.epoch, layers=(*wheels, last), settings=settings)


def _point_to(prefix: Path, facts: InterpreterFacts) -> None:
    """Let the environment use this machine's interpreter, as `python -m venv` does (PEP 405)."""
    base = facts.executable.resolve()
    link = prefix / "bin/python"
    link.unlink()
    link.symlink_to(base)
    (prefix / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {facts.version}\n", encoding="utf-8"
    )
