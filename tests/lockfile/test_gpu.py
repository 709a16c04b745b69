"""`[gpu]` and `[session.gpu]`: written, read back, and refused where they say what envcap never says."""

from dataclasses import replace

import pytest
from hypothesis import given

from envcap.errors import LockfileError
from envcap.gpu.model import (
    CodeSet,
    GpuCode,
    GpuDevice,
    GpuDriver,
    GpuFramework,
    GpuGap,
    GpuLibrary,
    GpuMachine,
    GpuNeed,
    GpuStack,
)
from envcap.lockfile.document import environment_digest, read_lockfile, write_lockfile
from envcap.lockfile.model import Session
from tests.lockfile.gpu_strategies import gpu_machines, gpu_stacks
from tests.lockfile.small import SMALL

STACK = GpuStack(
    rules="2026.11.1",
    libraries=(GpuLibrary(name="cuda", version="13.2.2", provider="cuda-toolkit"),),
    code=(
        GpuCode(
            file="lib/python3.11/site-packages/xgboost/lib/libxgboost.so",
            provider="xgboost",
            sets=(CodeSet(count=65, targets=("compute_120@9.3", "sm_75", "sm_80")),),
        ),
    ),
    needs=(GpuNeed(subject="nvidia-driver", at_least="580.65.06", because=("cuda 13.2",)),),
)
MACHINE = GpuMachine(
    context="bare",
    drivers=(GpuDriver(vendor="nvidia", version="580.95.05", api="13.0", sources={"NVML": "580.95.05"}),),
    devices=(GpuDevice(vendor="nvidia", name="NVIDIA H100 80GB HBM3", arch="9.0", pci="10de:2330", count=8),),
)


@given(gpu_stacks(), gpu_machines())
def test_what_is_written_is_read_back(stack: GpuStack, machine: GpuMachine) -> None:
    lock = replace(SMALL, gpu=stack, session=Session(gpu=machine))

    assert read_lockfile(write_lockfile(lock)) == lock


def test_a_lock_without_gpu_has_no_table_of_it() -> None:
    assert "gpu" not in write_lockfile(SMALL)


def test_the_machine_is_no_part_of_the_identity_and_the_stack_is() -> None:
    plain = SMALL

    assert environment_digest(replace(plain, session=Session(gpu=MACHINE))) == environment_digest(plain)
    assert environment_digest(replace(plain, gpu=STACK)) != environment_digest(plain)


def test_the_tables_read_well() -> None:
    text = write_lockfile(replace(SMALL, gpu=STACK))

    assert '[gpu]\nrules = "2026.11.1"\n' in text
    assert 'sets = [{ count = 65, targets = ["compute_120@9.3", "sm_75", "sm_80"] }]' in text


@pytest.mark.parametrize(
    ("device", "where"),
    [
        (replace(MACHINE.devices[0], name="GPU-8f6bd1b2-2b1f-8a1c-3d5e-0a1b2c3d4e5f"), "name"),
        (replace(MACHINE.devices[0], traits={"link": "0000:3b:00.0"}), "traits.link"),
        (replace(MACHINE.devices[0], pci="0000:3b:00.0"), "pci"),
        (replace(MACHINE.devices[0], count=0), "count"),
        (replace(MACHINE.devices[0], arch="90"), "arch"),
    ],
)
def test_an_identifier_of_one_device_is_refused_and_not_repeated(device: GpuDevice, where: str) -> None:
    lock = replace(SMALL, session=Session(gpu=replace(MACHINE, devices=(device,))))

    with pytest.raises(LockfileError, match=where) as caught:
        write_lockfile(lock)
    if where in {"name", "traits.link"}:
        assert "8f6bd1b2" not in str(caught.value)
        assert "3b:00" not in str(caught.value)


def test_an_identifier_in_a_gap_is_refused() -> None:
    gap = GpuGap(fact="ecc", why="no permission on GPU-8f6bd1b22b1f8a1c3d5e0a1b2c3d4e5f")
    lock = replace(SMALL, session=Session(gpu=GpuMachine(gaps=(gap,))))

    with pytest.raises(LockfileError, match="identifier of one device"):
        write_lockfile(lock)


@pytest.mark.parametrize(
    ("stack", "where"),
    [
        (replace(STACK, code=(replace(STACK.code[0], file="../../etc/passwd"),)), "file"),
        (replace(STACK, code=(replace(STACK.code[0], sets=(CodeSet(count=0, targets=("sm_75",)),)),)), "count"),
        (
            replace(STACK, code=(replace(STACK.code[0], sets=(CodeSet(count=1, targets=("sm_80", "sm_75")),)),)),
            "targets",
        ),
        (replace(STACK, code=STACK.code * 2), "gpu.code"),
        (replace(STACK, needs=(*STACK.needs, GpuNeed(subject="gfx", one_of=("gfx942",)))), "needs"),
        (replace(STACK, needs=STACK.needs * 2), "needs"),
        (replace(STACK, needs=(GpuNeed(subject="nvidia-driver", at_least="580 || true"),)), "needs"),
        (
            replace(
                STACK, frameworks=tuple(GpuFramework(name=f"f{n}", version="1", built_for="x") for n in range(201))
            ),
            "201",
        ),
        (replace(STACK, libraries=(GpuLibrary(name="CUDA", version="1", provider="x"),)), "name"),
    ],
)
def test_a_stack_that_envcap_does_not_write_is_refused(stack: GpuStack, where: str) -> None:
    with pytest.raises(LockfileError, match=where):
        write_lockfile(replace(SMALL, gpu=stack))
