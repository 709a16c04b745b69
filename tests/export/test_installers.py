"""Real pip, uv and pip-sync take what envcap exports, and find nothing to do where it is installed."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from packaging.utils import canonicalize_name

from envcap.export.pylock import export_pylock
from envcap.export.requirements import export_requirements
from envcap.export.result import Export
from envcap.lockfile.model import Artifact, Lockfile
from tests.export.wheels import PLATFORM, lock_of, make_wheel, package, sha256_of, write_index

pytestmark = pytest.mark.slow

INSTALLED = {"alpha": "1.0", "beta-two": "2.0+local.1", "delta": "0.3", "gamma": "4.0rc1"}
LIST = "import importlib.metadata as m; print(*(d.name + '=' + d.version for d in m.distributions()))"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps silent."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An index on loopback, and a lock folder with one captured wheel."""

    base: str
    folder: Path
    lockfile: Lockfile
    environment: Mapping[str, str]

    def locate(self, artifact: Artifact) -> str:
        return f"{self.base}/{artifact.file.replace('+', '%2B')}"

    def write(self, name: str, export: Export) -> Path:
        """Write an export into the lock's folder, and what it needs beside it."""
        file = self.folder / name
        file.write_text(export.text)
        for wheel in export.wheels:
            target = self.folder / wheel.path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((self.folder / "blobs" / "sha256" / wheel.sha256).read_bytes())
        return file

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            check=False,
            env=dict(self.environment),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("export")
    made = root / "made"
    alpha = make_wheel(made, "alpha", "1.0", requires=["beta-two>=2"])
    beta = make_wheel(made, "beta_two", "2.0+local.1")
    delta = make_wheel(made, "delta", "0.3")
    gamma = make_wheel(made, "gamma", "4.0rc1")
    write_index(root / "index", [alpha, beta])
    (root / "index" / "direct").mkdir()
    (root / "index" / "direct" / delta.name).write_bytes(delta.read_bytes())
    folder = root / "lockfiles" / "hand"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "blobs" / "sha256" / sha256_of(gamma)).write_bytes(gamma.read_bytes())
    handler = functools.partial(Quiet, directory=str(root / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        yield World(
            base=base,
            folder=folder,
            lockfile=lock_of(
                package(alpha),
                package(beta),
                package(delta, source="url", url=f"{base}/direct/{delta.name}", origin="url"),
                package(gamma, source="captured", origin="editable"),
            ),
            environment={
                "PATH": os.defpath,
                "HOME": str(root / "home"),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_INDEX_URL": base,
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "UV_NO_CONFIG": "1",
                "UV_CACHE_DIR": str(root / "uv"),
                "UV_INDEX_URL": base,
            },
        )
        server.shutdown()
        thread.join()


def uv() -> Path:
    return Path(sys.executable).with_name("uv")


def make_environment(world: World, folder: Path) -> Path:
    """Make an empty environment without pip and give its interpreter."""
    done = world.run(uv(), "venv", "--quiet", "--offline", "--python", sys.executable, folder)
    assert done.returncode == 0, done.stdout
    return folder / "bin" / "python"


def installed(world: World, python: Path) -> dict[str, str]:
    rows = world.run(python, "-c", LIST).stdout.split()
    pairs = [row.partition("=") for row in rows]
    return {canonicalize_name(name): version for name, _, version in pairs}


def pylock(world: World, name: str, folder: str = "wheels") -> Path:
    export = export_pylock(
        world.lockfile,
        platform=PLATFORM,
        locate=world.locate,
        blobs=PurePosixPath("blobs/sha256"),
        wheels=PurePosixPath(folder) if folder == "wheels" else None,
    )
    assert export.findings == ()
    return world.write(name, export)


@pytest.mark.parametrize("command", ["install", "sync"])
@pytest.mark.parametrize("folder", ["blobs/sha256", "wheels"])
def test_uv_installs_a_pylock_and_has_nothing_to_do_afterwards(
    world: World, tmp_path: Path, command: str, folder: str
) -> None:
    lock = pylock(world, f"pylock.{command}-{folder[:4]}.toml", folder)
    python = make_environment(world, tmp_path / "venv")
    arguments: list[str | Path] = ["pip", command, "--python", python, *(["-r"] if command == "install" else []), lock]
    done = world.run(uv(), *arguments)
    assert done.returncode == 0, done.stdout
    assert installed(world, python) == INSTALLED
    again = world.run(uv(), *arguments)
    assert again.returncode == 0
    assert "Installed" not in again.stdout
    assert "Uninstalled" not in again.stdout


def test_pip_installs_a_pylock(world: World, tmp_path: Path) -> None:
    lock = pylock(world, "pylock.toml")
    python = make_environment(world, tmp_path / "venv")
    done = world.run(sys.executable, "-m", "pip", "--python", python, "install", "--no-cache-dir", "-r", lock)
    assert done.returncode == 0, done.stdout
    assert installed(world, python) == INSTALLED


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_pylock_of_another_python_is_refused(world: World, tmp_path: Path, tool: str) -> None:
    other = lock_of(*world.lockfile.packages, python="3.9.1")
    export = export_pylock(other, platform=PLATFORM, locate=world.locate, wheels=PurePosixPath("wheels"))
    lock = world.write(f"pylock.{tool}.toml", export)
    python = make_environment(world, tmp_path / "venv")
    if tool == "uv":
        done = world.run(uv(), "pip", "install", "--python", python, "-r", lock)
    else:
        done = world.run(sys.executable, "-m", "pip", "--python", python, "install", "-r", lock)
    assert done.returncode != 0
    assert "==3.9.*" in done.stdout


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_another_file_of_the_same_name_is_refused(world: World, tmp_path: Path, tool: str) -> None:
    text = pylock(world, "pylock.right.toml").read_text()
    alpha = world.lockfile.packages[0].artifacts[0].sha256
    lock = world.folder / f"pylock.wrong-{tool}.toml"
    lock.write_text(text.replace(alpha, "0" * 64))
    python = make_environment(world, tmp_path / "venv")
    if tool == "uv":
        done = world.run(uv(), "pip", "install", "--no-cache", "--python", python, "-r", lock)
    else:
        done = world.run(sys.executable, "-m", "pip", "--python", python, "install", "--no-cache-dir", "-r", lock)
    assert done.returncode != 0
    assert "0" * 64 in done.stdout
    assert installed(world, python) == {}


@pytest.fixture(scope="module")
def requirements(world: World) -> Path:
    export = export_requirements(world.lockfile, platform=PLATFORM, wheels=PurePosixPath("wheels"))
    assert export.findings == ()
    return world.write("requirements.txt", export)


def test_pip_installs_requirements_with_hashes(world: World, tmp_path: Path, requirements: Path) -> None:
    python = make_environment(world, tmp_path / "venv")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-cache-dir",
        "--require-hashes",
        "-r",
    ]
    done = world.run(*pip, requirements)
    assert done.returncode == 0, done.stdout
    assert installed(world, python) == INSTALLED


def test_uv_syncs_requirements_with_hashes(world: World, tmp_path: Path, requirements: Path) -> None:
    python = make_environment(world, tmp_path / "venv")
    done = world.run(uv(), "pip", "sync", "--python", python, "--require-hashes", requirements)
    assert done.returncode == 0, done.stdout
    assert installed(world, python) == INSTALLED


def test_pip_sync_has_nothing_to_do_in_the_captured_environment(world: World, tmp_path: Path) -> None:
    """With pip (and setuptools, before Python 3.12) in the environment and in the lock, as a scan finds them."""
    python = tmp_path / "venv" / "bin" / "python"
    done = world.run(sys.executable, "-m", "venv", tmp_path / "venv")
    assert done.returncode == 0, done.stdout
    made = tmp_path / "made"
    own = [make_wheel(made, name, version) for name, version in sorted(installed(world, python).items())]
    index_only = [row for row in world.lockfile.packages if row.artifacts[0].source != "captured"]
    lockfile = lock_of(*index_only, *(package(wheel) for wheel in own))
    file = world.write("sync.txt", export_requirements(lockfile, platform=PLATFORM))
    install = world.write("install.txt", export_requirements(lock_of(*index_only), platform=PLATFORM))
    assert world.run(python, "-m", "pip", "install", "--no-cache-dir", "-r", install).returncode == 0
    sync: list[str | Path] = [
        sys.executable,
        "-m",
        "piptools",
        "sync",
        "--no-config",
        "--python-executable",
        python,
        "--dry-run",
    ]
    done = world.run(*sync, file)
    assert done.returncode == 0, done.stdout
    assert "Everything up-to-date" in done.stdout
    # Without pip and setuptools in the file it is still nothing: pip-sync leaves its own tools alone.
    assert "Everything up-to-date" in world.run(*sync, install).stdout
    assert world.run(python, "-m", "pip", "uninstall", "-y", "alpha").returncode == 0
    drifted = world.run(*sync, file)
    assert drifted.returncode == 1
    assert "Would install:\n  alpha==1.0" in drifted.stdout


def test_pip_sync_finds_a_direct_url_installed_and_reinstalls_a_path(
    world: World, tmp_path: Path, requirements: Path
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    assert world.run(sys.executable, "-m", "venv", tmp_path / "venv").returncode == 0
    assert world.run(python, "-m", "pip", "install", "--no-cache-dir", "-r", requirements).returncode == 0
    sync: list[str | Path] = [sys.executable, "-m", "piptools", "sync", "--no-config", "--python-executable", python]
    done = world.run(*sync, "--dry-run", requirements)
    assert done.returncode == 1
    (line,) = done.stdout.split("Would install:\n")[1].splitlines()
    assert line.startswith("  gamma @ file://")
    assert line.endswith("/wheels/gamma-4.0rc1-py3-none-any.whl")
