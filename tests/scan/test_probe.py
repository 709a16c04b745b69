"""The probe, in every CPython of this machine, and its answers when an interpreter lies."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from envcap.errors import ScanError
from envcap.scan.probe import probe_interpreter
from envcap.scan.runner import Completed, SubprocessRunner
from tests.scan.env_builder import FakeRunner, probe_answer, pythons

PYTHONS = pythons()
RUN = SubprocessRunner(os.environ)


@dataclass(slots=True)
class Answer:
    """A `Runner` whose program answers always the same."""

    completed: Completed

    def __call__(self, argv: Sequence[str], *, timeout: float) -> Completed:
        return self.completed


def answer(stdout: bytes, *, returncode: int = 0, stderr: bytes = b"") -> Answer:
    return Answer(Completed(returncode=returncode, stdout=stdout, stderr=stderr))


def make_venv(python: Path, prefix: Path, *options: str) -> Path:
    subprocess.run([python, "-m", "venv", "--without-pip", *options, prefix], check=True, capture_output=True)
    return prefix / "bin/python"


def test_this_machine_has_pythons_to_probe() -> None:
    if not PYTHONS:
        pytest.skip("no python3.N on PATH or in pyenv")
    assert all(path.is_file() for path in PYTHONS.values())


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("options", [(), ("--copies",)])
def test_probe_of_a_venv_tells_environment_and_base_apart(
    version: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    python = PYTHONS[version]
    script = "import sys, sysconfig; print(sys.version.split()[0], sys.base_prefix, sysconfig.get_path('stdlib'))"
    said = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True, cwd="/").stdout.split()
    tmp_path = tmp_path.resolve()

    facts = probe_interpreter(make_venv(python, tmp_path / "env", *options), run=RUN)

    assert [facts.version, str(facts.base_prefix), facts.paths["stdlib"]] == said
    assert facts.prefix == tmp_path / "env"
    assert facts.paths["purelib"] == str(tmp_path / f"env/lib/python{version}/site-packages")
    assert facts.paths["scripts"] == str(tmp_path / "env/bin")
    assert facts.paths["data"] == str(tmp_path / "env")
    assert Path(facts.paths["platstdlib"], "lib-dynload").is_dir()
    assert not facts.executable.is_symlink()
    assert not facts.executable.is_relative_to(tmp_path)
    assert facts.markers["python_version"] == version
    assert facts.tags == "cp{0}-cp{0}".format(version.replace(".", ""))
    assert facts.implementation == "cpython"


@pytest.mark.parametrize("version", PYTHONS)
def test_probe_answers_alike_whatever_the_environment_variables_say(version: str, tmp_path: Path) -> None:
    executable = make_venv(PYTHONS[version], tmp_path / "env")
    (tmp_path / "json.py").write_text("raise SystemExit('imported from PYTHONPATH')")
    noise = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1"}

    assert probe_interpreter(executable, run=SubprocessRunner(os.environ | noise)) == probe_interpreter(
        executable, run=RUN
    )


def test_probe_runs_nothing_of_the_environment_and_writes_nothing(tmp_path: Path) -> None:
    executable = make_venv(Path(sys.executable).resolve(), tmp_path / "env")
    site = next((tmp_path / "env/lib").glob("python3.*/site-packages"))
    for name in ("sitecustomize.py", "json.py", "usercustomize.py"):
        (site / name).write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    (site / "hook.pth").write_text(f"import os; open({str(tmp_path / 'trace')!r}, 'w')\n")
    before = sorted((tmp_path / "env").rglob("*"))

    probe_interpreter(executable, run=RUN)

    assert not (tmp_path / "trace").exists()
    assert sorted((tmp_path / "env").rglob("*")) == before


def test_build_string_holds_no_time_of_day(tmp_path: Path) -> None:
    facts = probe_interpreter(make_venv(Path(sys.executable).resolve(), tmp_path / "env"), run=RUN)

    assert ":" not in facts.build
    assert facts.build.count(",") >= 2


def test_probe_is_isolated() -> None:
    run = FakeRunner(Path("/env"))

    probe_interpreter(Path("/env/bin/python"), run=run)

    assert run.calls[0][:5] == ["/env/bin/python", "-I", "-S", "-B", "-c"]


def test_interpreter_that_fails_is_an_error_with_its_last_line() -> None:
    with pytest.raises(ScanError, match=r"exit status 3 \(boom\?\[0m\)"):
        probe_interpreter(Path("/python"), run=answer(b"", returncode=3, stderr=b"Traceback\nboom\x1b[0m\n"))


@pytest.mark.parametrize("stdout", [b"", b"hello", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}"])
def test_answer_that_is_not_the_probes_is_an_error(stdout: bytes) -> None:
    with pytest.raises(ScanError, match="Unexpected answer"):
        probe_interpreter(Path("/python"), run=answer(stdout))


CHANGES: list[Mapping[str, object]] = [
    {"version": 3},
    {"prefix": "relative"},
    {"executable": ""},
    {"paths": {}},
    {"paths": {"purelib": 5}},
    {"config": []},
    {"markers": {"a": None}},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_answer_with_a_wrong_type_is_an_error(changes: Mapping[str, object]) -> None:
    with pytest.raises(ScanError, match="Unexpected answer"):
        probe_interpreter(Path("/python"), run=answer(json.dumps({**probe_answer(Path("/env")), **changes}).encode()))
