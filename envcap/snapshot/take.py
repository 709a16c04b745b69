"""The verb: scan, prove, capture, pin, and compute the image ID from the live files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from envcap.blobs import BlobBytes
from envcap.build.image import Prediction, predict_image
from envcap.conda_prefix.capture import capture_conda, edited_by_hand
from envcap.conda_prefix.complete import lock_conda_packages
from envcap.conda_prefix.links import know_links, remember_links
from envcap.conda_prefix.modes import know_modes
from envcap.digest import Digest
from envcap.entry import Content
from envcap.environment import Environment
from envcap.files import FileContent
from envcap.finding import Finding, FindingLevel
from envcap.gpu.table import gpu_table
from envcap.live.interpreter import lock_interpreter, origin_of, revision_findings
from envcap.live.scan import LivePlace, scan_live
from envcap.live.system import pin_system, pins_of
from envcap.lock.assemble import LockedPackages, lock_packages, newest_upload
from envcap.lock.blas import find_blas
from envcap.lock.debian import SystemNeeds
from envcap.lock.host_code import host_code_findings
from envcap.lock.image_env import image_variables
from envcap.lock.image_gpu import with_gpu
from envcap.lock.pypi import platform_of, prove_distributions
from envcap.lock.pypi_result import ProofResult, Proven
from envcap.lock.r_packages import r_package_findings
from envcap.lock.readable import as_readable
from envcap.lock.session import lock_session, prefix_roots
from envcap.lock.unowned_capture import UnownedGroup, lock_unowned
from envcap.lock.unreadable import refuse_unreadable
from envcap.lockfile.model import (
    CAPTURED,
    Expected,
    ImageSettings,
    Interpreter,
    LockedEnvironment,
    Lockfile,
    Source,
)
from envcap.lockfile.virtual import required_virtual
from envcap.manifest import remember_manifests
from envcap.materials import ArtifactMaterials, LiveMaterials
from envcap.pinned import PinnedArtifacts
from envcap.plan import plan_image
from envcap.preflight.virtual import glibc_findings
from envcap.recipe import CONDA_ROOT, ENVIRONMENT_ROOT, RECIPE
from envcap.scan.stat_index import IndexedHashes, save_index
from envcap.snapshot.gpu import lock_gpu
from envcap.snapshot.secrets import KeptFiles, local_files, refuse_secrets
from envcap.snapshot.taint import Taint, find_conda_taints, find_taints, taint_findings
from envcap.sources.pip_cache import pip_cache_folder
from envcap.wheel.layout import layout_of
from envcap.world import Reporter, World


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRequest:
    """What to capture.

    Attributes:
        place: The environment.
        name: Name of the lock.
        previous: The lock that it replaces, whose OS pins are kept; None with `--refresh-system`.
        suite: Debian suite, or empty to choose.
        system: More OS packages.
        max_unowned: Bytes of unowned files that are captured at most, in all.
        keep: Unowned files and folders, relative to the prefix, that are captured whatever their kind.
        allow_secret: Files that are kept although they look like credentials, by path relative to the prefix.
        env: Variables for the image: `NAME`, or `NAME=VALUE`.
        ask_channels: Ask conda's channels whether they have the packages, and keep with the lock what none has.
    """

    place: LivePlace
    name: str
    previous: Lockfile | None = None
    suite: str = ""
    system: tuple[str, ...] = ()
    max_unowned: int = 50_000_000
    keep: tuple[str, ...] = ()
    allow_secret: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    ask_channels: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a snapshot gave.

    Attributes:
        lockfile: The lock.
        kept: The sha256 of each blob beside the lock, and what writes its bytes.
        environment: The scan.
        results: The proof of each distribution.
        prediction: The image that the live files give.
        unowned: What of the files that nobody owns was captured and what left out, by kind.
        findings: What the user should know, warnings first.
        taints: Edited files that other environments share; they name paths of this machine, for its user only.
    """

    lockfile: Lockfile
    kept: tuple[tuple[str, BlobBytes], ...]
    environment: Environment
    results: tuple[ProofResult, ...]
    prediction: Prediction
    unowned: tuple[UnownedGroup, ...]
    findings: tuple[Finding, ...]
    taints: tuple[Taint, ...] = ()


