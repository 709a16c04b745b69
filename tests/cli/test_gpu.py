"""GPUs on the command line: what a snapshot says, what a preflight of a named machine says, and where a lock runs."""

import json
from dataclasses import replace

import pytest

from envcap.blobs import open_lock
from envcap.gpu.model import GpuDevice, GpuMachine
from envcap.gpu.preflight import Level, Preflight
from envcap.gpu.table import gpu_table
from envcap.lockfile.model import Session
from envcap.oci.contents import open_image
from envcap.preflight.gpu import preflight, refuses
from tests.cli.refusals import check_refusal
from tests.flow import Flow, Wheel, install_wheel
from tests.gpu.assemble import KERNEL, container, entry, library
from tests.lockfile.small import SMALL
from tests.lockfile.test_gpu import MACHINE, STACK

ELF, PTX = 2, 1


@pytest.fixture
def gpu_flow(flow: Flow) -> Flow:
    """A locked environment with a library for compute capability 8.0 and, in one of two containers, 9.0."""
    both = container(entry(ELF, 80, KERNEL), entry(ELF, 90, KERNEL))
    one = container(entry(ELF, 80, KERNEL))
    files = {"fastgpu/libfast.so": library({".nv_fatbin": both + one})}
    metadata = Wheel(name="nvidia-cuda-runtime-cu12", version="12.4.127", files={"nvidia/lib/libcudart.so.12": b"x"})
    install_wheel(flow, Wheel(name="fastgpu", version="1.0", files=files))
    install_wheel(flow, metadata)
    answer = flow.snapshot()
    assert answer.status == 0, answer.err
    return flow


