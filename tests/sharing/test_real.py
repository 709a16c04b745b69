"""Published locks on docker-registry, and skopeo, podman and docker's own pull on the other side."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.registry.connection import Connection
from envcap.registry.settings import RegistrySettings
from envcap.sharing.find import find_attestations, find_lock
from tests.bundle.tiny import bundle_bytes, tiny_bundle
from tests.oci.images import SMALL
from tests.registry.machine import DockerRegistry, connect, docker_registry, environment, need
from tests.sharing.published import FACTS, LOCK, publish, where
from tests.trust.people import ALICE

pytestmark = pytest.mark.engine


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path) as registry:
        yield registry


def run(*command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"
    return done.stdout


def test_a_lock_is_published_and_found_with_what_is_said_of_it(registry: DockerRegistry) -> None:
    with connect(registry.host) as connection:
        done = publish(connection, said=(ALICE.signs(FACTS).data,))
        started = time.monotonic()
        again = publish(connection, said=(ALICE.signs(FACTS).data,))
        seconds = time.monotonic() - started
        found = find_lock(connection, where(connection))
        said, passed = find_attestations(connection, found)
    assert (found.lockfile, found.artifact.digest) == (LOCK, done.lock)
    assert ([row.data for row in said], passed) == ([ALICE.signs(FACTS).data], ())
    assert (again.outcomes, again.is_news) == ((), False)
    assert seconds < 1


def test_a_collection_at_night_takes_no_lock_and_nothing_that_is_said_of_it(registry: DockerRegistry) -> None:
    with connect(registry.host) as connection:
        done = publish(connection, said=(ALICE.signs(FACTS).data,))
    registry.stop()
    registry.collect()
    registry.start()
    with connect(registry.host) as connection:
        for rest in (":1", f"@{done.root}", f"@{done.lock}"):
            found = find_lock(connection, where(connection, rest))
            assert found.lockfile == LOCK
            assert [row.data for row in find_attestations(connection, found)[0]] == [ALICE.signs(FACTS).data]


def test_16_publishers_of_the_same_and_of_other_locks_all_end_well(registry: DockerRegistry) -> None:
    locks = [replace(LOCK, name=f"lock{number % 4}") for number in range(16)]

    def run_one(number: int) -> Digest:
        with Connection(registry.host, RegistrySettings()) as connection:
            return publish(connection, f"t{number}", lockfile=locks[number]).lock

    connect(registry.host).close()  # the HTTP client is loaded by one thread, see envcap/lazy.py
    with ThreadPoolExecutor(16) as pool:
        digests = list(pool.map(run_one, range(16)))
    with connect(registry.host) as connection:
        for number, digest in enumerate(digests):
            found = find_lock(connection, where(connection, f":t{number}"))
            assert (found.artifact.digest, found.lockfile.name) == (digest, f"lock{number % 4}")


def test_podman_pulls_the_image_by_the_lock_s_tag(registry: DockerRegistry, tmp_path: Path) -> None:
    podman = need("podman")
    if os.geteuid() != 0:
        pytest.skip("podman with its storage elsewhere needs root")
    with connect(registry.host) as connection:
        publish(connection)
    run_root = tempfile.mkdtemp(prefix="ep-")  # podman refuses one of more than 50 characters
    storage = ("--root", tmp_path / "root", "--runroot", run_root, "--storage-driver", "vfs")
    try:
        found = run(podman, *storage, "pull", "-q", "--tls-verify=false", f"{registry.host}/lab/ml:1").strip()
    finally:
        shutil.rmtree(run_root, ignore_errors=True)
    assert found == SMALL.image_id.hex


def test_skopeo_copies_a_lock_to_another_repository_and_back(registry: DockerRegistry, tmp_path: Path) -> None:
    skopeo = need("skopeo")
    with connect(registry.host) as connection:
        done = publish(connection, image=False)
        one, two = f"docker://{registry.host}/lab/ml:1", f"docker://{registry.host}/other:1"
        run(skopeo, "copy", "--src-tls-verify=false", one, f"oci:{tmp_path}/copy:1")
        run(skopeo, "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/copy:1", two)
        found = find_lock(connection, where(connection, repository="other"))
    assert (found.artifact.digest, found.lockfile) == (done.lock, LOCK)


def test_a_bundle_that_skopeo_copies_to_a_registry_is_a_published_lock(
    registry: DockerRegistry, tmp_path: Path
) -> None:
    skopeo = need("skopeo")
    (tmp_path / "x.envcap").write_bytes(bundle_bytes(tiny_bundle()))
    target = f"docker://{registry.host}/lab/ml:bundle"
    run(skopeo, "copy", "--dest-tls-verify=false", f"oci-archive:{tmp_path}/x.envcap:lock", target)
    with connect(registry.host) as connection:
        found = find_lock(connection, where(connection, ":bundle"))
    assert found.lockfile == tiny_bundle().lockfile
    assert set(found.layers) == {piece.sha256 for piece in tiny_bundle().pieces}


def test_what_skopeo_inspects_is_what_was_published(registry: DockerRegistry) -> None:
    skopeo = need("skopeo")
    with connect(registry.host) as connection:
        done = publish(connection)
    name = f"docker://{registry.host}/lab/ml@{done.lock}"
    raw = run(skopeo, "inspect", "--tls-verify=false", "--raw", name)
    assert Digest.of(raw.encode()) == done.lock
    assert json.loads(raw)["subject"]["digest"] == str(SMALL.descriptor.digest)