def take_snapshot(request: SnapshotRequest, world: World, talk: Reporter) -> Snapshot:
    """Scan an environment, prove where each byte came from, pin it, and compute its image ID from the live files.

    Args:
        request: What to capture.
        world: This machine.
        talk: Shows progress.

    Raises:
        EnvcapError: The environment can't be read, or what it needs can't be pinned.
    """
    with talk.step("Scanning") as step:
        captured = capture_conda(_scan(request, world, step), world, step, ask=request.ask_channels)
        environment = know_modes(know_links(captured.environment, world), world)
    platform = platform_of(environment)
    image = ImageSettings(env=_image_variables(request, environment, world))
    with talk.step("Proving") as step:
        results = _prove(environment, world, step)
    with talk.step("Capturing") as step:
        step("packages", 0, 0)
        layout = layout_of(environment.interpreter.version, environment.interpreter.soabi)
        packages = lock_packages(environment, results, layout=layout, platform=platform, capture=_capturing(world))
        unowned = lock_unowned(environment, limit=request.max_unowned, keep=request.keep)
        conda = lock_conda_packages(environment, world, given=image.env)
        step("credentials", 0, 0)
        kept = KeptFiles(
            packages=packages.packages,
            unowned=(*unowned.files, *conda.kept_files),
            contents=dict((*packages.kept, *conda.kept, *unowned.kept)),
            local_files=local_files(results),
            layout=layout,
            conda=conda.packages,
        )
        secret_findings = refuse_secrets(kept, world.store, allowed=request.allow_secret)
        taints = find_taints(environment, packages.packages, world.machine)
        taints += find_conda_taints(environment, edited_by_hand(captured, conda), world.conda.caches, world.machine)
        step("interpreter", 0, 0)
        interpreter, interpreter_findings = lock_interpreter(environment, platform, world)
    with talk.step("OS packages") as step:
        step("resolving", 0, 0)
        needs = SystemNeeds(
            elf=environment.elf,
            origin=interpreter.origin,
            version=interpreter.version,
            requested=request.system,
            site_packages=environment.site_packages,
            installed=tuple((package.name, package.version) for package in environment.os_packages),
        )
        pins = pins_of(request.previous)
        system, system_sources, system_findings = pin_system(needs, platform, request.suite, pins, world)
    gpu = lock_gpu(environment, {row.name for row in system}, world.machine.gpu)
    blas = find_blas(environment)
    session, session_findings = lock_session(environment, blas, world.machine.environ)
    lockfile = Lockfile(
        name=request.name,
        recipe=RECIPE,
        environment=LockedEnvironment(
            kind=environment.kind,
            newest_upload=newest_upload(results),
            system_site_packages=environment.system_site_packages,
            markers=dict(environment.interpreter.markers),
            blas=blas,
            cpu=environment.elf.cpu,
        ),
        interpreter=interpreter,
        sources=_sorted_sources(
            (*packages.sources, *conda.sources, *system_sources, *_interpreter_sources(interpreter))
        ),
        packages=packages.packages,
        conda=conda.packages,
        virtual=required_virtual(conda.packages),
        system=system,
        captured=unowned.files,
        gpu=gpu.stack,
        image=with_gpu(image, gpu.stack, gpu_table()),
        session=replace(session, gpu=gpu.machine, virtual=world.machine.virtual() if conda.packages else {}),
    )
    with talk.step("Computing the image ID") as step:
        prediction = predict(lockfile, platform, environment, world, step)
        remember_manifests(lockfile, environment, world.store, platform=platform)
        remember_links(lockfile, environment, world.store)
    findings = (
        *world.session.settings.findings, *world.conda.findings, *environment.findings, *packages.findings,
        *captured.findings, *conda.findings, *glibc_findings(lockfile), *unowned.findings,
        *secret_findings, *taint_findings(taints), *interpreter_findings, *system_findings,
        *(revision_findings(origin_of(environment.interpreter), system) if interpreter.origin == "debian" else ()),
        *host_code_findings(results, environment.prefix), *session_findings, *r_package_findings(environment),
        *gpu.findings,
    )  # fmt: skip
    return Snapshot(
        lockfile=replace(lockfile, expected=(_expected(platform, prediction),)),
        kept=(
            *_kept(packages, results, (*conda.kept, *unowned.kept), interpreter, world),
            *((sha256, _from_store(world, sha256)) for sha256 in captured.kept),
        ),
        environment=environment,
        results=results,
        prediction=prediction,
        unowned=unowned.groups,
        findings=tuple(sorted(findings, key=lambda finding: finding.level is not FindingLevel.WARNING)),
        taints=taints,
    )


