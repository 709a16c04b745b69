"""Whether an environment runs on a machine: what a preflight says. Nouns only.

Reason codes are stable: scripts may depend on them. `E_` says that code will not run, `N_` that something more is
needed, `W_` what to expect, `U_` what could not be told. Source: `notes/gpu.md` §7.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from envcap.gpu.model import GpuDevice


class Level(StrEnum):
    """A verdict; `worst` orders them."""

    OK = "ok"
    MINOR = "ok-minor-compat"
    """By minor-version compatibility: the driver is older than the toolkit, and of the same major."""
    JIT = "ok-jit"
    """The driver compiles some of the code when it first runs."""
    PARTIAL = "partial"
    """Some of the code runs; programs that need the rest fail."""
    COMPAT = "needs-forward-compat"
    """With the package cuda-compat in the image."""
    UNKNOWN = "unknown"
    WILL_NOT_RUN = "will-not-run"


_ORDER = tuple(Level)
RUNS = frozenset({Level.OK, Level.MINOR, Level.JIT, Level.PARTIAL})
"""Levels at which a program starts."""


def worst(*levels: Level) -> Level:
    """Give the worst of some levels; `ok` for none."""
    return max(levels, key=_ORDER.index, default=Level.OK)


def rank(level: Level) -> int:
    """Give a level's place, 0 for the best."""
    return _ORDER.index(level)


class Reason(StrEnum):
    """Why; each is tested by at least one case in `tests/gpu/test_verdict.py`."""

    BELOW_FLOOR = "E_BELOW_FLOOR"
    COMPAT_GPU_CLASS = "E_COMPAT_GPU_CLASS"
    NO_IMAGE = "E_NO_IMAGE"
    PTX_TOO_NEW = "E_PTX_TOO_NEW"
    ARCH_DROPPED = "E_ARCH_DROPPED_BY_DRIVER"
    ARCH_TOO_NEW = "E_ARCH_NEWER_THAN_DRIVER"
    MISMATCH = "E_KMD_UMD_MISMATCH"
    GFX_MISSING = "E_GFX_MISSING"
    NO_DEVICE = "E_NO_DEVICE"
    NO_CDI = "E_NO_CDI"
    COMPAT = "N_COMPAT"
    NEW_API = "W_NEW_API_36"
    JIT_BLOCKED = "W_JIT_BLOCKED"
    FIRST_RUN_SLOW = "W_FIRST_RUN_SLOW"
    PART = "W_PARTIAL"
    FEATURES = "W_FEATURES_MISSING"
    STUB = "W_STUB_LIBCUDA"
    NEW_BRANCH = "U_NEW_BRANCH"
    DRIVER = "U_DRIVER"
    ARCH = "U_ARCH"
    DEVICES = "U_DEVICES"
    RUNTIME = "U_RUNTIME"
    NEW_TOOLKIT = "U_NEW_TOOLKIT"
    COMPAT_GPU = "U_COMPAT_GPU"
    ROCM_PAIR = "U_ROCM_PAIR"
    IN_TREE = "U_IN_TREE"
    VENDOR = "U_VENDOR"


MACHINE_LEVELS = {
    Reason.MISMATCH: Level.WILL_NOT_RUN,
    Reason.NO_DEVICE: Level.WILL_NOT_RUN,
    Reason.NO_CDI: Level.WILL_NOT_RUN,
    Reason.DRIVER: Level.UNKNOWN,
    Reason.RUNTIME: Level.UNKNOWN,
    Reason.DEVICES: Level.UNKNOWN,
    Reason.VENDOR: Level.UNKNOWN,
}
"""What a finding of a machine as a whole means for all of its devices; others are remarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A reason and its sentence."""

    reason: Reason
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryVerdict:
    """Whether one part of the environment runs on one kind of device.

    Attributes:
        name: Package, or the file if nobody brings it; `CUDA 13.2` for the runtime itself.
        file: Relative to the environment's prefix; empty for the runtime.
        have: Containers with code that runs.
        total: Containers that count for the device.
    """

    name: str
    level: Level
    file: str = ""
    findings: tuple[Finding, ...] = ()
    have: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceVerdict:
    """Whether an environment runs on devices of one kind.

    Attributes:
        level: The worst of the device's own and its libraries'.
        findings: Of the device as a whole.
        libraries: The worst first, then by name; those that are plainly `ok` are there too.
    """

    device: GpuDevice
    level: Level
    findings: tuple[Finding, ...] = ()
    libraries: tuple[LibraryVerdict, ...] = ()

    @property
    def weakest(self) -> LibraryVerdict | None:
        """Give the part that decides the level; None where all is `ok`, or the device itself decides."""
        first = self.libraries[0] if self.libraries else None
        return first if first and first.level == self.level and first.level != Level.OK else None


def rank_parts(
    device: GpuDevice, level: Level, findings: Sequence[Finding], parts: Iterable[LibraryVerdict]
) -> DeviceVerdict:
    """Join what was found of a kind of device and of the libraries on it, the worst first."""
    ranked = tuple(sorted(parts, key=lambda part: (-rank(part.level), part.name, part.file)))
    return DeviceVerdict(
        device=device,
        level=worst(level, *(part.level for part in ranked)),
        findings=tuple(findings),
        libraries=ranked,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """The cheapest change that leads to a better verdict, which was judged anew to know it.

    Attributes:
        kind: `restart`, `loader`, `container`, `compat`, `driver`, `older-driver`, `pin`, `machine`, or two of them.
        words: What to do, without a full stop.
        level: The verdict that it leads to.
    """

    kind: str
    words: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is to be expected of an environment on a machine.

    Attributes:
        rules: Version of the compatibility table.
        vendors: Whose devices the environment wants, sorted; empty if it wants no GPU, then the level is `ok`.
        level: The worst over the machine and its devices.
        cpu_only: The machine has no GPU for the environment, and the level says that of its GPU code alone: what also
            runs on a CPU does so there. A build server may take this for fine, a `check` before a run may not.
        findings: Of the machine as a whole.
        devices: Kinds of device that were judged, in the machine's order.
        fix: The one fix to propose, or None: nothing to fix, or none known.
    """

    rules: str
    vendors: tuple[str, ...] = ()
    level: Level = Level.OK
    cpu_only: bool = False
    findings: tuple[Finding, ...] = ()
    devices: tuple[DeviceVerdict, ...] = ()
    fix: Fix | None = None

    @property
    def best(self) -> Level:
        """Give the level on the kind of device on which the environment runs best; the machine's without devices."""
        if not self.devices:
            return self.level
        machine = worst(*(MACHINE_LEVELS.get(finding.reason, Level.OK) for finding in self.findings))
        return worst(machine, min((one.level for one in self.devices), key=_ORDER.index))

    @property
    def weakest(self) -> LibraryVerdict | None:
        """Give the part that decides the level of the worst device."""
        return max(self.devices, key=lambda one: rank(one.level)).weakest if self.devices else None
