"""Laying the packages of another tool's list out as a conda environment, for a snapshot to be taken of.

Its packages are fetched, compared with the hashes that the file has, and linked by recipe 1 into a folder that is gone
when the lock is written. The lock is then found out as for every other environment: nothing of the file but the
choice of packages gets into it.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.build.image import build_image
from envcap.conda.channel import hint_of, source_name
from envcap.conda.listed import ListedPackage, Listing
from envcap.conda_prefix.complete import fetch_conda
from envcap.digest import CHUNK_SIZE, Digest
from envcap.environment import CondaRecord
from envcap.errors import LockfileError, MissingArtifactError
from envcap.importing.wheels import check_wheel, fetch_wheel, public_url
from envcap.lockfile.check import check_lockfile
from envcap.lockfile.model import (
    NO_INTERPRETER,
    CondaPackage,
    Interpreter,
    LockedEnvironment,
    Lockfile,
    Package,
    Source,
)
from envcap.materials import ArtifactMaterials
from envcap.oci.rootfs import write_rootfs
from envcap.pinned import PinnedArtifacts
from envcap.plan import EnvironmentLayer, ImagePlan, PackagesLayer, conda_layers
from envcap.recipe import CONDA_ROOT, MAX_LAYERS, RECIPE
from envcap.sources.conda_locator import CONDA_CHANNEL
from envcap.wheel.layout import layout_of
from envcap.world import Reporter, World, no_gpu

_SETTINGS = ("CONDA", "ENVCAP_", "MAMBA", "PIP_", "UV_")
_FREE_THREADED = re.compile(r"_cp(3[0-9]{1,3}t)\Z")
_PLAIN = frozenset({"HOME", "PATH", "TMPDIR"})


@contextmanager
def linked_environment(listing: Listing, *, name: str, platform: str, world: World, talk: Reporter) -> Iterator[Path]:
    """Fetch the packages of a file and link them into a prefix that lasts as long as the context.

    Args:
        listing: What the file asks for.
        name: Name of the lock.
        platform: `linux/amd64`, `linux/arm64`: this machine's, since its interpreter will be asked.
        world: This machine.
        talk: Shows progress.

    Raises:
        LockfileError: A package is for Python and none is among them, or one says nonsense of itself.
        MissingArtifactError: Nobody has a package with the hash that the file has.
        ArchiveError: A package is hostile or damaged.
    """
    for wheel in listing.pip:
        check_wheel(wheel)  # before anything is fetched
    packages = []
    with talk.step("Fetching") as step:
        for done, row in enumerate(listing.packages):
            step(row.file, done, len(listing.packages))
            packages.append(_fetch(row, world))
        wheels = [fetch_wheel(row, platform, world) for row in listing.pip]
    lockfile = _provisional(name, packages, wheels)
    layout = layout_of(lockfile.interpreter.version, lockfile.interpreter.soabi)
    last = EnvironmentLayer(
        interpreter=lockfile.interpreter, layout=layout, system_site_packages=False, root=CONDA_ROOT
    )
    pip = (
        [PackagesLayer(packages=lockfile.packages, platform=platform, layout=layout, what="pip", root=CONDA_ROOT)]
        if lockfile.packages
        else []
    )
    plan = ImagePlan(
        platform=platform,
        epoch=lockfile.image.epoch,
        layers=(*conda_layers(lockfile, layout, MAX_LAYERS - 2), *pip, last),
        settings=lockfile.image,
    )
    scratch = world.store.root / "tmp"
    materials = ArtifactMaterials(artifacts=PinnedArtifacts(world, sources=(), blobs=None), scratch=scratch)
    with talk.step("Linking") as step, tempfile.TemporaryDirectory(dir=scratch, prefix="import-") as folder:
        image = build_image(plan, materials, world.store, jobs=world.machine.jobs, progress=step)
        write_rootfs(image, Path(folder) / "root", epoch=plan.epoch, scratch=scratch, progress=step)
        yield Path(folder) / "root" / CONDA_ROOT


def without_session(world: World) -> World:
    """Leave out the variables of this shell and the facts of this machine: the file knows nothing of them."""
    environ = {key: value for key, value in world.machine.environ.items() if key in _PLAIN or key.startswith(_SETTINGS)}
    return replace(world, machine=replace(world.machine, environ=environ, virtual=dict, gpu=no_gpu))


def name_channels(lockfile: Lockfile, listing: Listing, *, default: str) -> Lockfile:
    """Put in where the file has its channels, as a hint where that is not where they are by default."""
    hints: dict[str, str] = {}
    for row in sorted(listing.packages, key=lambda row: row.channel_url):
        hint = hint_of(row.channel_url)
        if hint and (not default or hint != f"{default}/{row.channel}"):
            hints.setdefault(source_name(row.channel), hint)
    return replace(lockfile, sources=tuple(_hinted(source, hints) for source in lockfile.sources))


def without_scripts(lockfile: Lockfile) -> Lockfile:
    """Take the scripts of wheels for what they are: they were written for the image's prefix, not for the folder."""
    return replace(lockfile, packages=tuple(map(_untouched, lockfile.packages)))


