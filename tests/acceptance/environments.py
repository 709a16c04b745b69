"""Real environments from this machine's index, pinned with hashes, and envcap as a process of its own.

An environment is made by pip or by uv, on a CPython that the machine has; interpreters are looked for when asked.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
MACHINE = dict(os.environ)
"""What the tests were started with, taken before any test runs: it tells where the index and the mirror are."""

UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an environment is made: by `pip` or `uv`, on which Python, from which file of `requirements/`."""

    installer: str
    python: str
    requirements: str

    def __str__(self) -> str:
        return f"{self.requirements}-{self.installer}-{self.python}"


SMALL_UV_311 = Recipe(installer="uv", python="3.11", requirements="small")
SMALL_PIP_311 = Recipe(installer="pip", python="3.11", requirements="small")
SCIENCE_UV_311 = Recipe(installer="uv", python="3.11", requirements="science")
SMALL_UV_312 = Recipe(installer="uv", python="3.12", requirements="small")
OPENCV_PIP_312 = Recipe(installer="pip", python="3.12", requirements="opencv")
RECIPES = (SMALL_UV_311, SMALL_PIP_311, SCIENCE_UV_311, SMALL_UV_312, OPENCV_PIP_312)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  # what a command prints has a shape of its own
        """The object that it printed."""
        return json.loads(self.out)

    def fine(self) -> "Answer":
        """Insist on success."""
        assert self.status == 0, f"status {self.status}\n{self.out}\n{self.err}"
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The `envcap` program, how it is started and with what.

    Attributes:
        store: Its content store.
        cwd: Where it is started.
        python: The interpreter that runs it.
        settings: Variables beside those of the machine.
        wrapper: A command that starts it, such as `faketime`.
        umask: Of its process; -1 keeps ours.
    """

    store: Path
    cwd: Path
    python: str = sys.executable
    settings: Mapping[str, str] = field(default_factory=dict)
    wrapper: Sequence[str] = ()
    umask: int = -1

    def __call__(self, *arguments: object) -> Answer:
        """Run a command of it."""
        environ = {**MACHINE, "PYTHONPATH": str(ROOT), **self.settings, "ENVCAP_STORE": str(self.store)}
        done = subprocess.run(
            [*self.wrapper, self.python, "-m", "envcap", *map(str, arguments)],
            env={name: value for name, value in environ.items() if value},
            cwd=self.cwd,
            umask=self.umask,
            capture_output=True,
            check=False,
            timeout=900,
            encoding="utf-8",
        )
        return Answer(status=done.returncode, out=done.stdout, err=done.stderr)


@cache
def find_python(version: str) -> str:
    """Find a CPython of a version, Debian's own first; empty if the machine has none."""
    return next(_pythons(version), "")


def _pythons(version: str) -> Iterator[str]:
    name = f"python{version}"
    pyenv = Path(MACHINE.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        shutil.which(name, path="/usr/bin"),
        *(str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))),
        *_known_to_uv(version),
        shutil.which(name),
    ]
    for candidate in candidates:
        if candidate and _answers(candidate, f"import sys, venv; assert sys.version.startswith('{version}.')"):
            yield candidate


def _known_to_uv(version: str) -> list[str]:
    command = [UV, "python", "list", version, "--only-installed", "--output-format", "json"]
    done = subprocess.run(command, env=MACHINE, capture_output=True, check=False)
    return [row["path"] for row in json.loads(done.stdout or b"[]") if row["implementation"] == "cpython"]


def _answers(python: str, question: str) -> bool:
    return subprocess.run([python, "-c", question], env=MACHINE, capture_output=True, check=False).returncode == 0


def need_python(version: str) -> str:
    """Find a CPython of a version, or skip the test."""
    python = find_python(version)
    if not python:
        pytest.skip(f"this machine has no CPython {version}")
    return python


def make_environment(recipe: Recipe, prefix: Path) -> Path:
    """Make an environment, or skip the test where its Python is missing."""
    python = need_python(recipe.python)
    wanted = ["--require-hashes", "-r", str(REQUIREMENTS / f"{recipe.requirements}.txt")]
    if recipe.installer == "uv":
        _run(UV, "venv", "--quiet", "--python", python, str(prefix))
        _run(UV, "pip", "install", "--quiet", "--python", str(prefix), "--no-build", *wanted)
    else:
        if _answers(python, "import ensurepip"):
            _run(python, "-m", "venv", str(prefix))
        else:
            _run(UV, "venv", "--quiet", "--seed", "--python", python, str(prefix))
        pip = (str(prefix / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq")
        _run(*pip, "--only-binary", ":all:", *wanted)
    return prefix


def pinned_names(recipe: Recipe) -> set[str]:
    """Name the packages that a recipe installs on its Python."""
    lines = (REQUIREMENTS / f"{recipe.requirements}.txt").read_text().splitlines()
    wanted = [Requirement(line.rstrip(" \\")) for line in lines if "==" in line]
    marked = {"python_full_version": f"{recipe.python}.0", "python_version": recipe.python}
    return {canonicalize_name(row.name) for row in wanted if not row.marker or row.marker.evaluate(marked)}


def _run(*command: str) -> None:
    done = subprocess.run(command, env=MACHINE, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A live environment, and the lock that a snapshot made of it."""

    prefix: Path
    lock: Path
    image_id: str

    def read(self) -> dict[str, Any]:
        """Read the lock, as any reader of TOML sees it."""
        return tomllib.loads((self.lock / "envcap.lock").read_text())


class Workshop:
    """Makes each environment, and its lock, once per run; all share one store, so that each wheel is fetched once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.envcap = Program(store=root / "store", cwd=root)
        self._known: dict[Recipe, Captured] = {}

    def captured(self, recipe: Recipe) -> Captured:
        """Give the environment of a recipe and its lock."""
        if recipe not in self._known:
            prefix = make_environment(recipe, self.root / "envs" / str(recipe))
            locks = self.root / "locks"
            answer = self.envcap("snapshot", prefix, "--name", recipe, "--output", locks, "--json").fine()
            lock = locks / str(recipe)
            self._known[recipe] = Captured(prefix=prefix, lock=lock, image_id=answer.json["image_id"])
        return self._known[recipe]
