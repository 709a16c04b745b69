"""A real interpreter of this machine, captured, and run at `/opt/python` with the original hidden."""

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from envcap.entry import EntryKind
from envcap.interpreter import capture_interpreter, captured_entries, interpreter_binaries
from envcap.scan.probe import probe_interpreter
from envcap.scan.runner import SubprocessRunner

PYENV = Path.home() / ".pyenv/versions"
FOUND = sorted(PYENV.glob("3.1[0-9].*/bin/python"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOUND, reason="pyenv has no Python 3.10 or newer on this machine"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]

PROGRAM = """
import bz2, ctypes, curses, hashlib, lzma, readline, sqlite3, ssl, sys, sysconfig, venv, zlib
import subprocess
home, version = sys.argv[1:]
assert (sys.prefix, sys.base_prefix, sys.exec_prefix) == ("/opt/python",) * 3, sys.prefix
assert sys.version.startswith(version + " "), sys.version
assert hashlib.sha256(b"x").hexdigest().startswith("2d711642")
kept = {k: v for k, v in sysconfig.get_config_vars().items() if k != "userbase" and isinstance(v, str)}
bad = {k: v for k, v in kept.items() if home + "/" in v or "/tmp/" in v}
assert not bad, bad
assert sysconfig.get_config_var("INCLUDEPY").startswith("/opt/python/include/")
venv.create("/scratch/env")
says = subprocess.check_output(["/scratch/env/bin/python", "-c", "import sys; print(sys.prefix, sys.base_prefix)"])
assert says == b"/scratch/env /opt/python\\n", says
flags = subprocess.check_output(["/opt/python/bin/python3-config", "--includes"])
assert b"/opt/python/include" in flags, flags
print("all is well")
"""


@pytest.mark.parametrize("executable", FOUND, ids=lambda path: path.parent.parent.name)
def test_a_captured_pyenv_python_runs_where_its_home_is_not(executable: Path, tmp_path: Path) -> None:
    home = str(Path.home())
    facts = probe_interpreter(executable, run=SubprocessRunner({}))
    blob, again = io.BytesIO(), io.BytesIO()
    tree = capture_interpreter(facts, output=blob, home=home)
    assert capture_interpreter(facts, output=again, home=home) == tree
    assert tree.findings == ()
    assert len(interpreter_binaries(facts)) > 30
    root = tmp_path / "root"
    _write(blob, root)
    _assert_knows_no(root, [str(PYENV), "/tmp/python-build", home + "/"])
    done = _run(root, tmp_path / "work", home, facts.version)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all is well\n"


def _write(blob: io.BytesIO, root: Path) -> None:
    with tempfile.TemporaryFile() as spool:
        for entry in captured_entries(blob, spool=spool):
            path = root / entry.path
            if entry.kind is EntryKind.DIRECTORY:
                path.mkdir(parents=True)
            elif entry.kind is EntryKind.SYMLINK:
                path.symlink_to(entry.target)
            else:
                path.write_bytes(b"".join(entry.content.chunks()))
                path.chmod(entry.mode)


def _assert_knows_no(root: Path, words: list[str]) -> None:
    for file in root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            assert [word for word in words if word.encode() in data] == [], file


def _run(root: Path, work: Path, home: str, version: str) -> subprocess.CompletedProcess[str]:
    work.mkdir()
    binds = ["--ro-bind", f"{root}/opt/python", "/opt/python", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    links = [part for name in ("bin", "lib", "lib64") for part in ("--symlink", f"usr/{name}", f"/{name}")]
    places = ["--bind", str(work), "/scratch", "--tmpfs", home, "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    return subprocess.run(
        ["bwrap", *binds, *links, *places, "--clearenv", "/opt/python/bin/python3", "-c", PROGRAM, home, version],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