def _untouched(package: Package) -> Package:
    if package.proof == "captured":
        return package
    kept = (row for row in package.patches if not (row.change == "edited" and row.path.startswith("bin/")))
    return replace(package, patches=tuple(kept))


def _hinted(source: Source, hints: Mapping[str, str]) -> Source:
    return replace(source, url=source.url or hints.get(source.name, "")) if source.kind == CONDA_CHANNEL else source


def _fetch(row: ListedPackage, world: World) -> CondaPackage:
    wanted = CondaRecord(
        name=row.file, version="", build="", channel=row.channel, channel_url=public_url(row.channel_url),
        subdir=row.subdir, file=row.file, md5=row.md5, sha256=row.sha256, directory="",
    )  # fmt: skip
    digest, size, md5 = _checked(wanted, world)
    with (
        tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
        FileReader(world.store.blobs.verified(digest)) as reader,
    ):
        index = open_conda(reader, name=row.file, spool=spool).index
    number, noarch = index.get("build_number"), index.get("noarch")
    return CondaPackage(
        name=_text(index, "name"),
        version=_text(index, "version"),
        build=_text(index, "build"),
        build_number=number if isinstance(number, int) else 0,
        channel=row.channel,
        subdir=row.subdir,
        file=row.file,
        size=size,
        sha256=digest.hex,
        md5=md5,
        noarch=noarch if isinstance(noarch, str) else "",
        depends=_texts(index, "depends"),
        constrains=_texts(index, "constrains"),
    )


def _checked(wanted: CondaRecord, world: World) -> tuple[Digest, int, str]:
    """Have an archive in the store, with the MD5 that the file has too."""
    digest, size = fetch_conda(wanted, world, why="nobody has the archive that the file names", trusted=False)
    found = hashlib.md5(usedforsecurity=False)
    with world.store.blobs.verified(digest).open("rb") as file:
        while chunk := file.read(CHUNK_SIZE):
            found.update(chunk)
    if wanted.md5 and wanted.md5 != found.hexdigest():
        raise MissingArtifactError(
            f"{wanted.file} has another MD5 than the file says (expected {wanted.md5}, found {found.hexdigest()})",
            hint="the file contradicts itself, or the archive was replaced: ask whoever made it",
        )
    return digest, size, found.hexdigest()


def _provisional(name: str, packages: Sequence[CondaPackage], wheels: Sequence[Package]) -> Lockfile:
    """Give as much of a lock as linking takes; its names are checked, for they become paths."""
    for_python = [row.name for row in wheels] + [row.name for row in packages if row.noarch == "python"]
    interpreter = next((_interpreter(row) for row in packages if row.name == "python"), NO_INTERPRETER)
    if for_python and interpreter == NO_INTERPRETER:
        message = f"No Python is among the packages (expected conda's `python`, since {for_python[0]} is for it)"
        raise LockfileError(message)
    lockfile = Lockfile(
        name=name,
        recipe=RECIPE,
        environment=LockedEnvironment(kind="conda"),
        interpreter=interpreter,
        packages=tuple(sorted(wheels, key=lambda row: row.name)),
        conda=tuple(sorted(packages, key=lambda row: row.name)),
    )
    check_lockfile(lockfile)
    return lockfile


def _interpreter(package: CondaPackage) -> Interpreter:
    """Give as much of an interpreter as says where its packages go.

    Builds without the global lock say so at the end of their build string, as `h9a34b6e_5_cp313t` of conda-forge.
    """
    match = _FREE_THREADED.search(package.build)
    return Interpreter(
        implementation="cpython",
        version=package.version,
        build="",
        soabi=f"cpython-{match[1]}" if match else "",
        origin="conda",
        home=CONDA_ROOT,
    )


def _text(index: Mapping[str, object], key: str) -> str:
    value = index.get(key)
    return value if isinstance(value, str) else ""


def _texts(index: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = index.get(key)
    return tuple(row for row in value if isinstance(row, str)) if isinstance(value, list) else ()
