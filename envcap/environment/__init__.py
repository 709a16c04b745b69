"""What is there: the facts that a scan found in a live environment. Pure nouns, no verbs.

Paths are relative to the environment's prefix and `/`-separated, so that a moved environment scans alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.environment.conda import CondaPath, CondaRecord
from envcap.environment.files import InstalledFile
from envcap.environment.interpreter import InterpreterFacts, no_interpreter
from envcap.environment.python import Checkout, DirectUrl, Distribution, EntryPoint, RecordRow
from envcap.environment.system import ElfFacts, ElfNeed, OsPackage
from envcap.finding import Finding

__all__ = [
    "Checkout",
    "CondaPath",
    "CondaRecord",
    "DirectUrl",
    "Distribution",
    "ElfFacts",
    "ElfNeed",
    "EntryPoint",
    "Environment",
    "InstalledFile",
    "InterpreterFacts",
    "OsPackage",
    "RecordRow",
    "no_interpreter",
]


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
