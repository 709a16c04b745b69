"""GPUs of a machine through the whole program, as a process of its own: stand-ins for NVIDIA's libraries answer."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock
from envcap.lockfile.document import environment_digest
from tests.driver.conftest import Stubs
from tests.driver.systems import gpu
from tests.flow import Answer, Flow, Wheel, install_wheel
from tests.gpu.assemble import KERNEL, container, entry, library

ELF = 2
UUID = "GPU-8f6c6a3e-1111-2222-3333-444455556666"
SERIAL = "1324821012345"
ADDRESS = "00000000:65:00.0"
IDENTIFIERS = (UUID, UUID.removeprefix("GPU-"), SERIAL, "65:00.0", "lab-node-7")
SECRETS = {"uuid": UUID, "serial": SERIAL, "address": ADDRESS, "part": "900-21001-0000-000"}
H100 = {"name": "NVIDIA H100 80GB HBM3", "arch": "9.0", "mib": 81559, "pci": "0x233010de", "mig": 0, "ecc": 1} | SECRETS
A100 = {"name": "NVIDIA A100-SXM4-80GB", "arch": "8.0", "mib": 81920, "pci": "0x20b210de", "mig": 0, "ecc": 1} | SECRETS
SPLIT = A100 | {"mig": 1, "migs": 2, "mig0": "1:9856", "mig1": "3:40192"}


class Lab:
    """One environment, looked at from several machines."""

    def __init__(self, flow: Flow, stubs: Stubs) -> None:
        self.flow = flow
        self._stubs = stubs
        self.said: list[str] = []

    def machine(self, driver: str, cuda: int, *devices: Mapping[str, object], **facts: object) -> Flow:
        """Give the world as a machine with these devices sees it."""
        folder = self.flow.root / f"driver-{len(list(self.flow.root.glob('driver-*')))}"
        folder.mkdir()
        (folder / "libnvidia-ml.so.1").hardlink_to(self._stubs.nvml())
        (folder / "libcuda.so.1").hardlink_to(self._stubs.cuda(cuda))
        told: dict[str, object] = {"driver": driver, "cuda": cuda, "count": len(devices), **facts}
        for index, device in enumerate(devices):
            told |= gpu(index, **device)
        answers = folder / "answers"
        answers.write_text("".join(f"{key}={value}\n" for key, value in told.items()))
        settings = {"LD_LIBRARY_PATH": str(folder), "NVML_STUB": str(answers), "ENVCAP_DEBUG": "1"}
        return replace(self.flow, settings={**self.flow.settings, **settings})

    def ask(self, machine: Flow, *arguments: object) -> Answer:
        answer = machine.spawn(*arguments)
        self.said += [answer.out, answer.err]
        return answer


@pytest.fixture
def lab(flow: Flow, tmp_path: Path) -> Lab:
    stubs_folder = tmp_path / "stubs"
    stubs_folder.mkdir()
    fast = library({".nv_fatbin": container(entry(ELF, 80, KERNEL), entry(ELF, 90, KERNEL))})
    install_wheel(flow, Wheel(name="fastgpu", version="1.0", files={"fastgpu/libfast.so": fast}))
    runtime = {"nvidia/lib/libcudart.so.12": b"x"}
    install_wheel(flow, Wheel(name="nvidia-cuda-runtime-cu12", version="12.4.127", files=runtime))
    return Lab(flow, Stubs(stubs_folder))


def snapshot(lab: Lab, machine: Flow, name: str) -> Path:
    answer = lab.ask(machine, "snapshot", lab.flow.prefix, "--name", name, "--output", lab.flow.locks)
    assert answer.status == 0, answer.err
    return lab.flow.locks / name


@pytest.mark.slow
@pytest.mark.skipif("not __import__('shutil').which('gcc')", reason="no gcc for stand-ins of a driver's library")
class TestMachines:
    """Needs a compiler."""

    def test_a_lock_tells_its_machine_and_is_the_same_environment_as_that_of_another(self, lab: Lab) -> None:
        on_h100 = snapshot(lab, lab.machine("580.95.05", 13000, H100, H100), "h100")
        on_a100 = snapshot(lab, lab.machine("550.54.15", 12040, A100), "a100")
        on_none = snapshot(lab, lab.flow, "none")

        locks = [open_lock(path).lockfile for path in (on_h100, on_a100, on_none)]
        assert len({str(environment_digest(lock)) for lock in locks}) == 1
        assert len({row.image_id for lock in locks for row in lock.expected}) == 1
        (device,) = locks[0].session.gpu.devices
        assert (device.name, device.arch, device.count) == ("NVIDIA H100 80GB HBM3", "9.0", 2)
        assert locks[2].session.gpu.devices == ()
        shown = " ".join(lab.ask(lab.flow, "show", on_h100).out.split())
        assert "locked on 2 x NVIDIA H100 80GB HBM3 (9.0, 81559 MiB), NVIDIA driver 580.95.05" in shown
        difference = lab.ask(lab.flow, "diff", on_h100, on_a100)
        assert difference.status == 0
        assert difference.out.endswith("Only cosmetic differences: the same environment\n")

    @pytest.mark.parametrize(
        ("driver", "cuda", "device", "status", "said"),
        [
            ("580.95.05", 13000, H100, 0, "NVIDIA H100 80GB HBM3: runs"),
            ("550.54.15", 12040, A100, 0, "NVIDIA A100-SXM4-80GB: runs"),
            ("525.60.13", 12000, A100, 0, "W_NEW_API_36"),
            ("470.82.01", 11040, A100, 3, "N_COMPAT"),
            ("580.95.05", 13000, A100 | {"name": "Tesla V100-SXM2-16GB", "arch": "7.0"}, 3, "E_NO_IMAGE: fastgpu"),
            ("580.95.05", 13000, SPLIT, 0, "MIG: 1 of 1g 9856 MiB, 1 of 3g 40192 MiB"),
        ],
    )
    def test_a_machine_is_judged_by_what_its_driver_tells(
        self, lab: Lab, driver: str, cuda: int, device: Mapping[str, object], status: int, said: str
    ) -> None:
        lock = snapshot(lab, lab.flow, "small")
        machine = lab.machine(driver, cuda, device)

        answer = lab.ask(machine, "check", lock, "--machine")
        assert answer.status == status, answer.err
        assert said in " ".join(answer.out.split())
        table = json.loads(lab.ask(machine, "check", lock, "--machine", "--json").out)["gpu"]
        assert re.fullmatch("[a-z-]+", table["level"])
        built = lab.ask(machine, "rebuild", lock, "--output", "image.tar")
        assert built.status == 0, built.err
        assert ("This machine's GPU will not do for the image" in built.err) == (status == 3)

    def test_two_kinds_of_device_are_judged_apart_and_the_better_one_decides(self, lab: Lab) -> None:
        lock = snapshot(lab, lab.flow, "small")
        old = A100 | {"name": "Tesla V100-SXM2-16GB", "arch": "7.0", "pci": "0x1db110de"}

        answer = lab.ask(lab.machine("580.95.05", 13000, H100, old), "check", lock, "--machine")

        assert answer.status == 0, answer.err
        assert "  NVIDIA H100 80GB HBM3: runs\n" in answer.out
        assert "  Tesla V100-SXM2-16GB: will not run (fastgpu)\n" in answer.out

    @pytest.mark.parametrize(
        ("code", "status", "reason"), [("!18", 3, "E_KMD_UMD_MISMATCH"), ("!4", 0, "U_DEVICES"), ("!9", 0, "U_DEVICES")]
    )
    def test_a_driver_that_refuses_is_a_mismatch_or_not_known(
        self, lab: Lab, code: str, status: int, reason: str
    ) -> None:
        lock = snapshot(lab, lab.flow, "small")
        machine = lab.machine("580.95.05", 13000, init=code)

        answer = lab.ask(machine, "check", lock, "--machine")

        assert answer.status == status, answer.err
        assert [line.split(":")[0].strip() for line in answer.out.splitlines() if "_" in line] == [reason]
        warned = "It can't be told whether" if status == 0 else "This machine's GPU will not do"
        assert warned in lab.ask(machine, "rebuild", lock, "--output", "image.tar").err

    def test_an_environment_that_was_locked_on_a_gpu_has_not_drifted_on_a_laptop_without_one(self, lab: Lab) -> None:
        lock = snapshot(lab, lab.machine("580.95.05", 13000, H100), "h100")

        answer = lab.ask(lab.flow, "check", lock, lab.flow.prefix)
        assert answer.status == 0, answer.err
        assert len(answer.out.splitlines()) == 1
        assert [line for line in answer.err.splitlines() if "GPU" in line] == [
            "No NVIDIA GPU here: what the lock has for one was not judged (`envcap check LOCK --machine` does)"
        ]
        assert lab.ask(lab.flow, "check", lock, "--machine").status == 3

    def test_nothing_that_names_one_device_is_said_or_written(self, lab: Lab) -> None:
        machine = lab.machine("580.95.05 lab-node-7", 13000, H100, H100 | {"name": f"NVIDIA H100 {UUID}"}, SPLIT)
        lock = snapshot(lab, machine, "small")
        for arguments in (
            ("check", lock, "--machine"),
            ("check", lock, "--machine", "--json"),
            ("check", lock, lab.flow.prefix),
            ("show", lock),
            ("show", lock, "--json"),
            ("gpu", "where", lock, "--json"),
            ("rebuild", lock, "--output", "image.tar", "--json"),
            ("diff", lock, lab.flow.prefix),
        ):
            lab.ask(machine, *arguments)

        told = "\n".join([*lab.said, (lock / "envcap.lock").read_text()])
        assert "H100" in told
        assert [name for name in IDENTIFIERS if name in told] == []
