"""Installed Python distributions, and what their metadata says."""

from dataclasses import dataclass

from envcap.environment.files import InstalledFile


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
