"""The client against docker-registry, and skopeo and podman on the other side."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pytest
import trustme

from envcap.digest import Digest
from envcap.errors import RegistryError
from envcap.oci.image import MEDIA_TYPE_MANIFEST, Image, Layer, image_config
from envcap.oci.layout import blob_path
from envcap.oci.layout_folder import write_layout
from envcap.registry.connection import Connection
from envcap.registry.manifests import head_manifest, list_tags, put_manifest
from envcap.registry.reference import Reference
from envcap.registry.referrers import attach_referrer, list_referrers
from envcap.registry.settings import RegistrySettings
from envcap.registry.transfer import fetch_blobs, fetch_image, push_image
from envcap.registry.upload import Outcome, upload_blob
from envcap.store import open_store
from tests.oci.images import SETTINGS, SMALL, MemoryBlobs, silent
from tests.registry.machine import (
    EMPTY,
    LOGIN,
    DockerRegistry,
    blob,
    connect,
    docker_registry,
    environment,
    ignore,
    logged_in,
    need,
    opener,
    referrer,
)

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path) as registry:
        yield registry


def reference(registry: DockerRegistry, rest: str = "lab/ml:1") -> Reference:
    return Reference.parse(f"{registry.host}/{rest}")


def run(*command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stderr}"
    return done.stdout


def test_an_image_is_pushed_known_mounted_and_pulled(registry: DockerRegistry, tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    with connect(registry.host) as connection:
        first = push_image(connection, SMALL, reference(registry), progress=silent)
        again = push_image(connection, SMALL, reference(registry), progress=silent)
        other = push_image(connection, SMALL, reference(registry, "b:1"), mounts=("lab/ml",), progress=silent)
        found = fetch_image(connection, reference(registry), platform="linux/amd64")
        layers = [row.descriptor for row in found.document.layers]
        fetch_blobs(connection, "lab/ml", layers, store.blobs, progress=silent)

    assert (set(first.outcomes), set(again.outcomes), set(other.outcomes)) == ({Outcome.SENT}, set(), {Outcome.MOUNTED})
    assert found.manifest.data == SMALL.manifest
    assert found.config == SMALL.config
    assert all(store.blobs.verified(layer.digest).exists() for layer in SMALL.layers)


def test_16_publishers_of_one_image_all_end_well(registry: DockerRegistry) -> None:
    def push(number: int) -> Digest:
        with Connection(registry.host, RegistrySettings()) as connection:
            return push_image(connection, SMALL, reference(registry, f"lab/ml:{number % 4}"), progress=silent).digest

    connect(registry.host).close()  # the HTTP client is loaded by one thread, see envcap/lazy.py
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(push, range(16))) == {SMALL.descriptor.digest}
    with connect(registry.host) as connection:
        assert list_tags(connection, "lab/ml") == ("0", "1", "2", "3")


def test_a_login_is_needed_and_taken(tmp_path: Path) -> None:
    with docker_registry(tmp_path, login=True) as registry:
        with connect(registry.host, logged_in(registry.host)) as connection:
            push_image(connection, SMALL, reference(registry), progress=silent)
        with connect(registry.host) as connection, pytest.raises(RegistryError, match="answered 401 Unauthorized"):
            fetch_image(connection, reference(registry), platform="linux/amd64")
        wrong = logged_in(registry.host, LOGIN + "x")
        with connect(registry.host, wrong) as connection, pytest.raises(RegistryError, match="answered 401"):
            fetch_image(connection, reference(registry), platform="linux/amd64")


def test_a_registry_with_tls_is_asked_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    with docker_registry(tmp_path, login=True, certificate=authority.issue_cert("127.0.0.1")) as registry:
        place = tmp_path / "certs.d" / registry.host
        place.mkdir(parents=True)
        authority.cert_pem.write_to_path(str(place / "ca.crt"))
        settings = logged_in(registry.host, authorities=(tmp_path / "certs.d",))
        with connect(registry.host, settings) as connection:
            push_image(connection, SMALL, reference(registry), progress=silent)
            assert connection.base.startswith("https://")
        with connect(registry.host) as connection, pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch_image(connection, reference(registry), platform="linux/amd64")


def test_skopeo_reads_what_we_push(registry: DockerRegistry, tmp_path: Path) -> None:
    skopeo = need("skopeo")
    with connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
    run(skopeo, "copy", "--src-tls-verify=false", f"docker://{reference(registry)}", f"oci:{tmp_path}/copy:1")

    for digest in (SMALL.descriptor.digest, SMALL.image_id, *(layer.digest for layer in SMALL.layers)):
        data = (tmp_path / "copy" / "blobs" / "sha256" / digest.hex).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest.hex


def test_we_read_what_skopeo_pushes_in_both_formats(registry: DockerRegistry, tmp_path: Path) -> None:
    skopeo = need("skopeo")
    write_layout(SMALL, tmp_path / "layout", progress=silent)
    for form in ("oci", "v2s2"):
        target = f"docker://{registry.host}/{form}:1"
        run(skopeo, "copy", "-f", form, "--dest-tls-verify=false", f"oci:{tmp_path}/layout", target)

    with connect(registry.host) as connection:
        found = [
            fetch_image(connection, reference(registry, f"{form}:1"), platform="linux/amd64")
            for form in ("oci", "v2s2")
        ]

    assert [image.manifest.descriptor.media_type for image in found] == [
        MEDIA_TYPE_MANIFEST,
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
    assert found[0].manifest.data == SMALL.manifest
    assert found[0].config == SMALL.config


def test_podman_pulls_what_we_push(registry: DockerRegistry, tmp_path: Path) -> None:
    podman = need("podman")
    if os.geteuid() != 0:
        pytest.skip("podman with its storage elsewhere needs root")
    with connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
    run_root = tempfile.mkdtemp(prefix="ep-")  # podman refuses one of more than 50 characters
    storage = ("--root", tmp_path / "root", "--runroot", run_root, "--storage-driver", "vfs")

    try:
        found = run(podman, *storage, "pull", "-q", "--tls-verify=false", reference(registry)).strip()
    finally:
        shutil.rmtree(run_root, ignore_errors=True)

    assert found == SMALL.image_id.hex


def attach(host: str, number: int) -> Digest:
    with Connection(host, RegistrySettings()) as connection:
        return attach_referrer(connection, "lab/ml", referrer(SMALL.descriptor, number), kind="note")


def push_subject(registry: DockerRegistry) -> None:
    with connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        upload_blob(connection, "lab/ml", EMPTY, opener(b"{}"), count=ignore)


def test_20_writers_at_once_and_a_collection_lose_no_referrer(registry: DockerRegistry) -> None:
    push_subject(registry)
    with ThreadPoolExecutor(20) as pool:
        expected = set(pool.map(lambda number: attach(registry.host, number), range(20)))
    with connect(registry.host) as connection:
        before = {row.descriptor.digest for row in list_referrers(connection, "lab/ml", SMALL.descriptor.digest)}
    registry.stop()
    registry.collect()
    registry.start()
    with connect(registry.host) as connection:
        after = {row.descriptor.digest for row in list_referrers(connection, "lab/ml", SMALL.descriptor.digest)}
        kept = {digest for digest in expected if head_manifest(connection, "lab/ml", str(digest)) == digest}

    assert len(expected) == 20
    assert before == after == kept == expected


def test_a_referrer_joins_an_index_of_which_a_part_was_deleted(registry: DockerRegistry) -> None:
    push_subject(registry)
    gone = attach(registry.host, 1)
    with connect(registry.host) as connection:
        scope = ("repository:lab/ml:pull,push,delete",)
        with connection.open("DELETE", f"/v2/lab/ml/manifests/{gone}", scope=scope, accept=(202,)):
            pass
    added = attach(registry.host, 2)

    with connect(registry.host) as connection:
        found = {row.descriptor.digest for row in list_referrers(connection, "lab/ml", SMALL.descriptor.digest)}
    assert found == {added}


def test_a_manifest_without_its_blobs_is_refused_with_the_registrys_words(registry: DockerRegistry) -> None:
    with connect(registry.host) as connection, pytest.raises(RegistryError) as caught:
        put_manifest(connection, "x", "1", SMALL.manifest, MEDIA_TYPE_MANIFEST)

    assert caught.value.message == (
        f"{registry.host} answered 400 Bad Request to PUT /v2/x/manifests/1"
        " (MANIFEST_BLOB_UNKNOWN: blob unknown to registry)"
    )


def test_a_repository_that_is_not_there_has_no_tags(registry: DockerRegistry) -> None:
    with connect(registry.host) as connection:
        assert list_tags(connection, "no/such") == ()


def test_a_blob_that_was_damaged_on_the_registrys_disk_is_not_taken(registry: DockerRegistry, tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    layer = SMALL.layers[0]
    with connect(registry.host) as connection:
        push_image(connection, SMALL, reference(registry), progress=silent)
        [data] = (tmp_path / "data").rglob(f"{layer.digest.hex}/data")
        data.write_bytes(b"x" * layer.size)
        with pytest.raises(RegistryError, match="sent other bytes for a blob of lab/ml"):
            fetch_blobs(connection, "lab/ml", [layer.descriptor], store.blobs, progress=silent)

    assert not store.blobs.has(layer.digest)


CHILD = """
import sys, time
from pathlib import Path
from envcap.digest import Digest
from envcap.oci.image import Descriptor
from envcap.registry.connection import Connection
from envcap.registry.journal import FileJournal
from envcap.registry.settings import RegistrySettings
from envcap.registry.upload import upload_blob
host, path, journal, stop = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
sent = notes = 0
class Journal(FileJournal):
    def note(self, name, digest, place):
        global notes
        super().note(name, digest, place)
        notes += 1
        if notes == stop:
            print("stopped", flush=True)
            time.sleep(600)
