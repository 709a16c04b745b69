"""Facts that change results, on the command line: recorded, shown, put into the image by name."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import open_lock, rewrite_lock
from envcap.cli.facts import fact_rows, warn_of_weak_cpu
from envcap.cli.talk import Talk
from envcap.lockfile.model import Blas, Lockfile, Session
from tests.flow import Flow
from tests.lockfile.small import SMALL


def config_env(image: Path) -> list[str]:
    with tarfile.open(image) as archive:

        def read(digest: str) -> dict[str, object]:
            member = archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert member is not None
            table = json.loads(member.read())
            assert isinstance(table, dict)
            return table

        index = archive.extractfile("index.json")
        assert index is not None
        manifest = read(json.loads(index.read())["manifests"][0]["digest"])
        config = read(manifest["config"]["digest"])  # type: ignore[index]  # JSON
    env = config["config"]["Env"]  # type: ignore[index]  # JSON
    assert isinstance(env, list)
    return env


def test_another_shell_gives_the_same_environment_and_says_what_it_had(flow: Flow) -> None:
    plain = json.loads(flow.snapshot("--json").out)
    settings = {"OMP_NUM_THREADS": "3", "PYTHONPATH": f"{flow.root}:{flow.prefix}/src", "WANDB_API_KEY": "hunter2"}
    other = json.loads(Flow(root=flow.root, settings=settings).snapshot("--json").out)
    assert (other["digest"], other["image_id"]) == (plain["digest"], plain["image_id"])
    assert open_lock(flow.lock).lockfile.session == Session(
        variables={"LANG": "C.UTF-8", "OMP_NUM_THREADS": "3", "PYTHONPATH": "{outside}:{prefix}/src"}
    )
    shown = flow.run("show", flow.lock)
    assert "OMP_NUM_THREADS=3" in shown.out
    assert "(recorded, not applied)" in " ".join(shown.out.split())
    assert json.loads(flow.run("show", flow.lock, "--json").out)["session"]["variables"]["OMP_NUM_THREADS"] == "3"


def test_a_named_variable_is_in_the_lock_and_in_the_images_config(flow: Flow) -> None:
    plain = json.loads(flow.snapshot("--json").out)
    world = Flow(root=flow.root, settings={"PYTHONPATH": f"{flow.prefix}/src"})
    found = json.loads(world.snapshot("--env", "PYTHONPATH", "--env", "OMP_NUM_THREADS=2", "--json").out)
    assert open_lock(flow.lock).lockfile.image.env == {"OMP_NUM_THREADS": "2", "PYTHONPATH": "/opt/env/src"}
    rebuilt = flow.run("rebuild", flow.lock, "--output", "image.tar", "--json")
    assert json.loads(rebuilt.out)["image_id"] == found["image_id"] != plain["image_id"]
    assert found["digest"] != plain["digest"]
    env = config_env(flow.root / "image.tar")
    assert env[-2:] == ["OMP_NUM_THREADS=2", "PYTHONPATH=/opt/env/src"]


def test_a_secret_variable_is_refused_before_anything_is_written(flow: Flow) -> None:
    refused = Flow(root=flow.root, settings={"HF_TOKEN": "hunter2"}).snapshot("--env", "HF_TOKEN")
    assert refused.status == 2
    assert refused.err.startswith("error: HF_TOKEN looks like a secret")
    assert "hunter2" not in refused.err
    assert not flow.locks.exists()


def weak(level: str) -> Lockfile:
    return replace(SMALL, environment=replace(SMALL.environment, cpu=level))


def test_a_weaker_cpu_is_told_and_another_platform_or_lock_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr("envcap.cli.machine._CPUINFO", cpuinfo)
    warn_of_weak_cpu(weak("x86-64-v3"), "linux/amd64", Talk())  # a machine without it
    cpuinfo.write_text("flags : lm fpu\n")
    warn_of_weak_cpu(weak(""), "linux/amd64", Talk())
    warn_of_weak_cpu(weak("x86-64-v3"), "linux/arm64", Talk())
    assert capsys.readouterr().err == ""
    warn_of_weak_cpu(weak("x86-64-v3"), "linux/amd64", Talk())
    assert " ".join(capsys.readouterr().err.split()) == (
        "warning: The lock's binaries need a CPU of level x86-64-v3, and this machine has the x86-64 baseline: "
        "the image can be built here and not be run"
    )


def test_a_lock_without_facts_has_no_rows_but_its_image_env() -> None:
    assert [name for name, _ in fact_rows(replace(SMALL, image=replace(SMALL.image, env={})))] == []
    assert fact_rows(weak("x86-64-v3"))[0] == ("CPU", "x86-64-v3 or better")


def test_blas_is_shown_with_who_brings_it_or_who_loads_it() -> None:
    rows = (
        Blas(library="openblas", provider="numpy", file="libopenblas.so", version="0.3.31"),
        Blas(library="blas", provider="system", file="libblas.so.3", needed_by=("scipy",)),
    )
    facts = replace(SMALL, environment=replace(SMALL.environment, blas=rows), session=Session(system_blas="atlas"))
    assert fact_rows(facts)[0] == ("BLAS", "openblas 0.3.31 of numpy, the system's libblas.so.3 for scipy (atlas here)")


def test_recording_keeps_the_session(flow: Flow) -> None:
    flow.snapshot()
    before = open_lock(flow.lock)
    rewrite_lock(before, replace(before.lockfile, expected=()))
    assert open_lock(flow.lock).lockfile.session == before.lockfile.session != Session()
