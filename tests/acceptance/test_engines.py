"""Acceptance: every engine reads the same image under the same names, and what ran live runs in it."""

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from tests.acceptance.engines import (
    NAME,
    Podman,
    docker,
    docker_image_id,
    in_docker,
    need,
    output,
    registry,
    remove_from_docker,
)
from tests.acceptance.environments import MACHINE, OPENCV_PIP_312, SCIENCE_UV_311, Captured, Recipe, Workshop

pytestmark = [pytest.mark.network, pytest.mark.engine, pytest.mark.slow]

INSIDE = Path(__file__).parent / "inside.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A rebuilt image in both forms, with the names that every engine must give it."""

    captured: Captured
    tar: Path
    layout: Path
    image_id: str
    manifest: str
    tag: str


@pytest.fixture(scope="module")
def built(workshop: Workshop) -> Built:
    captured = workshop.captured(SCIENCE_UV_311)
    tag = f"{NAME}/science:test"
    tar, layout = workshop.root / "science.oci.tar", workshop.root / "science.oci"
    found = workshop.envcap("rebuild", captured.lock, "--output", tar, "--tag", tag, "--json").fine().json
    workshop.envcap("rebuild", captured.lock, "--output", layout, "--tag", tag, "--json").fine()
    assert found["image_id"] == captured.image_id
    return Built(
        captured=captured, tar=tar, layout=layout, image_id=found["image_id"], manifest=found["manifest"], tag=tag
    )


@pytest.fixture(scope="module")
def loaded(built: Built, workshop: Workshop) -> Iterator[str]:
    """The image in docker, put there by `--load`."""
    docker("info")
    workshop.envcap("rebuild", built.captured.lock, "--load", "--tag", built.tag).fine()
    yield built.tag
    remove_from_docker(built.tag)


def raw(*command: object) -> bytes:
    return subprocess.run([str(word) for word in command], env=MACHINE, capture_output=True, check=True).stdout


def test_docker_names_a_loaded_image_by_the_image_id(built: Built, loaded: str) -> None:
    assert docker_image_id(loaded) == built.image_id


def test_docker_loads_the_tar_itself(built: Built, loaded: str) -> None:
    remove_from_docker(loaded)
    assert loaded in docker("load", "--input", built.tar)
    assert docker_image_id(loaded) == built.image_id


def test_verify_accepts_the_image_that_docker_holds(built: Built, loaded: str, workshop: Workshop) -> None:
    said = workshop.envcap("verify", built.captured.lock, f"docker:{loaded}", "--json").fine()
    assert (said.json["level"], said.json["image_id"]) == ("config", built.image_id)


def test_podman_pulls_the_tar_and_the_layout_under_both_names(built: Built, tmp_path: Path) -> None:
    podman = Podman(tmp_path)
    for place in (f"oci-archive:{built.tar}", f"oci:{built.layout}"):
        reference = podman("pull", "--quiet", place).splitlines()[-1]
        assert podman.ids(reference) == (built.image_id, built.manifest)
    podman("rmi", "--all", "--force")
    podman("load", "--quiet", "--input", built.tar)
    assert podman.ids(built.tag) == (built.image_id, built.manifest)


def test_skopeo_reads_both_names_from_the_tar_and_the_layout(built: Built) -> None:
    skopeo = need("skopeo")
    for place in (f"oci-archive:{built.tar}", f"oci:{built.layout}"):
        assert output(skopeo, "inspect", "--format", "{{.Digest}}", place) == built.manifest
        config = raw(skopeo, "inspect", "--config", "--raw", place)
        assert f"sha256:{sha256(config).hexdigest()}" == built.image_id


def test_skopeo_copies_it_and_finds_every_blob_as_its_digest_says(built: Built, tmp_path: Path) -> None:
    output(need("skopeo"), "copy", "--quiet", f"oci-archive:{built.tar}", f"dir:{tmp_path}/copy")
    manifest = (tmp_path / "copy/manifest.json").read_bytes()
    assert f"sha256:{sha256(manifest).hexdigest()}" == built.manifest


def test_umoci_unpacks_what_envcap_writes_as_a_root_filesystem(
    built: Built, tmp_path: Path, workshop: Workshop
) -> None:
    umoci = need("umoci")
    rootless = () if output("id", "-u") == "0" else ("--rootless",)
    output(umoci, "unpack", *rootless, "--image", f"{built.layout}:test", tmp_path / "bundle")
    workshop.envcap("rebuild", built.captured.lock, "--rootfs", tmp_path / "rootfs").fine()
    assert tree_of(tmp_path / "bundle/rootfs") == tree_of(tmp_path / "rootfs")


