"""conda: `[[conda]]`, and what its packages ask of a machine, `[[virtual]]`."""

from dataclasses import dataclass

from envcap.lockfile.model.content import Patch


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
