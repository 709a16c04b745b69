"""Files of the kernel's and of makers' that hold anything at all."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.driver import Asker, Ended, Outcome, capture_gpu
from tests.driver.systems import ADDRESS, FakeSystem

BUS = f"/sys/bus/pci/devices/{ADDRESS}"
NODE = "/sys/class/kfd/kfd/topology/nodes/1"
FILES = (
    "/dev/nvidiactl",
    "/etc/ld.so.cache",
    "/etc/nv_tegra_release",
    "/opt/rocm/.info/version",
    "/proc/device-tree/compatible",
    "/proc/device-tree/model",
    "/proc/driver/nvidia/version",
    f"/proc/driver/nvidia/gpus/{ADDRESS}/information",
    "/proc/sys/kernel/osrelease",
    f"{BUS}/class",
    f"{BUS}/device",
    f"{BUS}/product_name",
    f"{BUS}/vendor",
    f"{NODE}/mem_banks/0/properties",
    f"{NODE}/properties",
    "/sys/module/amdgpu/parameters/noretry",
    "/sys/module/nvidia/version",
    "/usr/bin/nvidia-smi",
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/var/lib/dpkg/status",
)
TEXTS = (
    b"0x030000",
    b"0x8086",
    b"0x10de",
    b"\x7fELF\x02",
    b"simd_count 8\ngfx_target_version 99999999999999999999\nvendor_id 70000\n",
    b"simd_count 8\nlocation_id 99999999\ndomain 99999999999\n",
    b"heap_type 1\nsize_in_bytes 99999999999999999999\n",
    b"NVRM version:" + b"  " * 50,
    b"Model:",
)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(FILES), st.sampled_from(TEXTS) | st.binary(max_size=60)), st.binary(max_size=60))
def test_files_of_any_bytes_stop_nothing_and_give_short_printable_facts(files: dict[str, bytes], said: bytes) -> None:
    def run(argv: Sequence[str], *, timeout: float) -> Outcome:
        return Outcome(ended=Ended.EXITED, stdout=said)

    with tempfile.TemporaryDirectory() as folder:
        system = FakeSystem(Path(folder) / "root")
        for name, data in files.items():
            system.write(name).write_bytes(data)
        machine, findings = capture_gpu(system.path, {}, asker=Asker(run=run))

    texts = [finding.message for finding in findings]
    tables = dataclasses.asdict(machine)
    for row in (*tables["drivers"], *tables["devices"], *tables["gaps"]):
        texts += [value for value in row.values() if isinstance(value, str)]
    assert all(len(text) < 300 and text.isprintable() for text in texts)
