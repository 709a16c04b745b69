"""Nothing that identifies a machine leaves it, wherever a driver or a file may put it."""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from envcap.driver import Asker, Ended, Outcome, capture_gpu
from envcap.driver.allowed import driver_version, kernel_release, package_version, product
from envcap.finding import Finding
from envcap.gpu.model import GpuMachine
from tests.driver.conftest import Stubs
from tests.driver.systems import OPEN, FakeSystem, gpu

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # no shrinking: an example starts processes

IDENTIFIERS = (
    "GPU-8f6c6a3e-1111-2222-3333-444455556666",
    "MIG-8f6c6a3e-1111-2222-3333-444455556666",
    "8f6c6a3e-1111-2222-3333-444455556666",
    "1324821012345",
    "0000:65:00.0",
    "00000000:65:00.0",
    "900-21001-0000-000",
    "a1d2e30f44f1b2c3",
    "lab-node-7.example.org",
    "/home/alice/driver",
    "alice@example.org",
)
FORMS = (
    "{}",
    "NVIDIA A100 {}",
    "{} NVIDIA A100",
    "NVIDIA A100\n{}",
    "550.54.15 {}",
    "550.54.15-{}",
    "6.8.0-45-{}",
    "0x20b2{}",
)

planted: st.SearchStrategy[str] = st.builds(str.format, st.sampled_from(FORMS), st.sampled_from(IDENTIFIERS))


def said(machine: GpuMachine, findings: Sequence[Finding]) -> str:
    return json.dumps([dataclasses.asdict(machine), [[row.code, row.message, row.path] for row in findings]])


def reveals(text: str) -> list[str]:
    return [name for name in IDENTIFIERS if name in text]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_no_shape_of_a_fact_fits_an_identifier(form: str, identifier: str) -> None:
    text = form.format(identifier)
    for passed in (product, driver_version, kernel_release, package_version):
        assert reveals(passed(text)) == []


@settings(max_examples=6, phases=QUICK)
@given(data=st.data())
def test_what_a_driver_s_library_says_is_let_through_by_shape_alone(stubs: Stubs, data: st.DataObject) -> None:
    def text() -> str:
        return str(data.draw(planted)).replace("\n", " ")

    with tempfile.TemporaryDirectory() as folder:
        system = FakeSystem(Path(folder) / "root")
        system.nvidia("550.54.15", model=text())
        facts = {"driver": text(), "cuda": 12040, "count": 1}
        facts |= gpu(0, name=text(), uuid=IDENTIFIERS[0], serial=text(), part=text(), address="00000000:65:00.0")
        facts |= gpu(0, pci="0x20b210de", arch="8.0", mib=81920, mig=1, migs=1, mig0=text(), ecc="!77")
        home = "/home/alice/driver"
        system.nvml(stubs.nvml(), facts)
        system.library(stubs.cuda(12040), "libcuda.so.1", "550.54.15", folder=home)
        system.environ["LD_LIBRARY_PATH"] = home

        machine, findings = system.capture()

    assert machine.devices[0].arch == "8.0"
    assert machine.drivers[0].api == "12.4"
    assert reveals(said(machine, findings)) == []


@settings(max_examples=20, phases=QUICK)
@given(data=st.data())
def test_what_files_and_tools_say_is_let_through_by_shape_alone(data: st.DataObject) -> None:
    def text() -> str:
        return str(data.draw(planted))

    def answer(argv: Sequence[str], *, timeout: float) -> Outcome:
        cells = [text() for _ in range(9)]
        return Outcome(
            ended=Ended.EXITED, status=data.draw(st.sampled_from([0, 2, 4])), stdout=", ".join(cells).encode()
        )

    with tempfile.TemporaryDirectory() as folder:
        system = FakeSystem(Path(folder) / "root")
        system.nvidia("550.54.15", title=OPEN + text(), model=text())
        system.write("/sys/module/nvidia/version", text())
        system.write("/usr/bin/nvidia-smi", "#!/bin/sh\n")
        system.write("/proc/sys/kernel/osrelease", text())
        system.write("/sys/module/amdgpu/version", text())
        system.write("/opt/rocm/.info/version", text())
        bus = system.pci(0x1002, 0x74A1, driver="amdgpu", address="0000:66:00.0")
        system.write(f"{bus}/product_name", text())
        system.write(f"{bus}/current_compute_partition", text())
        system.write(
            "/sys/class/kfd/kfd/topology/nodes/1/properties",
            f"simd_count 8\nunique_id 1324821012345\nlocation_id 26112\ndevice_id {text()}\n",
        )
        system.pci(0x8086, 0xE20B, driver="xe", address="0000:67:00.0")
        system.write(
            "/var/lib/dpkg/status", f"Package: libze-intel-gpu1\nStatus: install ok installed\nVersion: {text()}\n"
        )
        system.write(
            "/etc/nv_tegra_release", data.draw(st.sampled_from(["", "# R35 (release), REVISION: 4.1, "])) + text()
        )
        system.write("/proc/device-tree/model", text())

        machine, findings = capture_gpu(system.path, {"HSA_OVERRIDE_GFX_VERSION": text()}, asker=Asker(run=answer))

    assert {device.vendor for device in machine.devices} == {"amd", "intel", "nvidia"}
    assert reveals(said(machine, findings)) == []


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA GeForce RTX 3050 6GB Laptop GPU",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA GeForce GTX 1650 with Max-Q Design",
        "Tesla V100-SXM2-16GB",
        "GRID A100D-10C",
        "Orin (nvgpu)",
        "AMD Instinct MI300X OAM",
        "AMD Radeon RX 7900 XTX",
        "Intel(R) Arc(TM) B580 Graphics",
    ],
)
def test_names_of_products_pass(name: str) -> None:
    assert product(name) == name


@pytest.mark.parametrize("name", ["", "   ", "A" * 100, "tab\x1b[31mred", "snow\u2603man", "7900 XTX"])
def test_what_is_no_name_of_a_product_does_not_pass(name: str) -> None:
    assert product(name) == ""
