"""A whole small world without network: an environment, the wheels it came from, a Debian archive, a home and a store.

The environment is a real one (`python -m venv --without-pip`), its packages are wheels made by hand and laid out as pip
would. `Flow.environ` points pip's settings to the folder of wheels and envcap's to the archive; `Flow.run` starts the
program in this process, `Flow.spawn` as a process of its own.
"""

import base64
import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from envcap.cli.app import run
from envcap.environment import EntryPoint, Environment
from envcap.interpreter.origin import DebianInterpreter, identify_interpreter
from envcap.scan import SubprocessRunner, scan_environment
from tests.lock.debian_archive import Deb, Pocket, base_debs, build_archive
from tests.lock.wheels import generated_script, make_wheel, wheel_files

ROOT = Path(__file__).parent.parent
SYSTEM_PYTHON = "/usr/bin/python3"
OWN_PYTHON = str(getattr(sys, "_base_executable", sys.executable))
"""The interpreter below the environment that the tests run in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel to make and to install."""

    name: str
    version: str
    files: Mapping[str, bytes]
    console_script: EntryPoint | None = None

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def info(self) -> str:
        return f"{self.name}-{self.version}.dist-info"

    @property
    def members(self) -> dict[str, bytes]:
        members = wheel_files(self.name, self.version, self.files)
        if self.console_script is not None:
            text = f"[console_scripts]\n{self.console_script.name} = {self.console_script.value}\n"
            members[f"{self.info}/entry_points.txt"] = text.encode()
        return members

    def build(self) -> bytes:
        return make_wheel(self.name, self.version, self.members)


