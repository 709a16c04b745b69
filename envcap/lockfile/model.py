"""What a lockfile says: frozen values, one dataclass a TOML table, fields in file order.

Content is named, never places: an artifact is source, file name, size and sha256 (DESIGN §3).
All hashes are 64 lower-case hex digits of sha256; tuples are sorted by the writer's rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envcap.gpu.model import GpuMachine, GpuStack

LOCK_VERSION = "1.0"
CAPTURED = "captured"
"""Source name of an artifact whose bytes lie beside the lock, in `blobs/sha256/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a source, pinned.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        source: Name of a `[[sources]]` row, of a default (`pypi`, `debian`), or `captured`.
        file: File name (`numpy-2.1.3-….whl`) or, for Debian, the pool path.
        size: Bytes.
        sha256: Hash of the file.
        url: Scrubbed URL of a direct-URL artifact, else empty.
    """

    platform: str
    source: str
    file: str
    size: int
    sha256: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One file of a package that differs from its artifact in the live environment.

    Attributes:
        path: Relative to the environment's prefix.
        change: `edited`, `added` or `deleted`.
        sha256: Hash of the live bytes, kept in `blobs/sha256/`; empty for `deleted` and for a symlink.
        size: Bytes; 0 where there is no content.
        executable: Mode 0755 rather than 0644.
        target: Target of a symlink, else empty.
    """

    path: str
    change: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceArchive:
    """The sdist that a captured package was built from. It names an origin and is never fetched by a rebuild.

    Attributes:
        file: File name, or empty where the package was not built from an sdist.
        sha256: Hash of the file.
        url: Scrubbed URL of one that no index has, else empty.
    """

    file: str = ""
    sha256: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One Python distribution.

    Attributes:
        name: Normalised name (PEP 503).
        version: As METADATA writes it.
        requested: Installed by the user's wish, not as a dependency (REQUESTED, PEP 376).
        origin: `index`, `url`, `vcs`, `editable` or `local`.
        proof: Rung of the ladder: `record` (each live file equals the artifact's RECORD), `content` (the same, but the
            RECORD is wrong about its own wheel), `url`, `cache`, `tags` or `captured`.
        commit: VCS commit, or what is checked out in the folder of an editable install, else empty.
        branch: Branch of an editable install's folder, else empty. A label, as `name` is: not part of the identity.
        uncommitted: Number of files of an editable install that are not as the commit has them.
        url: Scrubbed origin of a direct URL or VCS install, or git remote of an editable install, else empty.
        sdist: What it was built from on the captured machine, where that is known.
        artifacts: One per platform, sorted by platform.
        patches: What differs from the artifact live, sorted by path.
    """

    name: str
    version: str
    requested: bool = False
    origin: str = "index"
    proof: str = "record"
    commit: str = ""
    branch: str = ""
    uncommitted: int = 0
    url: str = ""
    sdist: SourceArchive = SourceArchive()
    artifacts: tuple[Artifact, ...] = ()
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The interpreter.

    Attributes:
        implementation: `cpython`.
        version: `3.11.7`.
        build: Build string as the interpreter prints it.
        soabi: `cpython-311-x86_64-linux-gnu`.
        origin: `debian` (its packages are `[[system]]` rows), `conda` (its package is a `[[conda]]` row), `standalone`
            or `captured`.
        home: Where it lies in the image, relative to the root: `usr`, `opt/conda` or `opt/python`.
        artifacts: Archive of a standalone build, tree of a captured one; empty for the others.
    """

    implementation: str
    version: str
    build: str
    soabi: str
    origin: str
    home: str
    artifacts: tuple[Artifact, ...] = ()


NO_INTERPRETER = Interpreter(implementation="", version="", build="", soabi="", origin="none", home="")
"""Of a conda environment without Python: it has no `[interpreter]` table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where artifacts came from, by name.

    Attributes:
        name: Referred to by artifacts.
        kind: `simple-index`, `conda-channel`, `debian`, `python-build-standalone` or `local`.
        suite: Debian suite, else empty.
        release: Date of the suite's Release file as seconds since the epoch, else 0.
        signature: `verified` or `unchecked` for Debian, else empty.
        snapshot: Archive URL template with `@SNAPSHOTID@` from the Release file's `Snapshots` field, or empty.
        url: Scrubbed hint where the source is not a default, else empty.
    """

    name: str
    kind: str
    suite: str = ""
    release: int = 0
    signature: str = ""
    snapshot: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """One conda package.

    Attributes:
        name: Package name.
        version: Its version.
        build: Build string.
        build_number: Build number.
        channel: Name of the channel, without host: `conda-forge`, `pkgs/main`.
        subdir: `linux-64`, `noarch`.
        file: Archive's file name.
        size: Bytes.
        sha256: Hash of the archive.
        md5: Its MD5, which other tools' locks want, or empty; proves nothing here.
        captured: Empty where a channel has the archive, else `archive` or `files`: see `lockfile.conda_kept`.
        made_sha256: Hash of the archive that was made, or empty.
        made_size: Bytes of that, or 0.
        noarch: `python`, `generic` or empty.
        requested: Specs by which a user asked for it, sorted.
        depends: What it needs, as its channel said when it was installed, in its order.
        constrains: What it does not go with, likewise.
        patches: What differs from the archive live, sorted by path.
    """

    name: str
    version: str
    build: str
    build_number: int = 0
    channel: str
    subdir: str
    file: str
    size: int
    sha256: str
    md5: str = ""
    captured: str = ""
    made_sha256: str = ""
    made_size: int = 0
    noarch: str = ""
    requested: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPackage:
    """What conda packages ask of a machine, in words of conda's virtual packages (CEP 30).

    Attributes:
        name: `__glibc`, `__cuda`, `__archspec`, …
        wanted: Versions and build, such as `>=2.28,<3.0.a0` or `1 x86_64_v3`; empty: that it is there at all.
        optional: Only machines that have it at all must have it so (`constrains`).
        because: Names of the packages that ask, sorted.
    """

    name: str
    wanted: str = ""
    optional: bool = False
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPackage:
    """One OS package (Debian).

    Attributes:
        name: Binary package name.
        version: Debian version.
        architecture: `amd64`, `arm64` or `all`.
        platform: The platform that it serves.
        source: Name of a `[[sources]]` row of kind `debian`.
        file: Pool path.
        size: Bytes.
        sha256: Hash of the .deb.
        because: Reasons, sorted: `libGL.so.1 needed by cv2/cv2.abi3.so`, `dependency of libc6`, `base`.
    """

    name: str
    version: str
    architecture: str
    platform: str
    source: str
    file: str
    size: int
    sha256: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedFile:
    """A file that no package owns, kept with the lock.

    Attributes:
        path: Relative to the environment's prefix.
        sha256: Hash of its bytes; empty for a symlink.
        size: Bytes.
        executable: Mode 0755 rather than 0644.
        target: Target of a symlink, else empty.
        reason: Why it is here: `unowned`.
    """

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    target: str = ""
    reason: str = "unowned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blas:
    """One library of linear algebra that the environment brings or loads, as its files say.

    Attributes:
        library: `openblas`, `mkl`, `blis`, …; `blas`, `lapack` or `cblas` where an interface is loaded by its name.
        provider: Package that brings it, or `system`.
        file: Its file name, or the soname that is loaded from the system.
        version: As the file itself says, or empty.
        needed_by: Packages that load it from the system, sorted.
    """

    library: str
    provider: str
    file: str
    version: str = ""
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEnvironment:
    """What kind of environment was captured.

    Attributes:
        kind: `venv`, `system` or `conda`.
        newest_upload: Newest upload time of an artifact, RFC 3339 in UTC, or empty: a time fence for relocking.
        system_site_packages: `include-system-site-packages` of the venv.
        markers: PEP 508 markers of the captured interpreter; empty without one.
        blas: Linear algebra in use, sorted by provider and file.
        cpu: Level of x86-64 that the binaries' notes ask for, such as `x86-64-v3`, or empty.
    """

    kind: str
    newest_upload: str = ""
    system_site_packages: bool = False
    markers: Mapping[str, str] = field(default_factory=dict)
    blas: tuple[Blas, ...] = ()
    cpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the snapshot's shell and machine would have changed in the results; not part of the identity.

    It is shown and compared, and never applied: values such as a thread count or a folder fit one machine. What shall
    hold everywhere is put into the image by name (`snapshot --env NAME`).

    Attributes:
        variables: Those of `envcap.variables` that were set, with their values reduced.
        system_blas: What the machine's alternatives made of `libblas.so.3`, such as `openblas-pthread`, or empty.
        gpu: The machine's GPUs and their drivers.
        virtual: The machine's virtual packages where conda is in use, with values such as `2.36` and `1 x86_64_v3`.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    system_blas: str = ""
    gpu: GpuMachine = field(default_factory=GpuMachine)
    virtual: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What the image's config says beside its layers (OCI image-spec, config.md).

    Attributes:
        epoch: Modification time of every file and `created` of the image, seconds since the epoch.
        env: Variables added to those of the recipe.
        user: User of the container's process, or empty.
        workdir: Working directory, or empty.
        entrypoint: Command prefix.
        cmd: Default command.
        labels: Image labels.
    """

    epoch: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a rebuild must give on one platform.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        image_id: Digest of the config, as `sha256:…`.
        manifest: Digest of the manifest, or empty where only live files were seen.
        compressor: Name of the recipe's compression, or empty with `manifest`.
        diff_ids: Digests of the uncompressed layers, lowest first.
    """

    platform: str
    image_id: str
    manifest: str = ""
    compressor: str = ""
    diff_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockfile:
    """A whole lock: the identity of an environment.

    Attributes:
        name: The environment's name; not part of its identity.
        recipe: Number of the rules that turn it into bytes.
        interpreter: Its Python, or `NO_INTERPRETER`.
        virtual: What the conda packages ask of a machine; empty in a lock that is older than these rows.
    """

    name: str
    recipe: int
    environment: LockedEnvironment
    interpreter: Interpreter = NO_INTERPRETER
    sources: tuple[Source, ...] = ()
    packages: tuple[Package, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    virtual: tuple[VirtualPackage, ...] = ()
    system: tuple[SystemPackage, ...] = ()
    captured: tuple[CapturedFile, ...] = ()
    gpu: GpuStack = field(default_factory=GpuStack)
    image: ImageSettings = field(default_factory=ImageSettings)
    session: Session = field(default_factory=Session)
    expected: tuple[Expected, ...] = ()

    @property
    def has_python(self) -> bool:
        """Whether there is a Python in it."""
        return self.interpreter != NO_INTERPRETER
