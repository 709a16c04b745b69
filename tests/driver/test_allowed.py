"""What may leave a machine: shapes of versions, models and errors."""

import pytest

from envcap.driver.allowed import (
    compute_capability,
    cuda_api,
    decimal,
    driver_version,
    hex_number,
    kernel_release,
    nvml_error,
    package_version,
    pci_id,
)


@pytest.mark.parametrize("text", ["580.95.05", "418.226.00", "566.36", "1000.10.05\n"])
def test_versions_of_drivers_pass(text: str) -> None:
    assert driver_version(text) == text.strip()


@pytest.mark.parametrize("text", ["", "1.1", "1", "580", "580.95.05-lab", "192.168.100.17", "0580.1", "580.95.05.1"])
def test_what_is_no_version_of_a_driver_does_not_pass(text: str) -> None:
    assert driver_version(text) == ""


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("6.8.0-45-generic\n", "6.8.0-45"),
        ("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.13.1"),
        ("6.6.87.2-microsoft-standard-WSL2", "6.6.87.2"),
        ("6.8.0-1324821012345", "6.8.0"),
        ("6.12.3-alice", "6.12.3"),
        ("6.12-rc3", "6.12"),
        ("alice", ""),
        ("6", ""),
    ],
)
def test_of_a_kernel_s_release_its_numbers_pass(text: str, release: str) -> None:
    assert kernel_release(text) == release


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("25.18.33578.15-1~24.04~ppa3", "25.18.33578.15-1"),
        ("1.2.021182.9361-main", "1.2.021182.9361"),
        ("24.35-alice", "24.35"),
        ("alice", ""),
    ],
)
def test_of_a_package_s_version_its_numbers_pass(text: str, version: str) -> None:
    assert package_version(text) == version


def test_an_error_is_a_number_with_our_words() -> None:
    assert nvml_error(4) == "NVML 4: no permission"
    assert nvml_error(9, source="nvidia-smi") == "nvidia-smi 9: driver not loaded"
    assert nvml_error(777) == "NVML 777"
    assert nvml_error(-1) == "NVML: unreadable answer"


def test_numbers_are_read_strictly() -> None:
    assert [hex_number(text) for text in ("0x10de\n", "10de", "0x", "0x123456789", "-0x1")] == [0x10DE, -1, -1, -1, -1]
    assert [decimal(text) for text in ("42\n", "-1", "4.2", "\u0664", "9" * 21)] == [42, -1, -1, -1, -1]


def test_models_and_apis_outside_their_range_are_none() -> None:
    assert [pci_id(*pair) for pair in ((0x10DE, 0x2330), (0, 1), (0x10000, 1), (1, -1))] == ["10de:2330", "", "", ""]
    assert [cuda_api(number) for number in (13000, 11080, 999, 100_000, -1)] == ["13.0", "11.8", "", "", ""]
    assert [compute_capability(text) for text in ("9.0", "12.1", "[N/A]", "0.5", "9")] == ["9.0", "12.1", "", "", ""]
