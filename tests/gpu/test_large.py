"""Stacks as large as a hostile lock may be are judged in seconds."""

import time

from envcap.gpu.model import CodeSet, GpuCode, GpuLibrary, GpuStack
from envcap.gpu.runtimes import cuda_runtimes
from envcap.gpu.verdict import imagine_machine, judge
from envcap.gpu.words import say_preflight
from tests.gpu.stacks import CUDART_12, TABLE

SECONDS = 10  # of the processor; it takes less than two, and took a minute


def fast(number: int) -> GpuCode:
    """Give code that no other row has, so that nothing of it was counted before."""
    targets = ("compute_80@8.0", f"sm_{50 + number % 40}", f"sm_{number + 1000}")
    return GpuCode(file=f"lib/lib{number}.so", provider=f"p{number}", sets=(CodeSet(count=1, targets=targets),))


def test_each_of_many_packages_with_a_runtime_in_it_is_looked_up_once() -> None:
    libraries = [GpuLibrary(name="cudart (static)", version="", provider=f"p{number}") for number in range(20_000)]
    started = time.process_time()

    found = cuda_runtimes(libraries, (), [fast(number) for number in range(20_000)], TABLE)

    assert time.process_time() - started < SECONDS
    assert len(found) == 20_000
    assert {runtime.version for runtime in found} == {(12, 0)}


def test_another_machine_is_sought_by_architecture_and_not_by_model() -> None:
    wanted = GpuStack(libraries=(CUDART_12,), code=tuple(map(fast, range(3000))))
    started = time.process_time()

    preflight = judge(wanted, imagine_machine("MI300X", "", TABLE), TABLE)

    assert time.process_time() - started < SECONDS
    assert preflight.cpu_only


def test_of_many_reasons_the_first_are_said_and_the_others_counted() -> None:
    wanted = GpuStack(libraries=(CUDART_12,), code=tuple(map(fast, range(3000))))

    said = say_preflight(judge(wanted, imagine_machine("V100", "", TABLE), TABLE))

    assert len(said) < 30
    assert any(line.strip().startswith("... and 29") and "--json" in line for line in said)


def test_a_runtime_that_many_packages_bring_is_judged_once() -> None:
    libraries = tuple(GpuLibrary(name="cudart", version="12.4", provider=f"p{number:04d}") for number in range(500))

    (device,) = judge(GpuStack(libraries=libraries), imagine_machine("H100", "", TABLE), TABLE).devices

    assert [part.name for part in device.libraries] == ["CUDA 12.4"]
