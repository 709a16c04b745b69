"""What was captured: `[environment]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
