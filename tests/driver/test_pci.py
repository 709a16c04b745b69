"""GPUs on the PCI bus."""

from envcap.driver.pci import PciGpu, list_pci_gpus
from envcap.driver.root import SystemRoot
from tests.driver.systems import FakeSystem


def test_displays_and_accelerators_are_listed_and_nothing_else(system: FakeSystem) -> None:
    system.pci(0x10DE, 0x2330, kind=0x030200, driver="nvidia", address="0000:01:00.0")
    system.pci(0x1002, 0x74A1, kind=0x120000, driver="amdgpu", address="0000:02:00.0")
    system.pci(0x8086, 0x1572, kind=0x020000, driver="i40e", address="0000:03:00.0")

    found = list_pci_gpus(SystemRoot(system.path))

    assert [(gpu.vendor, gpu.model, gpu.driver, gpu.display) for gpu in found] == [
        (0x10DE, "10de:2330", "nvidia", True),
        (0x1002, "1002:74a1", "amdgpu", False),
    ]


def test_a_kernel_driver_that_nobody_knows_has_no_name(system: FakeSystem) -> None:
    folder = system.pci(0x10DE, 0x2330, driver="alice-s-driver")

    assert list_pci_gpus(SystemRoot(system.path)) == (
        PciGpu(vendor=0x10DE, model="10de:2330", driver="another", display=True, folder=folder),
    )


def test_a_device_without_numbers_has_no_model(system: FakeSystem) -> None:
    folder = system.pci(0x10DE, 0x2330)
    system.write(f"{folder}/device", "2330")

    assert [gpu.model for gpu in list_pci_gpus(SystemRoot(system.path))] == [""]
