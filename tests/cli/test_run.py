"""`envcap run`: what it asks of the engine, and what comes back."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock, rewrite_lock
from envcap.cli.run import gpu_access
from envcap.cli.talk import Talk
from envcap.errors import DifferenceError
from envcap.gpu.container import ContainerHost
from envcap.gpu.model import GpuDevice, GpuFramework, GpuMachine, GpuStack
from envcap.gpu.verdict import imagine_machine
from envcap.lockfile.model import Lockfile, Session
from tests.flow import Answer, Flow
from tests.gpu.stacks import CUDART_13, LIBTORCH, TABLE, stack
from tests.oci.engine_program import INFO, EngineProgram

WANTS_NVIDIA = GpuStack(frameworks=(GpuFramework(name="torch", version="2.15.0", built_for="cuda 13.2"),))
NO_GPU = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA GPU")
RUN = ["run", "--rm", "--interactive", "--pull=never", "--shm-size=1000000"]


@pytest.fixture
def engine(tmp_path: Path) -> EngineProgram:
    return EngineProgram(tmp_path / "engine", python=sys.executable)


@pytest.fixture
def start(locked: Flow, engine: EngineProgram) -> Callable[..., Answer]:
    """Start `envcap run` as a process, with one engine in PATH."""
    world = replace(locked, settings={**locked.settings, "PATH": str(engine.folder)})
    return lambda *arguments: world.spawn("run", *arguments)


def rewritten(locked: Flow, folder: Path, edit: Callable[[Lockfile], Lockfile]) -> Path:
    shutil.copytree(locked.lock, folder)
    found = open_lock(folder)
    rewrite_lock(found, edit(found.lockfile))
    return folder


def expected_id(lock: Path) -> str:
    return open_lock(lock).lockfile.expected[0].image_id


def test_an_image_is_rebuilt_and_loaded_once(locked: Flow, engine: EngineProgram, start: Callable[..., Answer]) -> None:
    first = start(locked.lock, "--", "python", "-c", "print(1)", "--volume=x")
    assert (first.status, first.out) == (7, "said ")
    assert re.fullmatch(r"Loaded [0-9.]+ MB into docker as small:envcap\n", first.err)
    assert engine.ran == [*RUN, expected_id(locked.lock), "python", "-c", "print(1)", "--volume=x"]
    assert "load --quiet" in engine.calls
    assert engine.loaded

    before = len(engine.calls)
    assert start(locked.lock).status == 7
    assert engine.calls[before:] == ["info --format", "image inspect", "run --rm"]
    assert engine.ran == [*RUN, expected_id(locked.lock)]


def test_a_lock_that_expects_nothing_is_loaded_once_too(
    locked: Flow, engine: EngineProgram, start: Callable[..., Answer], tmp_path: Path
) -> None:
    lock = rewritten(locked, tmp_path / "lock", lambda lockfile: replace(lockfile, expected=()))
    for _ in range(2):
        assert start(lock, "--", "true").status == 7
        assert engine.ran == [*RUN, expected_id(locked.lock), "true"]
    assert engine.calls.count("load --quiet") == 1


def test_a_bundle_runs_without_any_source(
    locked: Flow, engine: EngineProgram, start: Callable[..., Answer], tmp_path: Path
) -> None:
    bundle = tmp_path / "small.envcap"
    made = locked.run("bundle", locked.lock, "--output", bundle)
    assert made.status == 0, made.err
    answer = start(bundle, "--offline", "--store", tmp_path / "empty", "--", "true")
    assert answer.status == 7, answer.err
    assert engine.ran == [*RUN, expected_id(locked.lock), "true"]


def test_an_image_other_than_expected_is_not_run(
    locked: Flow, engine: EngineProgram, start: Callable[..., Answer], tmp_path: Path
) -> None:
    other = "sha256:" + "0" * 64
    lock = rewritten(
        locked,
        tmp_path / "lock",
        lambda lockfile: replace(lockfile, expected=(replace(lockfile.expected[0], image_id=other),)),
    )
    answer = start(lock)
    assert answer.status == 3
    assert f"expected {other}, found {expected_id(locked.lock)}" in answer.err
    assert "run --rm" not in engine.calls


def test_options_reach_the_container(locked: Flow, engine: EngineProgram, start: Callable[..., Answer]) -> None:
    answer = start(locked.lock, "-v", "./data:/data:ro", "-v", "named:/x", "-w", "/data", "-e", "A=1", "-e", "TOKEN")
    assert answer.status == 7, answer.err
    assert engine.ran == [
        *RUN, f"--volume={locked.root}/data:/data:ro", "--volume=named:/x", "--workdir=/data", "--env=A=1",
        "--env=TOKEN", expected_id(locked.lock),
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's folder belongs to that user in the container")
def test_the_current_folder_is_mounted_at_its_own_path(
    locked: Flow, engine: EngineProgram, start: Callable[..., Answer]
) -> None:
    assert start(locked.lock, "--mount-cwd", "--", "true").status == 7
    assert engine.ran == [
        *RUN, f"--volume={locked.root}:{locked.root}", f"--workdir={locked.root}", expected_id(locked.lock), "true",
    ]  # fmt: skip


@pytest.fixture
def gpu_lock(locked: Flow, tmp_path: Path) -> Path:
    """A lock that wants NVIDIA's GPUs, made on a machine with one."""
    session = Session(gpu=GpuMachine(context="bare", devices=(GpuDevice(vendor="nvidia", name="A100"),)))
    return rewritten(locked, tmp_path / "gpu", lambda lockfile: replace(lockfile, gpu=WANTS_NVIDIA, session=session))


