"""The other side: `docker build` with uv on a warm cache mount, and `docker push` to a registry on loopback.

BuildKit writes layers uncompressed into the engine; only the push compresses them, so both together make what a
rebuild makes: a finished, compressed image.
"""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi
from commands import Measured, StepError, run, tell
from workplace import Workplace

BASE = "bench-base:envcap"
_CACHE = "id=envcap-bench-uv,target=/bench-cache"
_LOOPBACK = "127.0.0.1"
_PASSED = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_INSECURE_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""Settings of this machine that a build needs to reach the same index."""

# What the build needs is mounted, not copied in: neither uv nor the cache ends in the image that is pushed.
_DOCKERFILE = f"""\
FROM {BASE}
{{arguments}}
ARG UV_OFFLINE
ARG BUST
ENV SSL_CERT_FILE=/bench/ca.crt UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_CACHE_DIR=/bench-cache
RUN --mount=type=bind,target=/bench --mount=type=cache,{_CACHE} \
["/bench/uv", "pip", "install", "--config-file", "/bench/uv.toml", "--no-deps", "--quiet", \
"--python", "/opt/env", "--requirement", "/bench/requirements.txt"]
"""
_EMPTYING = f"""\
FROM {BASE}
ARG BUST
RUN --mount=type=cache,{_CACHE} ["/bin/bash", "-O", "dotglob", "-c", "rm -rf /bench-cache/*"]
"""

_REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


class Docker:
    """A docker client with BuildKit whose engine answers.

    Attributes:
        program: The client.
        version: Of the engine.
    """

    def __init__(self, program: Path, version: str) -> None:
        self.program = program
        self.version = version

    def run(self, *arguments: str | Path) -> Measured:
        """Run the client."""
        return run([self.program, *arguments], env={"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"})

    def build(self, context: Path, tag: str, *, offline: bool) -> Measured:
        """Build the context's image with nothing but the cache mount and the base remembered."""
        arguments = [f"--build-arg={name}={os.environ[name]}" for name in _PASSED if name in os.environ]
        arguments += [f"--build-arg=UV_OFFLINE={int(offline)}", f"--build-arg=BUST={time.time_ns()}"]
        return self.run("build", "--quiet", "--network", "host", *arguments, "--tag", tag, context)


def find_docker() -> Docker:
    """Find a client that can build with BuildKit, and an engine that answers it.

    A newer client builds with its plugin buildx alone, and not every machine has that; Debian's older one has BuildKit
    inside. So every `docker` in PATH is looked at.

    Raises:
        StepError: There is none; the message says why.
    """
    found = {Path(folder) / "docker" for folder in os.get_exec_path() if (Path(folder) / "docker").is_file()}
    reasons = []
    for program in sorted(found):
        try:
            version = run([program, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"]).output.split()
            if int(version[0].partition(".")[0]) >= 23:
                run([program, "buildx", "version"])
        except (StepError, ValueError, IndexError) as error:
            reasons.append(str(error))
            continue
        return Docker(program, version[1])
    raise StepError(reasons[0] if reasons else "no docker in PATH")


@contextmanager
def registry(place: Workplace) -> Iterator[str]:
    """Serve an empty registry on a free port of loopback.

    Raises:
        StepError: It is not installed, or does not start.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise StepError("no docker-registry in PATH")
    with socket.socket() as free:
        free.bind((_LOOPBACK, 0))
        port = free.getsockname()[1]
    address = f"{_LOOPBACK}:{port}"
    folder = place.root / "registry"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = place.root / "registry.yml"
    config.write_text(_REGISTRY.format(folder=folder, address=address), encoding="utf-8")
    # Its settings may also come from variables, and a machine may have some for another registry.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (place.root / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log, env=variables)
        try:
            _wait_for(process, port)
            yield address
        finally:
            process.terminate()
            process.wait()


@contextmanager
def prepared(docker: Docker, place: Workplace) -> Iterator[tuple[Path, str]]:
    """Make the base image with envcap, the context, a registry that has the base, and a warm cache mount.

    Gives the context and the registry's address; takes away what was put into the engine.

    Raises:
        StepError: One of them can't be made.
    """
    tell("docker: base image from an empty environment on the same interpreter")
    empty = place.root / "empty"
    place.make_venv(empty)
    place.envcap("snapshot", empty, "--name", "bench-base", "--output", place.root / "locks", "--store", place.store)
    place.envcap("rebuild", place.root / "locks" / "bench-base", "--load", "--tag", BASE, "--store", place.store)
    context = _context(place)
    with registry(place) as address:
        base, warm = f"{address}/base", f"{address}/warm"
        try:
            docker.run("tag", BASE, base)
            docker.run("push", base)
            tell("docker: one build to warm the cache mount")
            docker.build(context, warm, offline=False)
            yield context, address
        finally:
            _empty_cache(docker, context)
            for name in (base, warm, BASE):
                with suppress(StepError):
                    docker.run("image", "rm", "--force", name)


def build_and_push(docker: Docker, context: Path, name: str) -> tuple[Measured, Measured]:
    """Build an image on the warm cache mount, push it, and remove it.

    Raises:
        StepError: It can't be built or pushed.
    """
    try:
        return docker.build(context, name, offline=True), docker.run("push", name)
    finally:
        with suppress(StepError):
            docker.run("image", "rm", "--force", name)


def _context(place: Workplace) -> Path:
    context = place.root / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    shutil.copy(place.bin / "uv", context / "uv")
    shutil.copy(place.requirements, context / "requirements.txt")
    shutil.copy(_certificates(), context / "ca.crt")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    named = Path(os.environ.get("UV_CONFIG_FILE") or settings)
    (context / "uv.toml").write_bytes(named.read_bytes() if named.is_file() else b"")
    arguments = "\n".join(f"ARG {name}" for name in _PASSED)
    (context / "Dockerfile").write_text(_DOCKERFILE.format(arguments=arguments), encoding="utf-8")
    return context


def _certificates() -> Path:
    """Find this machine's CA bundle: the index may be signed by a CA that only this machine knows."""
    known = ssl.get_default_verify_paths().cafile
    return Path(known or certifi.where())


def _empty_cache(docker: Docker, context: Path) -> None:
    """Empty the cache mount: the engine offers no way to remove one by its name."""
    (context / "Dockerfile").write_text(_EMPTYING, encoding="utf-8")
    with suppress(StepError):
        docker.build(context, "bench-emptied", offline=True)
        docker.run("image", "rm", "--force", "bench-emptied")


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(100):
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection((_LOOPBACK, port), timeout=1):
            return
        time.sleep(0.1)
    raise StepError("docker-registry does not start")