def test_a_snapshot_says_what_a_server_needs(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("show", gpu_flow.lock)

    said = " ".join(answer.out.split())
    assert "GPU needs an NVIDIA driver 525.60 or newer and a GPU of compute capability 8.0 to 8.9" in said
    assert "GPU code in 1 library" in answer.out


def test_the_image_asks_for_its_driver_and_says_what_it_needs(gpu_flow: Flow) -> None:
    image = open_lock(gpu_flow.lock).lockfile.image
    assert image.env == {
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_ENVCAP": "driver>=525.60",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
    assert image.labels == {
        "org.envcap.gpu.capabilities": "8.0-8.9",
        "org.envcap.gpu.cuda": "12.4",
        "org.envcap.gpu.driver.at-least": "525.60.13",
        "org.envcap.gpu.rules": gpu_table().rules,
        "org.envcap.gpu.vendor": "nvidia",
    }
    built = json.loads(gpu_flow.run("rebuild", gpu_flow.lock, "--output", "image.tar", "--json").out)
    assert built["level"] == "config"
    with open_image(gpu_flow.root / "image.tar") as found:
        config = json.loads(found.config)["config"]
    assert config["Labels"] == image.labels
    assert set(config["Env"]) >= {f"{name}={value}" for name, value in image.env.items()}


def test_an_environment_without_gpu_code_has_an_image_without_a_word_of_it(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    image = open_lock(flow.lock).lockfile.image
    assert (image.env, image.labels) == ({}, {})


def test_the_lock_counts_containers_and_names_their_package(gpu_flow: Flow) -> None:
    table = json.loads(gpu_flow.run("show", gpu_flow.lock, "--json").out)["gpu"]

    (code,) = table["code"]
    assert code["provider"] == "fastgpu"
    assert code["sets"] == [{"count": 1, "targets": ["sm_80"]}, {"count": 1, "targets": ["sm_80", "sm_90"]}]


def test_the_same_environment_gives_the_same_lock_again(gpu_flow: Flow) -> None:
    before = gpu_flow.lock.read_bytes() if gpu_flow.lock.is_file() else (gpu_flow.lock / "envcap.lock").read_bytes()
    assert gpu_flow.snapshot().status == 0
    after = gpu_flow.lock.read_bytes() if gpu_flow.lock.is_file() else (gpu_flow.lock / "envcap.lock").read_bytes()

    assert after == before


def test_a_named_machine_on_which_it_runs_is_fine(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("check", gpu_flow.lock, "--gpu", "A100", "--driver", "550.54.15")

    assert answer.status == 0, answer.err
    assert answer.out.splitlines()[0] == "GPU: A100 (8.0), NVIDIA driver 550.54.15"
    assert "  A100: runs" in answer.out


def test_a_named_machine_on_which_it_does_not_run_ends_with_status_3_and_one_fix(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("check", gpu_flow.lock, "--gpu", "V100")

    assert answer.status == 3
    assert "E_NO_IMAGE: fastgpu" in answer.out
    assert answer.out.count("fix: ") == 1
    assert "(fastgpu decides)" in answer.err


def test_a_verdict_as_json_has_stable_codes(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("check", gpu_flow.lock, "--gpu", "V100", "--json")

    table = json.loads(answer.out)["gpu"]
    assert (table["level"], table["best"]) == ("will-not-run", "will-not-run")
    codes = {finding["reason"] for row in table["devices"][0]["libraries"] for finding in row["findings"]}
    assert codes == {"E_NO_IMAGE"}


def test_a_driver_below_the_floor_is_named(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("check", gpu_flow.lock, "--gpu", "RTX 3090", "--driver", "470.82.01")

    assert answer.status == 3
    assert "525.60" in answer.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--driver", "550"), r"`--driver` says which driver a GPU has"),
        (("--gpu", "RTX 9999"), r"'RTX 9999' is no GPU that envcap knows"),
        (("--gpu", ""), r"No environment is named"),
    ],
)
def test_a_machine_that_makes_no_sense_is_one_line(gpu_flow: Flow, options: tuple[str, ...], message: str) -> None:
    status = 1 if "No environment" in message else 2
    check_refusal(gpu_flow.run("check", gpu_flow.lock, *options), status, message)


def test_an_environment_and_a_named_machine_are_asked_about_apart(gpu_flow: Flow) -> None:
    check_refusal(
        gpu_flow.run("check", gpu_flow.lock, gpu_flow.prefix, "--gpu", "A100"), 2, r"ask about a machine alone"
    )


def test_where_lists_models_and_what_excludes_the_others(gpu_flow: Flow) -> None:
    answer = gpu_flow.run("gpu", "where", gpu_flow.lock)

    needs, runs, others = answer.out.split("\n\n")
    assert answer.status == 0
    assert needs.startswith("needs an NVIDIA driver 525.60 or newer")
    assert any(line.startswith("8.0") and "A100" in line for line in runs.splitlines())
    assert any(line.startswith("7.0") and "fastgpu" in line for line in others.splitlines())
    assert max(map(len, answer.out.splitlines())) <= 80
    rows = json.loads(gpu_flow.run("gpu", "where", gpu_flow.lock, "--json").out)["rows"]
    assert {row["vendor"] for row in rows} == {"nvidia"}


def test_a_lock_without_gpu_code_runs_wherever_its_cpu_code_does(flow: Flow) -> None:
    assert flow.snapshot().status == 0

    assert "no code for a GPU" in flow.run("gpu", "where", flow.lock).out
    answer = flow.run("check", flow.lock, "--machine")
    assert (answer.status, answer.out) == (0, "The lock wants no GPU\n")


def test_of_code_that_is_made_when_it_runs_there_is_no_verdict_and_its_maker_is_named(flow: Flow) -> None:
    install_wheel(flow, Wheel(name="triton", version="3.9.0", files={"triton/__init__.py": b""}))
    assert flow.snapshot().status == 0

    answer = flow.run("check", flow.lock, "--machine")
    assert (answer.status, answer.out) == (
        0,
        "No verdict: only programs can tell which GPU they need (triton 3.9.0 compiles its kernels when they run)\n",
    )
    where = flow.run("gpu", "where", flow.lock)
    assert where.out.startswith("The lock's GPU code is made when it runs")
    assert where.err == "not seen: triton 3.9.0 compiles its kernels when they run\n"


def test_a_machine_without_gpu_is_refused_only_if_the_environment_was_locked_on_one() -> None:
    anywhere = replace(SMALL, gpu=STACK)
    on_gpu = replace(anywhere, session=Session(gpu=MACHINE))
    found = preflight(anywhere, GpuMachine())

    assert found is not None
    assert found.cpu_only
    assert not refuses(found, anywhere)
    assert refuses(found, on_gpu)


def test_what_is_not_known_is_no_refusal() -> None:
    device = GpuDevice(vendor="nvidia", name="X")
    found = Preflight(rules="1", vendors=("nvidia",), level=Level.UNKNOWN)

    assert not refuses(found, SMALL)
    assert device.arch == ""
