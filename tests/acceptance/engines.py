"""The container engines of this machine, each skipped with the reason where it is missing."""

import atexit
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.acceptance.environments import MACHINE

NAME = f"envcap-acceptance-{secrets.token_hex(4)}"
"""Of this run's images: several runs may share one engine."""


def need(program: str) -> str:
    """Find a program, or skip the test."""
    # Another docker client may come first in PATH than the one that belongs to Debian's engine.
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin") or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def output(*command: object, stdin: str = "") -> str:
    """Run a command that must succeed, and give what it prints."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, env=MACHINE, capture_output=True, check=False, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


@cache
def _silent_engine() -> str:
    done = subprocess.run([need("docker"), "info"], env=MACHINE, capture_output=True, check=False, text=True)
    return done.stderr.strip() if done.returncode else ""


def docker(*arguments: object) -> str:
    """Run a docker command, or skip the test where no engine answers."""
    program = need("docker")
    if reason := _silent_engine():
        pytest.skip(f"no docker engine answers: {reason.splitlines()[-1]}")
    return output(program, *arguments)


def in_docker(image: str, *command: object, options: tuple[object, ...] = ()) -> str:
    """Run a command in a new container without network, and give what it prints."""
    network = () if "--network" in options else ("--network", "none")
    return docker("run", "--rm", *network, *options, image, *command)


def docker_image_id(reference: str) -> str:
    return docker("image", "inspect", "--format", "{{.Id}}", reference)


def remove_from_docker(*references: str) -> None:
    subprocess.run(
        [need("docker"), "image", "rm", "--force", *references], env=MACHINE, capture_output=True, check=False
    )


class Podman:
    """podman, with its storage in a folder of the test."""

    def __init__(self, root: Path) -> None:
        program = need("podman")
        # podman refuses a runroot of more than 50 characters, which folders of pytest easily have.
        run = tempfile.mkdtemp(prefix="ep-")
        atexit.register(shutil.rmtree, run, ignore_errors=True)
        self._command = [program, "--root", str(root / "root"), "--runroot", run]
        self._command += ["--storage-driver", "vfs"]
        if os.geteuid() != 0:
            pytest.skip("podman with its storage elsewhere needs root")

    def __call__(self, *arguments: object) -> str:
        return output(*self._command, *arguments)

    def ids(self, reference: str) -> tuple[str, str]:
        """Give image ID and manifest digest of an image."""
        found = json.loads(self("image", "inspect", reference))[0]
        return f"sha256:{found['Id'].removeprefix('sha256:')}", found["Digest"]


@contextmanager
def registry(root: Path) -> Iterator[str]:
    """Serve a registry on loopback; gives its `host:port`."""
    program = need("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = root / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with (root / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{address}/v2/", process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"the registry does not answer at {url}")
