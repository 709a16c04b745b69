"""What is there: the facts that a scan found in a live environment. Pure nouns, no verbs.

Paths are relative to the environment's prefix and `/`-separated, so that a moved environment scans alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """One file or symlink of a live environment, with its content's hash.

    Attributes:
        path: Relative to the prefix.
        mode: Permission bits as they are (0o7777 at most).
        size: Bytes; 0 for a symlink.
        sha256: 64 hex digits of the content; empty for a symlink, and for a file of nobody that is left out by its name
            alone and therefore not read (`envcap.scan.unowned`).
        target: A symlink's target as written, else empty.
        links: Hard link count; above 1 the file is shared with an installer's cache.
        source: Where the bytes lie, absolute, if not at `path`: the project folder of an editable install, or a
            folder of packages outside the environment that it sees too. Never written to a lock.
        python: Prefix of the Python that scripts beside it name, if not the environment's own: the base's. Never
            written to a lock.
    """

    path: str
    mode: int
    size: int
    sha256: str
    target: str = ""
    links: int = 1
    source: str = ""
    python: str = ""

    def location(self, prefix: Path) -> Path:
        """Tell where the bytes lie on this machine."""
        return Path(self.source) if self.source else prefix / self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One row of an installed RECORD (PEP 376, PEP 627), resolved to the prefix.

    Attributes:
        path: Relative to the prefix (`../../../bin/x` is already resolved); rows that leave it become findings.
        sha256: 64 hex digits, or empty where the row has no usable sha256.
        size: Bytes, or -1 where the row has none.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A console or GUI script that installers generate (PyPA entry points specification).

    Attributes:
        name: The script's file name.
        value: `module:attribute`, without extras.
        gui: True for `gui_scripts`.
    """

    name: str
    value: str
    gui: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUrl:
    """What `direct_url.json` says (PEP 610), secrets already scrubbed.

    Attributes:
        url: Scrubbed of userinfo and query tokens.
        kind: `archive`, `vcs`, `directory` or `editable`.
        sha256: Hash of the archive where the installer recorded one, else empty.
        commit: Commit of a VCS install, else empty.
        vcs: `git`, `hg`, … or empty.
        subdirectory: Folder inside the archive or repository, or empty.
    """

    url: str
    kind: str
    sha256: str = ""
    commit: str = ""
    vcs: str = ""
    subdirectory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The git checkout that an editable install's code lies in.

    Attributes:
        commit: What is checked out, in full.
        branch: Its name, or empty where HEAD is detached.
        url: Remote, scrubbed; empty where there is none that means something elsewhere.
        uncommitted: Number of files that are not as the commit has them: changed or deleted ones that git tracks, and
            captured ones that it doesn't.
    """

    commit: str
    branch: str = ""
    url: str = ""
    uncommitted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution.

    Attributes:
        name: As METADATA writes it (or the folder name where METADATA is missing).
        version: As METADATA writes it.
        form: `wheel` (dist-info), `egg-info`, `egg` or `egg-link`.
        directory: Its metadata folder or file, relative to the prefix.
        installer: First line of INSTALLER, or empty.
        requested: True if the REQUESTED marker file is there (PEP 376).
        direct_url: PEP 610 origin, or None for an index install.
        checkout: Where an editable install's code stands in git, or None.
        tags: Expanded `Tag:` lines of WHEEL, sorted; empty if there is no WHEEL.
        root_is_purelib: `Root-Is-Purelib` of WHEEL.
        built_from_source: True where an installer says that it built the wheel (`uv_build.json`).
        entry_points: Console and GUI scripts, sorted by name.
        record: Rows of RECORD (or installed-files.txt) that stay inside the prefix, sorted by path.
        files: The files that belong to it and are there, sorted by path; bytecode left out, but its metadata
            folder whole (RECORD, INSTALLER, REQUESTED, direct_url.json included).
        missing: Paths that RECORD lists and that are not there (bytecode left out), sorted.
    """

    name: str
    version: str
    form: str = "wheel"
    directory: str
    installer: str = ""
    requested: bool = False
    direct_url: DirectUrl | None = None
    checkout: Checkout | None = None
    tags: tuple[str, ...] = ()
    root_is_purelib: bool = True
    built_from_source: bool = False
    entry_points: tuple[EntryPoint, ...] = ()
    record: tuple[RecordRow, ...] = ()
    files: tuple[InstalledFile, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPath:
    """One file of a conda package, as `info/paths.json` or a record of the prefix says.

    Attributes:
        path: Relative to the prefix (in an archive: as it is there).
        kind: `hardlink` (any regular file), `softlink`, `directory` or `unix_python_entry_point`.
        sha256: Hash of the archive's bytes, or empty where nobody wrote it down.
        size: Bytes in the archive, or -1.
        placeholder: The prefix that the package was built in, where the file holds it, else empty.
        binary: Whether the placeholder lies in C strings.
        installed_sha256: Hash of the installed bytes as the installer wrote it down, or empty.
        target: Where a softlink leads in the archive; empty where nobody could tell although the live one is odd; None
            where nobody was asked.
        made_executable: Whether it is a program that can be executed live and not in its archive.
    """

    path: str
    kind: str = "hardlink"
    sha256: str = ""
    size: int = -1
    placeholder: str = ""
    binary: bool = False
    installed_sha256: str = ""
    target: str | None = None
    made_executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaRecord:
    """One installed conda package, by its record in `conda-meta`.

    Attributes:
        name: Package name.
        version: Its version.
        build: Build string.
        build_number: Build number.
        channel: Name of its channel, without host: `conda-forge`, `pkgs/main`.
        channel_url: Scrubbed URL of the channel (never written to a lock unless `https`), or empty.
        subdir: `linux-64`, `noarch`.
        file: Archive's file name.
        size: Bytes of the archive, or -1.
        md5: Its MD5, or empty.
        sha256: Its sha256, or empty.
        noarch: `python`, `generic` or empty.
        requested: The specs by which a user asked for it, sorted.
        depends: What it needs, as installed (channels correct what archives say).
        constrains: What it does not go with.
        directory: Its record, relative to the prefix.
        paths: Its files, sorted; bytecode left out.
        files: Those that are there and hold its bytes, or edited ones; sorted by path.
        missing: Paths that are gone, sorted.
        lost: Paths that another package wrote last, sorted.
        captured: `archive` or `files` if its archive is kept with the lock, else empty; see `CondaPackage.captured`.
        unpacked: Folder where its installer unpacked it and from where it linked its files, absolute, or empty. Never
            written to a lock, and no proof of anything: an edit in place reaches it too.
        made_sha256: Of the archive that was made of its files, or empty.
        made_size: Bytes of that, or 0.
        touched: Whether permissions of its files may have been changed since it was installed.
    """

    name: str
    version: str
    build: str
    build_number: int = 0
    channel: str
    channel_url: str = ""
    subdir: str
    file: str
    size: int = -1
    md5: str = ""
    sha256: str = ""
    noarch: str = ""
    requested: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    directory: str
    paths: tuple[CondaPath, ...] = ()
    files: tuple[InstalledFile, ...] = ()
    missing: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    captured: str = ""
    unpacked: str = ""
    made_sha256: str = ""
    made_size: int = 0
    touched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterFacts:
    """What the isolated probe of the interpreter said (`-I -S`, standard library only). Absolute paths.

    Attributes:
        executable: The real file behind `bin/python`, symlinks resolved.
        implementation: `cpython`, `pypy`, …
        version: Full version, such as `3.11.7`.
        build: Build string, such as `main, Dec  4 2023, GCC 12.2.0`.
        soabi: `cpython-311-x86_64-linux-gnu`.
        tags: Compatible wheel tags would be too many: the interpreter and ABI tag, such as `cp311-cp311`.
        prefix: `sys.prefix` as seen by the environment's own interpreter.
        base_prefix: `sys.base_prefix`.
        paths: sysconfig paths by name (`stdlib`, `platstdlib`, `purelib`, `platlib`, `scripts`, `data`, `include`).
        markers: PEP 508 marker values; `platform_release` and `platform_version` left out (they name the machine).
        glibc: `2.36`, or empty where libc is not glibc.
        config: The sysconfig variables that tell origins apart (`CONFIG_ARGS`, `LDLIBRARY`, `LIBDIR`,
            `Py_ENABLE_SHARED`, `MULTIARCH`, `prefix`, …).
        site_folders: The base's folders of packages, in the order of its module path.
        user_site: The user's own folder of packages (PEP 370), whether or not it is there and enabled.
    """

    executable: Path
    implementation: str
    version: str
    build: str
    soabi: str
    tags: str
    prefix: Path
    base_prefix: Path
    paths: Mapping[str, str]
    markers: Mapping[str, str]
    glibc: str
    config: Mapping[str, str]
    site_folders: tuple[str, ...] = ()
    user_site: str = ""


def no_interpreter(prefix: Path) -> InterpreterFacts:
    """Give the facts of an environment without Python: nothing is known, and no folder is seen but its own."""
    return InterpreterFacts(
        executable=prefix / "bin" / "python",
        implementation="",
        version="",
        build="",
        soabi="",
        tags="",
        prefix=prefix,
        base_prefix=prefix,
        paths={},
        markers={},
        glibc="",
        config={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfNeed:
    """A shared library that the environment needs from outside itself.

    Attributes:
        soname: Such as `libGL.so.1`.
        needed_by: Paths (relative to the prefix; `python` for the interpreter) that need it, sorted.
    """

    soname: str
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFacts:
    """What the ELF files of an environment (and its interpreter) ask of the operating system.

    Attributes:
        needs: Sonames that nothing in the environment provides, sorted.
        glibc: Highest `GLIBC_x.y` version needed, such as `2.28`, or empty.
        glibcxx: Highest `GLIBCXX_x.y.z` version needed, or empty.
        files: Number of ELF files read.
        cpu: Highest level of x86-64 above the baseline that a file needs, such as `x86-64-v3`, or empty.
    """

    needs: tuple[ElfNeed, ...] = ()
    glibc: str = ""
    glibcxx: str = ""
    files: int = 0
    cpu: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsPackage:
    """A package of the operating system that holds Python modules which the environment sees.

    Attributes:
        name: Binary package, such as `python3-numpy`.
        version: Debian version.
    """

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A live environment, scanned: every file under the prefix has an owner or is named as unowned or ignored.

    Attributes:
        prefix: Where it lies on this machine (never written to a lock).
        kind: `venv`, `system` or `conda`.
        interpreter: What its interpreter said; all of it empty in a conda environment without Python.
        distributions: Sorted by normalised name.
        conda: The packages of a conda prefix, sorted by name.
        baked_prefixes: Where a conda prefix was when its packages were installed, as they spell it; never locked.
        unowned: Files under the prefix that no distribution, interpreter or installer owns, sorted.
        ignored: How many files were left out, by reason (`bytecode`, `cache`, `installer`, `interpreter`, …).
        elf: What the binaries need from the operating system.
        site_packages: purelib relative to the prefix, such as `lib/python3.11/site-packages`; empty without Python.
        system_site_packages: Whether the base's packages are seen too: `include-system-site-packages` of pyvenv.cfg;
            always of kind `system`.
        os_packages: Packages of Debian that bring modules, sorted by name; their files are nobody else's here.
        findings: What could not be taken for granted, in a fixed order.
    """

    prefix: Path
    kind: str
    interpreter: InterpreterFacts
    distributions: tuple[Distribution, ...] = ()
    conda: tuple[CondaRecord, ...] = ()
    baked_prefixes: tuple[str, ...] = ()
    unowned: tuple[InstalledFile, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    elf: ElfFacts = field(default_factory=ElfFacts)
    site_packages: str
    system_site_packages: bool = False
    os_packages: tuple[OsPackage, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def has_python(self) -> bool:
        """Whether there is a Python in it."""
        return self.interpreter.version != ""
