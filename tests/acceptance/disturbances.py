"""Everything about a machine that must not show in the bytes: one disturbance each, and how envcap runs under it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.environments import MACHINE, ROOT, UV, Program, need_python

NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What is unusual about a run.

    Attributes:
        name: For the test's name.
        python: The Python that envcap runs on.
        settings: Environment variables.
        umask: Of the process.
        cwd: Where it is started; empty for the folder of the test.
        nobody: Run as the user that owns nothing.
        years: How far ahead the clock is.
        jobs: Of `rebuild`.
        shuffled: Folders list their files in another order each time.
    """

    name: str
    python: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    cwd: str = ""
    nobody: bool = False
    years: int = 0
    jobs: int = 0
    shuffled: bool = False

    def __str__(self) -> str:
        return self.name


C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UTF_LOCALE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}

SINGLE = (
    Disturbance(name="nothing"),
    Disturbance(name="python-3.11", python="3.11"),
    Disturbance(name="python-3.12", python="3.12"),
    Disturbance(name="python-3.13", python="3.13"),
    Disturbance(name="time-zone", settings={"TZ": "Pacific/Kiritimati"}),
    Disturbance(name="locale-c", settings=C_LOCALE),
    Disturbance(name="locale-utf-8", settings=UTF_LOCALE),
    Disturbance(name="umask-000", umask=0o000),
    Disturbance(name="umask-077", umask=0o077),
    Disturbance(name="home", settings={"HOME": "/nonexistent"}),
    Disturbance(name="folder", cwd="/"),
    Disturbance(name="user", nobody=True),
    Disturbance(name="hash-seed-0", settings={"PYTHONHASHSEED": "0"}),
    Disturbance(name="hash-seed-1", settings={"PYTHONHASHSEED": "1"}),
    Disturbance(name="source-date-epoch", settings={"SOURCE_DATE_EPOCH": "1234567890"}),
    Disturbance(name="clock", years=2),
    Disturbance(name="one-job", jobs=1),
    Disturbance(name="two-jobs", jobs=2),
    Disturbance(name="folder-order", shuffled=True),
)

MANY = (
    Disturbance(
        name="a-bad-day",
        python="3.12",
        settings={**C_LOCALE, "TZ": "America/St_Johns", "HOME": "/nonexistent", "PYTHONHASHSEED": "1"},
        umask=0o077,
        years=2,
        jobs=1,
    ),
    Disturbance(
        name="another-bad-day",
        python="3.13",
        settings={**UTF_LOCALE, "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "2"},
        umask=0o000,
        cwd="/",
        jobs=2,
        shuffled=True,
    ),
    Disturbance(name="nobody's-day", settings={"HOME": "/nonexistent"}, umask=0o027, nobody=True),
)
"""Several at once, for a lock of real packages."""


class Bench:
    """Runs envcap under disturbances, from a folder that every user can reach."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        # The package is copied, since other users may not reach the project.
        shutil.copytree(ROOT / "envcap", root / "code" / "envcap", ignore=shutil.ignore_patterns("__pycache__"))
        self._pythons: dict[str, str] = {}

    def python(self, version: str) -> str:
        """Give a Python of a version that has what envcap needs, pinned; skips the test if the machine has none."""
        if version not in self._pythons:
            prefix = self.root / f"python{version}"
            pins = ["-r", str(ROOT / "pyproject.toml"), "-c", str(ROOT / "requirements-dev.txt")]
            for command in (
                ["venv", "--python", need_python(version), str(prefix)],
                ["pip", "install", "--python", str(prefix), "--no-build", "--compile-bytecode", *pins],
            ):
                subprocess.run([UV, "--quiet", *command], env=MACHINE, check=True)
            subprocess.run([str(prefix / "bin/python"), "-m", "compileall", "-q", str(self.root / "code")], check=True)
            self._pythons[version] = str(prefix / "bin" / "python")
        return self._pythons[version]

    def _sleeping(self) -> str:
        """Give a folder whose `sitecustomize` sleeps in a way that libfaketime bears.

        Version 0.9.10 answers EINVAL to the `clock_nanosleep` of `time.sleep` if it leaves the monotonic clock alone,
        and hangs in `pthread_cond_timedwait` if it does not.
        """
        folder = self.root / "sleeping"
        folder.mkdir(exist_ok=True)
        code = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
        (folder / "sitecustomize.py").write_text(code)
        return str(folder)

    @contextmanager
    def disturbed(self, how: Disturbance, world: Path, settings: Mapping[str, str]) -> Iterator[Program]:
        """Give the program as it runs under a disturbance; its store and its folder lie in `world`.

        Args:
            how: The disturbance.
            world: A folder; where the order of files is shuffled, it is reached through a view of it.
            settings: What the program needs beside the disturbance.
        """
        wrapper = _wrapper(how)
        python = self.python(how.python or "3.11")
        path = [str(self.root / "code"), *([self._sleeping()] if how.years else [])]
        base = {**settings, "PYTHONPATH": os.pathsep.join(path)}
        if how.nobody:
            _give_away(world)
            if subprocess.run([*wrapper, python, "-c", ""], capture_output=True, check=False).returncode:
                pytest.skip("another user may not run this machine's Python 3.11")
        with ExitStack() as stack:
            seen = world
            if how.shuffled:
                seen = world.with_name(f"{world.name}-shuffled")
                seen.mkdir()
                stack.enter_context(shuffled(world, seen))
            yield Program(
                store=seen / "store",
                cwd=Path(how.cwd) if how.cwd else seen,
                python=python,
                settings={**base, **how.settings},
                wrapper=wrapper,
                umask=how.umask,
            )


def _wrapper(how: Disturbance) -> Sequence[str]:
    wrapper: list[str] = []
    if how.years:
        if shutil.which("faketime") is None:
            pytest.skip("faketime is not installed")
        wrapper += ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", f"+{how.years}y"]
    if how.nobody:
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            pytest.skip("becoming another user needs root and setpriv")
        wrapper += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return wrapper


def _give_away(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@contextmanager
def shuffled(folder: Path, view: Path) -> Iterator[None]:
    """Show a folder at another place, where its files are listed in another order each time."""
    if shutil.which("disorderfs") is None:
        pytest.skip("disorderfs is not installed")
    command = ["disorderfs", "--shuffle-dirents=yes", "--multi-user=no", "-o", "nonempty", str(folder), str(view)]
    mounted = subprocess.run(command, capture_output=True, check=False, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"disorderfs can't mount here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        unmount = ["fusermount3", "-u"] if shutil.which("fusermount3") else ["umount"]
        subprocess.run([*unmount, str(view)], check=True)