@pytest.fixture
def cpu_lock(locked: Flow, tmp_path: Path) -> Path:
    """The same, made on a machine without."""
    return rewritten(locked, tmp_path / "cpu", lambda lockfile: replace(lockfile, gpu=WANTS_NVIDIA))


def test_a_lock_for_nvidia_gets_what_the_engine_offers(
    gpu_lock: Path, engine: EngineProgram, start: Callable[..., Answer]
) -> None:
    assert start(gpu_lock, "--no-gpu").status == 7  # loads it
    engine.set(info={**INFO, "Name": "elsewhere", "Runtimes": {"runc": {}, "nvidia": {}}})
    answer = start(gpu_lock)
    assert (answer.status, answer.err) == (7, "GPU: NVIDIA by `--gpus`\n")
    assert engine.ran == [*RUN, "--gpus=all", expected_id(gpu_lock)]

    engine.set(info={**INFO, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]})
    answer = start(gpu_lock)
    assert (answer.status, answer.err) == (7, "GPU: NVIDIA by CDI\n")
    assert engine.ran == [*RUN, "--device=nvidia.com/gpu=all", expected_id(gpu_lock)]


@NO_GPU
def test_what_ran_on_a_cpu_runs_on_one_again(
    cpu_lock: Path, engine: EngineProgram, start: Callable[..., Answer]
) -> None:
    answer = start(cpu_lock)
    assert answer.status == 7
    assert "This machine has no GPU for the lock: programs run on the CPU only, as where it was locked" in answer.err
    assert engine.ran == [*RUN, "--env=NVIDIA_VISIBLE_DEVICES=void", expected_id(cpu_lock)]


def test_a_gpu_that_will_not_do_is_said_before_anything_is_built(
    cpu_lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lockfile = replace(open_lock(cpu_lock).lockfile, gpu=stack(LIBTORCH, libraries=(CUDART_13,)))
    host = ContainerHost(engine="docker", cdi=frozenset({"nvidia.com/gpu=all"}))
    good = gpu_access(lockfile, imagine_machine("A100", "580.95.05", TABLE), host, Talk())
    assert good.options == ("--device=nvidia.com/gpu=all",)
    assert capsys.readouterr().err == ""

    with pytest.raises(DifferenceError, match="The lock's GPU code will not run on this machine") as caught:
        gpu_access(lockfile, imagine_machine("V100", "580.95.05", TABLE), host, Talk())
    assert caught.value.hint == (
        "see where it runs with `envcap gpu where LOCK`, or run it without a GPU with `--no-gpu`"
    )
    assert "E_NO_IMAGE: torch" in capsys.readouterr().err


def test_a_lock_without_a_gpu_gets_none(locked: Flow, engine: EngineProgram, start: Callable[..., Answer]) -> None:
    engine.set(info={**INFO, "Runtimes": {"nvidia": {}}})
    answer = start(locked.lock)
    assert answer.status == 7
    assert "GPU" not in answer.err
    assert engine.ran == [*RUN, expected_id(locked.lock)]


@NO_GPU
def test_a_machine_without_the_gpu_is_told_before_anything_is_built(
    gpu_lock: Path, engine: EngineProgram, start: Callable[..., Answer]
) -> None:
    answer = start(gpu_lock, "--", "python")
    assert answer.status == 3
    assert answer.err == (
        "error: The lock wants a GPU (NVIDIA), and docker has none to give on this machine\n"
        "\n"
        "hint: run it on a machine with such a GPU, or run without one with `--no-gpu`\n"
    )
    assert engine.calls == ["info --format"]

    assert start(gpu_lock, "--no-gpu", "--", "python").status == 7
    assert engine.ran == [*RUN, "--env=NVIDIA_VISIBLE_DEVICES=void", expected_id(gpu_lock), "python"]


def test_input_is_passed_on(locked: Flow, engine: EngineProgram) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "envcap", "run", locked.lock, "--", "cat"],
        env=locked.environ | {"PATH": str(engine.folder), "PYTHONPATH": str(Path(__file__).parents[2])},
        input="words",
        capture_output=True,
        check=False,
        text=True,
        cwd=locked.root,
    )
    assert (done.returncode, done.stdout) == (7, "said words")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--engine", "lxc"], 2, "Unknown engine 'lxc' (expected `docker` or `podman`)"),
        (["--engine", "podman"], 1, "No container engine answers (podman is not installed)"),
        (["--platform", "linux/s390x"], 1, "holds no OS packages for linux/s390x"),
        (["--nonsense"], 2, "No such option: --nonsense"),
        (
            ["python", "-c", "x"],
            2,
            "hint: an option of the command to run comes after `--`: `envcap run LOCK -- CMD …`",
        ),
    ],
)
def test_bad_options_are_one_line(
    locked: Flow, start: Callable[..., Answer], arguments: list[str], status: int, message: str
) -> None:
    answer = start(locked.lock, *arguments)
    assert answer.status == status
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_an_engine_that_refuses_the_image_is_one_line(
    locked: Flow, engine: EngineProgram, start: Callable[..., Answer]
) -> None:
    engine.set(fail=("load",))
    answer = start(locked.lock)
    assert answer.status == 1
    assert answer.err.startswith("error: docker did not load the image: load failed: no space left\n")
    assert "run --rm" not in engine.calls
