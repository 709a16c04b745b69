"""Asking nvidia-smi: a script in its place."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.driver.nvidia_smi import SmiAnswer, ask_smi, find_smi
from envcap.driver.root import SystemRoot
from envcap.driver.run import Asker, Ended, Outcome, ProgramRunner
from envcap.gpu.model import GpuDevice, GpuGap
from tests.driver.systems import FakeSystem

ASKER = Asker(run=ProgramRunner(environ={"PATH": "/usr/bin:/bin"}), timeout=20.0)


def script(system: FakeSystem, text: str) -> str:
    file = system.write("/usr/bin/nvidia-smi", f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_an_old_one_that_refuses_newer_fields_is_asked_for_less(system: FakeSystem) -> None:
    program = script(
        system,
        'case "$1" in *compute_cap*) echo "Field \\"compute_cap\\" is not a valid field to query."; exit 2;; esac\n'
        "echo '418.226.00, Tesla T4, 15109, 0x1EB810DE, Enabled, Disabled, Exclusive_Process'",
    )

    assert ask_smi(program, asker=ASKER) == SmiAnswer(
        driver="418.226.00",
        devices=(
            GpuDevice(
                vendor="nvidia",
                name="Tesla T4",
                pci="10de:1eb8",
                memory_mib=15109,
                traits={"compute-mode": "exclusive-process", "ecc": "on", "persistence": "off"},
            ),
        ),
    )


def test_what_a_gpu_does_not_have_is_left_out(system: FakeSystem) -> None:
    row = "570.86.10, NVIDIA GeForce RTX 4090, 24564, 0x268410DE, [N/A], Disabled, Default, 8.9, [N/A]"

    (device,) = ask_smi(script(system, f"echo '{row}'"), asker=ASKER).devices

    assert device.traits == {"compute-mode": "default", "persistence": "off"}
    assert device.arch == "8.9"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'NVIDIA-SMI has failed on lab-node-7'; exit 9", "nvidia-smi 9: driver not loaded"),
        ("exit 4", "nvidia-smi 4: no permission"),
        ("exit 255", "nvidia-smi 255"),
        ("echo 550.54.15, NVIDIA A100", "nvidia-smi: unreadable answer"),
        ("kill -11 $$", "crashed"),
    ],
)
def test_a_failure_is_told_by_its_number_alone(system: FakeSystem, text: str, why: str) -> None:
    assert ask_smi(script(system, text), asker=ASKER) == SmiAnswer(gaps=(GpuGap(fact="nvidia-smi", why=why),))


def test_no_devices_are_no_gap(system: FakeSystem) -> None:
    assert ask_smi(script(system, "true"), asker=ASKER) == SmiAnswer()


def test_it_is_found_on_the_path_and_in_wsl_s_folder_and_nowhere_relative(system: FakeSystem) -> None:
    root = SystemRoot(system.path)
    assert find_smi(root, {"PATH": "/opt/bin:."}) == ""
    system.write("/usr/lib/wsl/lib/nvidia-smi", "#!")
    assert find_smi(root, {}) == "/usr/lib/wsl/lib/nvidia-smi"
    system.write("/opt/bin/nvidia-smi", "#!")
    assert find_smi(root, {"PATH": "relative:/opt/bin"}) == "/opt/bin/nvidia-smi"


@given(st.binary(max_size=300))
def test_an_answer_of_any_bytes_stops_nothing(stdout: bytes) -> None:
    def run(argv: Sequence[str], *, timeout: float) -> Outcome:
        return Outcome(ended=Ended.EXITED, stdout=stdout)

    answer = ask_smi("/usr/bin/nvidia-smi", asker=Asker(run=run))

    assert answer.driver == ""
    assert len(answer.devices) <= 64
