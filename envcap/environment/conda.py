"""Installed conda packages, and what their records say."""

from dataclasses import dataclass

from envcap.environment.files import InstalledFile


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