def tree_of(root: Path) -> dict[str, tuple[int, str]]:
    """Give mode and content of everything below a folder."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = sha256(path.read_bytes()).hexdigest()
        else:
            content = ""
        found[str(path.relative_to(root))] = (path.lstat().st_mode, content)
    return found


def test_a_registry_serves_it_under_both_names(built: Built, tmp_path: Path) -> None:
    skopeo = need("skopeo")
    with registry(tmp_path) as address:
        reference = f"{address}/{NAME}:test"
        plain = "--dest-tls-verify=false"
        output(skopeo, "copy", "--quiet", plain, f"oci-archive:{built.tar}", f"docker://{reference}")
        manifest = raw(skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
        assert f"sha256:{sha256(manifest).hexdigest()}" == built.manifest
        pinned = f"{address}/{NAME}@{built.manifest}"
        try:
            docker("pull", "--quiet", pinned)
            assert docker_image_id(pinned) == built.image_id
            assert built.manifest in docker("image", "inspect", "--format", "{{.RepoDigests}}", pinned)
        finally:
            remove_from_docker(pinned)


def test_the_image_holds_what_is_installed_live_and_all_of_it_imports(built: Built, loaded: str) -> None:
    compare_inside(built.captured, loaded)


def compare_inside(captured: Captured, image: str) -> None:
    """Ask the live environment and the image the same questions."""
    live = json.loads(output(captured.prefix / "bin/python", "-I", INSIDE))
    inside = json.loads(in_docker(image, "python", "-I", "/inside.py", options=("-v", f"{INSIDE}:/inside.py:ro")))
    assert inside["version"] == live["version"]
    assert inside["installed"] == live["installed"]
    assert inside["failing"] == live["failing"] == {}
    assert inside["modules"] == live["modules"]
    assert set(live["standard library"]) - set(inside["standard library"]) == set()


def test_opencv_finds_its_libraries_in_the_image(workshop: Workshop) -> None:
    docker("info")
    recipe: Recipe = OPENCV_PIP_312
    captured, tag = workshop.captured(recipe), f"{NAME}/opencv:test"
    try:
        workshop.envcap("rebuild", captured.lock, "--load", "--tag", tag).fine()
        assert docker_image_id(tag) == captured.image_id
        program = "import cv2, numpy; print(cv2.resize(numpy.ones((2, 2), 'uint8'), (8, 8)).sum())"
        assert in_docker(tag, "python", "-I", "-c", program) == "64"
        compare_inside(captured, tag)
    finally:
        remove_from_docker(tag)


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("import ctypes.util; print(ctypes.util.find_library('c'))", "libc.so.6"),
        ("import getpass; print(getpass.getuser())", "root"),
        ("import os; print(os.path.expanduser('~'))", "/root"),
        ("import curses; curses.setupterm('xterm'); print(curses.tigetnum('colors'))", "8"),
        ("import zoneinfo; print(zoneinfo.ZoneInfo('Europe/Berlin'))", "Europe/Berlin"),
        ("import locale; print(locale.setlocale(locale.LC_ALL, 'C.UTF-8'))", "C.UTF-8"),
        ("import sys; print(sys.getfilesystemencoding(), sys.stdout.encoding)", "utf-8 utf-8"),
        ("import sys; print(sys.prefix, sys.prefix != sys.base_prefix)", "/opt/env True"),
        ("import tempfile; print(tempfile.gettempdir())", "/tmp"),  # the image's own
        ("import socket; print(socket.gethostbyname('localhost'))", "127.0.0.1"),
        ("import sqlite3; print(sqlite3.connect(':memory:').execute('select 1').fetchone())", "(1,)"),
        ("import multiprocessing as m; print(m.get_context('spawn').Lock().acquire())", "True"),
    ],
)
def test_python_finds_in_the_image_what_it_asks_of_an_operating_system(program: str, answer: str, loaded: str) -> None:
    assert in_docker(loaded, "python", "-c", program) == answer


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("bash", "-c", "echo $((6 * 7)) $HOME"), "42 /root"),
        (("sh", "-c", "ls / | tr '\\n' ' ' && command -v ls cat cp mv rm"), "opt"),
        (("cat", "/etc/os-release"), "Debian"),
        (("markdown-it", "--version"), "markdown-it-py"),
        (("ruff", "--version"), "ruff "),
        (("pygmentize", "-V"), "Pygments version"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_people_find_a_shell_and_the_commands_of_their_packages(
    command: tuple[str, ...], said: str, loaded: str
) -> None:
    assert said in in_docker(loaded, *command)


def test_a_shell_is_what_a_container_starts_with(loaded: str) -> None:
    assert in_docker(loaded, options=("-i",)) == ""
    assert json.loads(docker("image", "inspect", "--format", "{{json .Config.Cmd}}", loaded)) == ["/bin/bash"]


def test_the_image_trusts_the_authorities_that_debian_trusts(loaded: str) -> None:
    program = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    assert int(in_docker(loaded, "python", "-c", program)) > 100


TLS = """
import os, ssl, sys, urllib.error, urllib.request
url = sys.argv[1]
try:
    urllib.request.urlopen(url)
    sys.exit("an unknown authority was trusted")
except urllib.error.URLError as error:
    assert isinstance(error.reason, ssl.SSLCertVerificationError), error
bundle = ssl.get_default_verify_paths().cafile
open("/tmp/bundle.pem", "wb").write(open(bundle, "rb").read() + open("/ca.pem", "rb").read())
os.environ["SSL_CERT_FILE"] = "/tmp/bundle.pem"
print(urllib.request.urlopen(url).read().decode())
"""


def test_tls_works_with_a_bundle_and_refuses_without(loaded: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serve_tls(authority) as url:
        options = ("--network", "host", "-v", f"{tmp_path}/ca.pem:/ca.pem:ro")
        assert in_docker(loaded, "python", "-c", TLS, url, options=options) == "hello"


@contextmanager
def serve_tls(authority: trustme.CA) -> Iterator[str]:
    """Answer `hello` over TLS on loopback, whatever is asked."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def answer() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return  # closed: the test is over
                try:
                    with context.wrap_socket(client, server_side=True) as stream:
                        stream.recv(4096)
                        stream.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                except OSError:
                    client.close()  # who refuses the certificate hangs up

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