def _scan(request: SnapshotRequest, world: World, step: Callable[[str, int, int], None]) -> Environment:
    """Scan, reading every file; that the hashes are remembered spares the next check the same work."""
    hashes = IndexedHashes(known={}, started_ns=world.machine.now * 1_000_000_000)
    pins = pins_of(request.previous)
    environment = scan_live(request.place, world, step, hashes=hashes, suite=request.suite, pins=pins)
    save_index(world.store.actions, str(environment.prefix), hashes.fresh)
    refuse_unreadable(environment)
    return environment


def predict(
    lockfile: Lockfile, platform: str, environment: Environment, world: World, step: Callable[[str, int, int], None]
) -> Prediction:
    """Compute the image ID of a lock from the live files of its environment.

    Raises:
        EnvcapError: A live file or an artifact can't be read.
    """
    plan = plan_image(lockfile, platform)
    pinned = PinnedArtifacts(world, sources=lockfile.sources, blobs=None)
    artifacts = ArtifactMaterials(artifacts=pinned, scratch=world.store.root / "tmp")
    materials = LiveMaterials(environment=environment, artifacts=artifacts, normalise=canonicalize_name)
    return predict_image(plan, materials, world.store, jobs=world.machine.jobs, progress=step)


def _image_variables(request: SnapshotRequest, environment: Environment, world: World) -> dict[str, str]:
    machine = world.machine
    roots = prefix_roots(environment)
    root = CONDA_ROOT if environment.kind == "conda" else ENVIRONMENT_ROOT
    return image_variables(request.env, machine.environ, roots=roots, home=machine.home, cwd=machine.cwd, root=root)


def _prove(environment: Environment, world: World, step: Callable[[str, int, int], None]) -> tuple[ProofResult, ...]:
    done = 0

    def tell(result: ProofResult) -> None:
        nonlocal done
        done += 1
        step(result.distribution.name, done, len(environment.distributions))

    pip_cache = pip_cache_folder(world.machine.environ, world.machine.home)
    results = prove_distributions(
        environment, world.session, cache=world.store.actions, progress=tell, pip_cache=pip_cache
    )
    return as_readable(results, prefix=environment.prefix)


def _capturing(world: World) -> Callable[[Callable[[Callable[[bytes], object]], None]], tuple[str, int]]:
    def capture(produce: Callable[[Callable[[bytes], object]], None]) -> tuple[str, int]:
        with world.store.blobs.writer() as writer:
            produce(writer.write)
            size = writer.size
            return writer.commit().hex, size

    return capture


def _kept(
    packages: LockedPackages,
    results: Sequence[ProofResult],
    unowned: Sequence[tuple[str, Content]],
    interpreter: Interpreter,
    world: World,
) -> list[tuple[str, BlobBytes]]:
    """List what lies beside the lock: captured artifacts from the store, patches and unowned files from the prefix.

    A wheel that only a folder of this machine has is kept as it is there.
    """
    stored = [*packages.captured, *(row.sha256 for row in interpreter.artifacts if row.source == CAPTURED)]
    kept: list[tuple[str, BlobBytes]] = [(sha256, _from_store(world, sha256)) for sha256 in stored]
    kept += [(sha256, _from_content(content)) for sha256, content in (*packages.kept, *unowned)]
    for row in results:
        if isinstance(row, Proven) and row.local_file is not None:
            local = FileContent(path=row.local_file.resolve(), size=row.artifact.size)
            kept.append((row.artifact.sha256, _from_content(local)))
    return kept


def _from_store(world: World, sha256: str) -> BlobBytes:
    return lambda file: world.store.blobs.copy_to(Digest(sha256), file)


def _from_content(content: Content) -> BlobBytes:
    return lambda file: file.writelines(content.chunks())


def _expected(platform: str, prediction: Prediction) -> Expected:
    return Expected(
        platform=platform,
        image_id=str(prediction.image_id),
        diff_ids=tuple(str(diff_id) for diff_id in prediction.diff_ids),
    )


def _interpreter_sources(interpreter: Interpreter) -> list[Source]:
    names = {artifact.source for artifact in interpreter.artifacts} - {CAPTURED}
    return [Source(name=name, kind=name) for name in sorted(names)]


def _sorted_sources(sources: Sequence[Source]) -> tuple[Source, ...]:
    by_name = {source.name: source for source in sources}
    return tuple(by_name[name] for name in sorted(by_name))