WHEELS = (
    Wheel(
        name="alpha",
        version="1.0",
        files={
            "alpha/__init__.py": b"def main():\n    return 'alpha'\n" * 40,
            "alpha/data/table.csv": b"a,b\n1,2\n",
            "alpha-1.0.data/scripts/alpha-tool": b"#!python\nprint('tool')\n",
        },
        console_script=EntryPoint(name="alpha", value="alpha:main"),
    ),
    Wheel(name="beta", version="2.1", files={"beta.py": b"VALUE = 2\n"}),
    # Incompressible, so that it is large enough for a layer of its own.
    Wheel(
        name="gamma",
        version="0.3",
        files={"gamma/blob.bin": b"".join(sha256(b"%d" % number).digest() for number in range(40_000))},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command left."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The world; every path lies below `root`."""

    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: str = "env"

    @property
    def prefix(self) -> Path:
        return self.root / self.environment

    @property
    def wheels(self) -> Path:
        return self.root / "wheels"

    @property
    def mirror(self) -> Path:
        return self.root / "debian"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def locks(self) -> Path:
        return self.root / "lockfiles"

    @property
    def lock(self) -> Path:
        """The lock of `snapshot()`, as a folder."""
        return self.locks / "small"

    @property
    def site_packages(self) -> Path:
        return next((self.prefix / "lib").glob("python3.*")) / "site-packages"

    @property
    def environ(self) -> dict[str, str]:
        """Everything that a command's process sees."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "80",
            "ENVCAP_STORE": str(self.store),
            "ENVCAP_DEBIAN_MIRROR": self.mirror.as_uri(),
            "ENVCAP_PYTHON_MIRROR": (self.root / "no-mirror").as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "UV_NO_CONFIG": "1",
            "DOCKER_HOST": f"unix://{self.root}/no-docker.sock",
            **self.settings,
        }

    def run(self, *arguments: object) -> Answer:
        """Run the program in this process."""
        out, err = io.StringIO(), io.StringIO()
        with self.inside(), redirect_stdout(out), redirect_stderr(err):
            status = run([str(argument) for argument in arguments])
        return Answer(status=status, out=out.getvalue(), err=err.getvalue())

    def spawn(self, *arguments: object, python: str = sys.executable) -> Answer:
        """Run the program as a process."""
        done = subprocess.run(
            [python, "-m", "envcap", *map(str, arguments)],
            env=self.environ | {"PYTHONPATH": str(ROOT)},
            cwd=self.root,
            capture_output=True,
            check=False,
            timeout=300,
            encoding="utf-8",
        )
        return Answer(status=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Give this process the world's variables and folder for a while."""
        saved, folder = dict(os.environ), Path.cwd()
        os.environ.clear()
        os.environ.update(self.environ)
        os.chdir(self.root)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(saved)

    def snapshot(self, *arguments: object) -> Answer:
        """Take the snapshot that `lock` names."""
        return self.run("snapshot", self.prefix, "--name", "small", "--output", self.locks, *arguments)


def make_flow(root: Path, *, python: str = "") -> Flow:
    """Make the world in an empty folder, in less than a second.

    Args:
        root: The folder.
        python: Base interpreter of the environment; the system's where there is one, since an interpreter of the
            operating system costs the lock nothing, while any other is captured, which takes seconds.
    """
    flow = Flow(root=root)
    for folder in (flow.wheels, flow.mirror, flow.home):
        folder.mkdir(parents=True)
    base = python or (SYSTEM_PYTHON if Path(SYSTEM_PYTHON).exists() else OWN_PYTHON)
    subprocess.run([base, "-m", "venv", "--without-pip", str(flow.prefix)], check=True)
    for wheel in WHEELS:
        (flow.wheels / wheel.file).write_bytes(wheel.build())
        install_wheel(flow, wheel)
    environment = scan_environment(flow.prefix, run=SubprocessRunner(dict(os.environ)))
    machine = environment.interpreter.markers["platform_machine"]
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    build_archive(
        flow.mirror,
        Pocket(suite="bookworm", debs=debs_for(environment, architecture)),
        architectures=(architecture,),
    )
    return flow


def install_wheel(flow: Flow, wheel: Wheel) -> None:
    """Lay a wheel out as pip does, and write its RECORD last."""
    scripts = f"{wheel.name}-{wheel.version}.data/scripts/"
    site = flow.site_packages
    written: list[Path] = []
    for member, data in wheel.members.items():
        if member.startswith(scripts):
            shebang = f"#!{flow.prefix}/bin/python".encode()
            path = _put(flow.prefix / "bin" / member.removeprefix(scripts), data.replace(b"#!python", shebang), 0o755)
        else:
            path = _put(site / member, data, 0o644)
        written.append(path)
    if point := wheel.console_script:
        written.append(_put(flow.prefix / "bin" / point.name, generated_script(flow.prefix, point), 0o755))
    written.append(_put(site / wheel.info / "INSTALLER", b"pip\n", 0o644))
    written.append(_put(site / wheel.info / "REQUESTED", b"", 0o644))
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for path in written:
        digest = base64.urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        rows.writerow([os.path.relpath(path, site), f"sha256={digest}", path.stat().st_size])
    rows.writerow([f"{wheel.info}/RECORD", "", ""])
    _put(site / wheel.info / "RECORD", record.getvalue().encode(), 0o644)


def rewrite_wheel(flow: Flow, wheel: Wheel, edit: Callable[[bytes], bytes]) -> None:
    """Replace a wheel in the folder that serves it by other bytes."""
    path = flow.wheels / wheel.file
    path.write_bytes(edit(path.read_bytes()))


def _put(path: Path, data: bytes, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def debs_for(environment: Environment, architecture: str) -> tuple[Deb, ...]:
    """Give an archive that answers what this machine's interpreter needs."""
    facts = environment.interpreter
    provided = {"libc.so.6", "libm.so.6", "libgcc_s.so.1"}
    needed = tuple(need.soname for need in environment.elf.needs if need.soname not in provided)
    glibc = max((environment.elf.glibc or "0", "2.36"), key=lambda text: [int(part) for part in text.split(".")])
    debs = [*base_debs(glibc=f"{glibc}-9", architecture=architecture)]
    if needed:
        debs.append(Deb(name="libneeds1", architecture=architecture, depends="libc6", libraries=needed))
    if isinstance(identify_interpreter(facts, os_release=_os_release()), DebianInterpreter):
        python = "python" + ".".join(facts.version.split(".")[:2])
        files = {f"usr/bin/{python}": b"\x7fELF nothing that runs"}
        debs.append(
            Deb(name=python, version=f"{facts.version}-1", architecture=architecture, depends="libc6", files=files)
        )
    return tuple(debs)


def _os_release() -> str:
    path = Path("/etc/os-release")
    return path.read_text(encoding="utf-8") if path.is_file() else ""
