"""What tests of the client share: connections without waiting, blobs, real registries."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
import trustme

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.oci.image import MEDIA_TYPE_MANIFEST, Descriptor
from envcap.registry.connection import Connection
from envcap.registry.credentials import AuthFile, RegistryLogins
from envcap.registry.settings import RegistrySettings

EMPTY = Descriptor(media_type="application/vnd.oci.empty.v1+json", digest=Digest.of(b"{}"), size=2)

LOGIN = "researcher:for tests only"
HTPASSWD = "researcher:$2b$05$abcdefghijklmnopqrstuuKoy1z4gXDdOCjTQelNxTahZqBv4cTT.\n"


@dataclass
class Pauses:
    """Waits for nothing, and remembers how long it should have waited."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def connect(host: str, settings: RegistrySettings | None = None, *, pauses: Pauses | None = None) -> Connection:
    settings = settings or RegistrySettings(timeout=5)
    return Connection(host, settings, sleep=pauses or Pauses(), jitter=lambda: 0.5)


def logged_in(host: str, login: str = LOGIN, **others: object) -> RegistrySettings:
    user, _, password = login.partition(":")
    file = AuthFile(auths={host: {"username": user, "password": password}})
    return RegistrySettings(logins=RegistryLogins(files=(file,)), timeout=5, **others)  # type: ignore[arg-type]


def blob(data: bytes) -> Descriptor:
    return Descriptor(media_type="application/octet-stream", digest=Digest.of(data), size=len(data))


def opener(data: bytes) -> "Opener":
    return Opener(data)


@dataclass
class Opener:
    data: bytes

    def __call__(self) -> BinaryIO:
        return BytesIO(self.data)


def ignore(_count: int) -> None:
    """Count nothing."""


def referrer(subject: Descriptor, number: int = 0, artifact_type: str = "application/vnd.example.note") -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_MANIFEST,
            "artifactType": artifact_type,
            "config": EMPTY.to_json(),
            "layers": [EMPTY.to_json()],
            "subject": subject.to_json(),
            "annotations": {"org.example.number": str(number)},
        }
    )


def need(program: str) -> str:
    """Find a program, or skip the test."""
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/bin:/sbin") or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (`scripts/setup --engines` does)")
    return found


@dataclass
class DockerRegistry:
    """A docker-registry on loopback."""

    root: Path
    host: str
    config: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.root / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                [need("docker-registry"), "serve", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 60
        name, _, port = self.host.rpartition(":")
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((name, int(port)), 5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"the registry does not answer at {self.host}")

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(30)

    def collect(self) -> None:
        """Delete untagged manifests and what only they name, as an administrator does at night."""
        command = [need("docker-registry"), "garbage-collect", "--delete-untagged", str(self.config)]
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def docker_registry(
    root: Path, *, login: bool = False, certificate: trustme.LeafCert | None = None
) -> Iterator[DockerRegistry]:
    """Serve a real registry on loopback."""
    need("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    lines = [
        "version: 0.1",
        "log: {level: error}",
        f"storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}",
        f"http:\n  addr: '{host}'\n  secret: fixed-so-that-uploads-survive-a-restart",
    ]
    if certificate is not None:
        certificate.private_key_pem.write_to_path(str(root / "key.pem"))
        for number, pem in enumerate(certificate.cert_chain_pems):
            pem.write_to_path(str(root / "cert.pem"), append=number > 0)
        lines.append(f"  tls: {{certificate: {root}/cert.pem, key: {root}/key.pem}}")
    if login:
        (root / "htpasswd").write_text(HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {root}/htpasswd}}}}")
    (root / "registry.yml").write_text("\n".join(lines) + "\n")
    registry = DockerRegistry(root=root, host=host, config=root / "registry.yml")
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def environment() -> dict[str, str]:
    """What a foreign tool is started with."""
    return {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "HOME": os.environ.get("HOME", "/tmp")}