def count(number):
    global sent
    sent += number
    print(sent, flush=True)
blob = Descriptor(media_type="a/b", digest=Digest(path.name), size=path.stat().st_size)
with Connection(host, RegistrySettings()) as connection:
    upload_blob(
        connection, "x", blob, lambda: path.open("rb"), journal=Journal(journal), part_size=4 << 20, count=count
    )
"""


def start_child(registry: DockerRegistry, path: Path, *, stop: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, registry.host, str(path), str(path.parent / "journal"), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**environment(), "PYTHONPATH": str(ROOT)})


def kill_at(child: subprocess.Popen[str], wanted: Callable[[str], bool]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if wanted(line):
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    child.stdout.close()


def finish(registry: DockerRegistry, path: Path) -> list[int]:
    """Let another run end the upload; gives how much had been sent after each step of it."""
    child = start_child(registry, path)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    data = path.read_bytes()
    with connect(registry.host) as connection:
        assert upload_blob(connection, "x", blob(data), opener(b""), count=ignore) is Outcome.PRESENT
    assert list((path.parent / "journal").iterdir()) == []
    return [int(line) for line in output.split()]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    data = os.urandom(32 << 20)
    path = tmp_path / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_an_upload_that_was_killed_between_two_parts_goes_on_there(registry: DockerRegistry, large: Path) -> None:
    kill_at(start_child(registry, large, stop=3), lambda line: line == "stopped\n")
    kill_at(start_child(registry, large, stop=2), lambda line: line == "stopped\n")

    sent = finish(registry, large)

    assert sent[0] == 20 << 20
    assert sent[-1] == 32 << 20


@pytest.mark.slow
def test_an_upload_that_was_killed_anywhere_is_ended_by_another_run(registry: DockerRegistry, large: Path) -> None:
    # docker-registry 2.8 does not go on after a part that broke off: the blob then begins anew.
    for limit in (0, 9 << 20, 21 << 20):
        kill_at(start_child(registry, large), lambda line, limit=limit: int(line) > limit)  # type: ignore[misc]

    assert finish(registry, large)[-1] == 32 << 20


@pytest.mark.slow
def test_an_upload_survives_a_registry_that_is_killed_and_started_again(registry: DockerRegistry) -> None:
    data = os.urandom(96 << 20)
    sent = 0
    restarted = threading.Event()

    def count(number: int) -> None:
        nonlocal sent
        sent += number
        if sent > 40 << 20 and not restarted.is_set():
            restarted.set()
            registry.stop(kill=True)
            registry.start()

    with Connection(registry.host, RegistrySettings()) as connection:
        assert upload_blob(connection, "x", blob(data), opener(data), part_size=16 << 20, count=count) is Outcome.SENT
        assert upload_blob(connection, "x", blob(data), opener(b""), count=ignore) is Outcome.PRESENT

    assert sent == len(data)


@pytest.mark.slow
def test_a_push_is_at_least_as_fast_as_skopeos(tmp_path: Path) -> None:
    """One layer of 512 MB, each to a registry of its own; the better of two, since the machine is shared."""
    skopeo = need("skopeo")
    data = os.urandom(1 << 20) * 512
    digest = Digest.of(data)
    layer = Layer(diff_id=digest, digest=digest, size=len(data))
    config = image_config("linux/amd64", [digest], SETTINGS, epoch=0)
    image = Image(platform="linux/amd64", config=config, layers=(layer,), blobs=MemoryBlobs({digest: data}))
    write_layout(image, tmp_path / "layout", progress=silent)
    on_disk = replace(image, blobs=LayoutBlobs(tmp_path / "layout"))

    def push(registry: DockerRegistry) -> None:
        with connect(registry.host) as connection:
            push_image(connection, on_disk, reference(registry), progress=silent)

    def copy(registry: DockerRegistry) -> None:
        target = f"docker://{reference(registry)}"
        run(skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci:{tmp_path}/layout", target)

    seconds = {push: float("inf"), copy: float("inf")}
    for number in range(2):
        for work in (push, copy):
            root = tmp_path / f"{work.__name__}-{number}"
            root.mkdir()
            with docker_registry(root) as registry:
                started = time.monotonic()
                work(registry)
                seconds[work] = min(seconds[work], time.monotonic() - started)
            shutil.rmtree(root)

    assert seconds[push] <= seconds[copy] * 1.1


@dataclass(frozen=True)
class LayoutBlobs:
    folder: Path

    def open(self, digest: Digest) -> BinaryIO:
        return (self.folder / blob_path(digest)).open("rb")

    def copy_to(self, digest: Digest, destination: BinaryIO) -> None:
        with self.open(digest) as file:
            shutil.copyfileobj(file, destination)
