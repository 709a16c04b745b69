"""Pushes and pulls of lock's images by the program, against docker-registry, with foreign tools as readers."""

import base64
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from tests.flow import ROOT, Flow, make_flow
from tests.registry.machine import LOGIN, DockerRegistry, docker_registry, environment, need

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    flow = make_flow(tmp_path_factory.mktemp("push") / "world")
    assert flow.snapshot().status == 0
    assert flow.run("rebuild", flow.lock, "--record", "--output", flow.root / "layout").status == 0
    return flow


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path) as registry:
        yield registry


def run(*command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"
    return done.stdout


def manifest_of(flow: Flow) -> str:
    return str(json.loads((flow.root / "layout" / "index.json").read_text())["manifests"][0]["digest"])


def test_skopeo_finds_the_digest_that_the_lock_expects(flow: Flow, registry: DockerRegistry) -> None:
    assert flow.run("rebuild", flow.lock, "--push", f"{registry.host}/lab/ml:1").status == 0
    found = json.loads(run(need("skopeo"), "inspect", "--tls-verify=false", f"docker://{registry.host}/lab/ml:1"))
    assert found["Digest"] == manifest_of(flow)
    assert flow.run("verify", flow.lock, f"{registry.host}/lab/ml:1").status == 0


def test_podman_pulls_what_we_push_by_its_digest(flow: Flow, registry: DockerRegistry, tmp_path: Path) -> None:
    podman = need("podman")
    pushed = flow.run("rebuild", flow.lock, "--push", f"{registry.host}/lab/ml:1", "--json")
    name = f"{registry.host}/lab/ml@{manifest_of(flow)}"
    with tempfile.TemporaryDirectory() as short:  # podman takes no longer path
        engine = [podman, "--root", tmp_path / "podman", "--runroot", short, "--storage-driver", "vfs"]
        image_id = run(*engine, "pull", "--quiet", "--tls-verify=false", name).strip()
        run(*engine, "rmi", "--force", image_id)
    assert f"sha256:{image_id}" == json.loads(pushed.out)["image_id"]


def test_docker_pulls_the_image_that_the_lock_expects(flow: Flow, registry: DockerRegistry) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no docker engine answers")
    pushed = json.loads(flow.run("rebuild", flow.lock, "--push", f"{registry.host}/lab/ml:1", "--json").out)
    name = f"{registry.host}/lab/ml:1"
    run(docker, "pull", "--quiet", name)
    try:
        found = json.loads(run(docker, "image", "inspect", name))[0]
    finally:
        run(docker, "image", "rm", "--force", name)
    assert f"{registry.host}/lab/ml@{pushed['manifest']}" in found["RepoDigests"]
    assert found["Id"] in {pushed["image_id"], pushed["manifest"]}  # the latter with containerd's image store


def test_logins_and_certificates_are_those_of_docker(flow: Flow, tmp_path: Path) -> None:
    authority = trustme.CA()
    with docker_registry(tmp_path, login=True, certificate=authority.issue_cert("127.0.0.1")) as registry:
        reference = f"{registry.host}/lab/ml:1"
        place = flow.home / ".config" / "containers" / "certs.d" / registry.host
        place.mkdir(parents=True)
        authority.cert_pem.write_to_path(str(place / "ca.crt"))
        without = flow.run("rebuild", flow.lock, "--push", reference)
        auth = base64.b64encode(LOGIN.encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        known = replace(flow, settings={"DOCKER_CONFIG": str(tmp_path)})

        assert known.run("rebuild", flow.lock, "--push", reference).status == 0
        assert known.run("verify", flow.lock, reference).status == 0
        taken = known.run("rebuild", flow.lock, "--from", reference, "--store", tmp_path / "store", "--json")
        assert json.loads(taken.out)["from"]["problems"] == []

    assert without.status == 1
    assert without.err.startswith(f"error: {registry.host} answered 401 Unauthorized")
    assert LOGIN.partition(":")[2] not in without.err


def test_we_take_and_verify_what_skopeo_pushed(flow: Flow, registry: DockerRegistry, tmp_path: Path) -> None:
    source = f"oci:{flow.root}/layout"
    run(need("skopeo"), "copy", "--dest-tls-verify=false", source, f"docker://{registry.host}/lab/ml:1")

    reference = f"{registry.host}/lab/ml:1"
    place = tmp_path / "taken"
    taken = flow.run(
        "rebuild", flow.lock, "--from", reference, "--store", tmp_path / "store", "--output", place, "--json"
    )

    assert taken.status == 0, taken.err
    answer = json.loads(taken.out)
    assert len(answer["from"]["taken"]) == len(answer["layers"])
    assert manifest_of(flow) == answer["manifest"]
    assert flow.run("verify", flow.lock, place).status == 0
    assert flow.run("verify", flow.lock, reference).status == 0


def test_8_machines_push_one_image_to_one_tag_and_all_end_well(
    flow: Flow, registry: DockerRegistry, tmp_path: Path
) -> None:
    def push(number: int) -> tuple[int, str]:
        store = shutil.copytree(flow.store, tmp_path / f"store{number}") if number % 2 else flow.store
        answer = flow.spawn("rebuild", flow.lock, "--push", f"{registry.host}/lab/ml:1", "--store", store)
        return answer.status, answer.err

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(push, range(8)))

    assert [status for status, _ in answers] == [0] * 8, answers
    assert flow.run("verify", flow.lock, f"{registry.host}/lab/ml:1").status == 0


@pytest.mark.slow
def test_a_push_that_was_killed_at_any_time_goes_on(flow: Flow, registry: DockerRegistry, tmp_path: Path) -> None:
    """What is there is not sent again, and the tag appears only with the whole image."""
    reference = f"{registry.host}/lab/ml:1"
    command = [sys.executable, "-m", "envcap", "rebuild", flow.lock, "--push", reference]
    for number in range(12):
        process = subprocess.Popen(
            [*map(str, command), "--store", str(tmp_path / f"store{number % 3}")],
            env=flow.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.25 + 0.1 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()

    answer = flow.run("rebuild", flow.lock, "--push", reference, "--store", tmp_path / "store0", "--json")

    assert answer.status == 0, answer.err
    assert flow.run("verify", flow.lock, reference).status == 0
    place = tmp_path / "copy"
    run(need("skopeo"), "copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{place}:1")
    assert flow.run("verify", flow.lock, place).status == 0
