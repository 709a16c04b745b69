"""What a lockfile says: frozen values, one dataclass a TOML table, fields in file order.

Content is named, never places: an artifact is source, file name, size and sha256 (DESIGN §3).
All hashes are 64 lower-case hex digits of sha256; tuples are sorted by the writer's rules.
"""

from dataclasses import dataclass, field

from envcap.gpu.model import GpuStack
from envcap.lockfile.model.artifact import CAPTURED, Artifact, Source
from envcap.lockfile.model.conda import CondaPackage, VirtualPackage
from envcap.lockfile.model.content import CapturedFile, Patch
from envcap.lockfile.model.environment import Blas, LockedEnvironment
from envcap.lockfile.model.image import Expected, ImageSettings
from envcap.lockfile.model.python import NO_INTERPRETER, Interpreter, Package, SourceArchive
from envcap.lockfile.model.session import Session
from envcap.lockfile.model.system import SystemPackage

__all__ = [
    "CAPTURED",
    "LOCK_VERSION",
    "NO_INTERPRETER",
    "Artifact",
    "Blas",
    "CapturedFile",
    "CondaPackage",
    "Expected",
    "ImageSettings",
    "Interpreter",
    "LockedEnvironment",
    "Lockfile",
    "Package",
    "Patch",
    "Session",
    "Source",
    "SourceArchive",
    "SystemPackage",
    "VirtualPackage",
]

LOCK_VERSION = "1.0"


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
