"""Where it all happens: folders, the programs that are measured, the environment that they work on."""

import json
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from commands import Measured, StepError, run

QUICK = frozenset(
    {
        *(
            "certifi",
            "charset-normalizer",
            "contourpy",
            "cycler",
            "fonttools",
            "idna",
            "kiwisolver",
            "matplotlib",
            "numpy",
        ),
        *("packaging", "pandas", "pillow", "pyparsing", "python-dateutil", "requests", "six", "urllib3"),
    }
)
"""The smaller set of `--quick`: complete, so that it installs without dependencies."""

_UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_PROVEN = re.compile(r"by reading ([\d.]+) (\w+) of ([\d.]+) (\w+) of wheels(?: and ([\d.]+) (\w+) of index pages)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A folder, and the programs.

    Attributes:
        root: The folder; absolute.
        pins: Lines `name==version`.
        python: The interpreter of the environment that is captured.
        bin: Where envcap and uv are: the folder of this process's interpreter.
    """

    root: Path
    pins: tuple[str, ...]
    python: Path
    bin: Path = field(default_factory=lambda: Path(sys.executable).parent)

    @property
    def environment(self) -> Path:
        """The environment that is captured."""
        return self.root / "env"

    @property
    def requirements(self) -> Path:
        """The pins as a file."""
        return self.root / "requirements.txt"

    @property
    def store(self) -> Path:
        """The store of the measured rebuilds."""
        return self.root / "store"

    @property
    def cache(self) -> Path:
        """uv's cache; kept between runs."""
        return self.root / "uv-cache"

    @property
    def lock(self) -> Path:
        """The folder of the lock."""
        return self.root / "locks" / "bench"

    def uv(self, *arguments: str | Path, offline: bool = False) -> Measured:
        """Run uv with its own cache."""
        more = {"UV_CACHE_DIR": str(self.cache), "UV_PYTHON_DOWNLOADS": "never", "UV_OFFLINE": str(int(offline))}
        return run([self.bin / "uv", *arguments], env=more, cwd=self.root)

    def envcap(self, *arguments: str | Path) -> Measured:
        """Run envcap as a user does."""
        return run([self.bin / "envcap", *arguments], cwd=self.root)

    def make_venv(self, folder: Path) -> None:
        """Make an empty environment."""
        shutil.rmtree(folder, ignore_errors=True)
        self.uv("venv", "--quiet", "--python", self.python, folder)

    def install(self, folder: Path, *, offline: bool = False) -> Measured:
        """Install the pins by copying, as uv does across file systems and into image layers."""
        where = ("--python", folder, "--link-mode=copy", "--no-deps")
        return self.uv("pip", "install", "--quiet", *where, "--requirement", self.requirements, offline=offline)

    def snapshot(self, store: Path, *, locks: str = "locks") -> Measured:
        """Take a snapshot of the environment."""
        where = ("--output", self.root / locks, "--store", store)
        return self.envcap("snapshot", self.environment, "--name", "bench", *where)

    def check(self, store: Path, *options: str) -> Measured:
        """Compare the environment with its lock."""
        return self.envcap("check", self.lock, self.environment, "--store", store, *options)

    def rebuild(self, *, offline: bool = True) -> tuple[Measured, dict[str, Any]]:
        """Rebuild the lock to a layout folder; gives the time and what `--json` says."""
        output = self.root / "layout"
        shutil.rmtree(output, ignore_errors=True)
        how = ("--offline",) if offline else ()
        measured = self.envcap("rebuild", self.lock, "--output", output, "--store", self.store, "--json", *how)
        return measured, json.loads(measured.output)

    def read_lock(self, locks: str = "locks") -> dict[str, Any]:
        """Read the lock that a snapshot wrote.

        Raises:
            StepError: It wrote none.
        """
        try:
            return tomllib.loads((self.root / locks / "bench" / "envcap.lock").read_text(encoding="utf-8"))
        except OSError:
            raise StepError("needs a snapshot, and there is none") from None


@dataclass(slots=True, kw_only=True)
class Part:
    """A part of a run with a folder of its own.

    Attributes:
        name: Name of the folder.
        place: Where it happens.
        facts: What was measured on, for the line below the table.
    """

    name: ClassVar[str]
    place: Workplace
    facts: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.place.root / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Bytes of one snapshot, as it reports them itself (three digits).

    Attributes:
        read: Received, without index pages.
        wheels: Of all wheels.
        pages: Of index pages.
    """

    read: float
    wheels: float
    pages: float


def fetched(output: str) -> Fetched:
    """Find in a snapshot's report what it fetched.

    Raises:
        StepError: It does not say.
    """
    found = _PROVEN.search(output)
    if found is None:
        raise StepError("the snapshot does not say what it fetched")
    amounts = [float(found[at] or 0) * _UNITS[found[at + 1] or "B"] for at in (1, 3, 5)]
    return Fetched(read=amounts[0], wheels=amounts[1], pages=amounts[2])


def count_files(folder: Path) -> int:
    """Count the files of an environment, links included."""
    return sum(not path.is_dir() or path.is_symlink() for path in folder.rglob("*"))
