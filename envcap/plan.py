"""A lock to a plan: which layers, made of which artifacts, and which config. Pure: no network, no disk, no clock.

Source: recipe 1, rules 5 and 7 (`envcap/recipe.py`); OCI image-spec, config.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from envcap.errors import BuildError
from envcap.lockfile.model import (
    Artifact,
    CapturedFile,
    CondaPackage,
    ImageSettings,
    Interpreter,
    Lockfile,
    Package,
    SystemPackage,
)
from envcap.recipe import BUCKETS, CONDA_ROOT, ENVIRONMENT_ROOT, MAX_LAYERS, OWN_LAYER_SIZE, RECIPE
from envcap.wheel.layout import Layout, layout_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLayer:
    """All OS packages, with the fix-ups that replace their maintainer scripts."""

    packages: tuple[SystemPackage, ...]
    architecture: str
    what: str = "OS packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterLayer:
    """A standalone or captured interpreter."""

    interpreter: Interpreter
    artifact: Artifact
    what: str = "interpreter"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesLayer:
    """One large package, or a bucket of small ones."""

    packages: tuple[Package, ...]
    platform: str
    layout: Layout
    what: str
    root: str = ENVIRONMENT_ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaLayer:
    """One large conda package, or a bucket of small ones."""

    packages: tuple[CondaPackage, ...]
    layout: Layout
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesLayer:
    """Files that no package owns."""

    files: tuple[CapturedFile, ...]
    root: str = ENVIRONMENT_ROOT
    what: str = "unowned files"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentLayer:
    """What makes a folder an environment: `pyvenv.cfg`, the links to the interpreter, the RECORD of each package.

    A conda environment, whose `root` is another, needs no more than a RECORD for each of pip's packages.
    """

    interpreter: Interpreter
    layout: Layout
    system_site_packages: bool
    root: str = ENVIRONMENT_ROOT
    what: str = "environment"


LayerPlan = SystemLayer | InterpreterLayer | PackagesLayer | CondaLayer | FilesLayer | EnvironmentLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """An image before its bytes.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        epoch: Time of every file and of the image, seconds since the epoch.
        layers: Lowest first; the last is the environment's own.
        settings: What the config says.
        environment: The config's variables, in their order.
    """

    platform: str
    epoch: int
    layers: tuple[LayerPlan, ...]
    settings: ImageSettings
    environment: Mapping[str, str] = field(default_factory=dict)


def plan_image(lockfile: Lockfile, platform: str) -> ImagePlan:
    """Plan the image of a lock on one platform.

    Raises:
        BuildError: Another recipe, or the lock does not cover the platform.
    """
    if lockfile.recipe != RECIPE:
        raise BuildError(
            f"The lock asks for recipe {lockfile.recipe} (this version knows recipe {RECIPE})",
            hint="rebuild it with a version of envcap that knows the recipe",
        )
    layout = layout_of(lockfile.interpreter.version, lockfile.interpreter.soabi)
    system = tuple(package for package in lockfile.system if package.platform == platform)
    if not system:
        raise _not_covered(lockfile, platform, "OS packages")
    low: list[LayerPlan] = [SystemLayer(packages=system, architecture=platform.partition("/")[2])]
    root = root_of(lockfile)
    if lockfile.interpreter.origin in {"standalone", "captured"}:
        artifact = _artifact(lockfile.interpreter.artifacts, platform)
        if artifact is None:
            raise _not_covered(lockfile, platform, "interpreter")
        low.append(InterpreterLayer(interpreter=lockfile.interpreter, artifact=artifact))
    high: list[LayerPlan] = [FilesLayer(files=lockfile.captured, root=root)] if lockfile.captured else []
    high.append(
        EnvironmentLayer(
            interpreter=lockfile.interpreter,
            layout=layout,
            system_site_packages=lockfile.environment.system_site_packages,
            root=root,
        )
    )
    room = MAX_LAYERS - len(low) - len(high)
    conda = conda_layers(lockfile, layout, room)
    room -= len(conda)
    return ImagePlan(
        platform=platform,
        epoch=lockfile.image.epoch,
        layers=(*low, *conda, *_package_layers(lockfile, platform, layout, room), *high),
        settings=lockfile.image,
        environment=_variables(lockfile),
    )


def root_of(lockfile: Lockfile) -> str:
    """Tell where the environment lies in the image, relative to the root."""
    return CONDA_ROOT if lockfile.environment.kind == "conda" else ENVIRONMENT_ROOT


def conda_layers(lockfile: Lockfile, layout: Layout, room: int) -> list[LayerPlan]:
    """Plan the layers of conda's packages: the large ones alone, big first, the small ones in buckets.

    What pip put on top keeps room for its buckets and for its own large packages, up to half of the rest.
    """
    theirs = min(len(lockfile.packages), (room - 2 * BUCKETS) // 2) + BUCKETS if lockfile.packages else 0
    ranked = sorted(lockfile.conda, key=lambda package: (-package.size, package.name))
    alone = [package for package in ranked if package.size >= OWN_LAYER_SIZE][: room - theirs - BUCKETS]
    layers: list[LayerPlan] = [
        CondaLayer(packages=(package,), layout=layout, what=f"{package.name} {package.version} (conda)")
        for package in alone
    ]
    buckets: dict[int, list[CondaPackage]] = {}
    for package in ranked[len(alone) :]:
        buckets.setdefault(_bucket(package.name), []).append(package)
    for number in sorted(buckets):
        members = tuple(sorted(buckets[number], key=lambda package: package.name))
        count = f"{len(members)} small conda package{'' if len(members) == 1 else 's'}"
        layers.append(CondaLayer(packages=members, layout=layout, what=f"{count} ({number + 1}/{BUCKETS})"))
    return layers


def artifact_of(package: Package, platform: str) -> Artifact:
    """Find a package's artifact for a platform.

    Raises:
        BuildError: The lock has none.
    """
    artifact = _artifact(package.artifacts, platform)
    if artifact is None:
        raise BuildError(f"{package.name} {package.version}: the lock has no artifact for {platform}")
    return artifact


def _artifact(artifacts: tuple[Artifact, ...], platform: str) -> Artifact | None:
    return next((artifact for artifact in artifacts if artifact.platform == platform), None)


def _not_covered(lockfile: Lockfile, platform: str, what: str) -> BuildError:
    covered = ", ".join(sorted({package.platform for package in lockfile.system})) or "none"
    return BuildError(
        f"The lock {lockfile.name!r} holds no {what} for {platform} (platforms in it: {covered})",
        hint="rebuild for a platform that the lock covers, with `--platform`",
    )


def _package_layers(lockfile: Lockfile, platform: str, layout: Layout, room: int) -> list[LayerPlan]:
    root = root_of(lockfile)
    sizes = {package.name: artifact_of(package, platform).size for package in lockfile.packages}
    # Stable and huge lie low: overlay snapshots chain on what is below them. Names break ties.
    ranked = sorted(lockfile.packages, key=lambda package: (-sizes[package.name], package.name))
    alone = [package for package in ranked if sizes[package.name] >= OWN_LAYER_SIZE][: room - BUCKETS]
    layers: list[LayerPlan] = [
        PackagesLayer(
            packages=(package,), platform=platform, layout=layout, what=f"{package.name} {package.version}", root=root
        )
        for package in alone
    ]
    buckets: dict[int, list[Package]] = {}
    for package in ranked[len(alone) :]:
        buckets.setdefault(_bucket(package.name), []).append(package)
    for number in sorted(buckets):
        members = tuple(sorted(buckets[number], key=lambda package: package.name))
        count = f"{len(members)} small package{'' if len(members) == 1 else 's'}"
        what = f"{count} ({number + 1}/{BUCKETS})"
        layers.append(PackagesLayer(packages=members, platform=platform, layout=layout, what=what, root=root))
    return layers


def _bucket(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % BUCKETS


def _variables(lockfile: Lockfile) -> dict[str, str]:
    """Order the config's variables: the recipe's first, then the lock's by name; the lock's win."""
    root = root_of(lockfile)
    own = {
        "PATH": f"/{root}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "CONDA_PREFIX" if root == CONDA_ROOT else "VIRTUAL_ENV": f"/{root}",
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }
    return own | {name: lockfile.image.env[name] for name in sorted(lockfile.image.env)}
