"""Docker builds what envcap exports, on a base of Debian's own making."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePath

import pytest

from envcap.export.dockerfile import export_dockerfile
from envcap.lockfile.model import CapturedFile, ImageSettings, LockedEnvironment, Lockfile, Patch, Source, SystemPackage
from tests.export.wheels import PLATFORM, lock_of, make_wheel, package

pytestmark = [pytest.mark.engine, pytest.mark.network, pytest.mark.slow]

BASE = "ENVCAP_TEST_DEBIAN"
"""Variable with the name of an image of Debian 12 that is here already."""

SITE = "lib/python3.11/site-packages"
DATA = b"kept\n"
EDITED = b"VERSION = 'edited'\n"
ODD = 'share/it\'s $HOME; "x".txt'


def docker(*arguments: str | Path) -> str:
    environ = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
    # Debian's client has BuildKit inside; a newer one may want a plugin that is not here.
    program = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("docker") is None:
        pytest.skip("no docker here")
    if name := os.environ.get(BASE):
        yield name
        return
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip(f"neither debootstrap, run as root, nor an image of Debian 12 in {BASE}")
    root = tmp_path_factory.mktemp("debian")
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True, capture_output=True)
    name = f"envcap-test-debian:{uuid.uuid4().hex[:8]}"
    tar = root.parent / "debian.tar"
    subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
    docker("import", tar, name)
    shutil.rmtree(root)
    yield name
    docker("rmi", name)


def python_version(base: str) -> str:
    """Ask the base's mirror, since it may have no other version."""
    ask = "apt-get -qq update >&2 && apt-cache show --no-all-versions python3.11 | sed -n 's/^Version: //p'"
    return docker("run", "--rm", "--network", "host", base, "sh", "-c", ask).strip()


def lock(folder: Path, version: str) -> tuple[Lockfile, dict[str, bytes]]:
    wheel = make_wheel(folder, "alpha", "1.0")
    row = package(wheel, source="captured", origin="local")
    kept = {sha256(data).hexdigest(): data for data in (DATA, EDITED, wheel.read_bytes())}
    patches = (
        Patch(path=f"{SITE}/alpha.py", change="edited", sha256=sha256(EDITED).hexdigest(), size=len(EDITED)),
        Patch(path=f"{SITE}/more.py", change="added", target="alpha.py"),
    )
    plain = lock_of(replace(row, patches=patches), python="3.11.2")
    system = SystemPackage(
        name="python3.11",
        version=version,
        architecture=PLATFORM.partition("/")[2],
        platform=PLATFORM,
        source="debian-bookworm",
        file="pool/x.deb",
        size=1,
        sha256="d" * 64,
        because=("interpreter",),
    )
    lockfile = replace(
        plain,
        environment=LockedEnvironment(kind="venv"),
        interpreter=replace(plain.interpreter, origin="debian", home="usr", soabi="cpython-311-x86_64-linux-gnu"),
        sources=(Source(name="debian-bookworm", kind="debian", suite="bookworm"),),
        system=(system,),
        captured=(
            CapturedFile(path="bin/tool", target="python"),
            CapturedFile(path=ODD, sha256=sha256(DATA).hexdigest(), size=len(DATA)),
        ),
        image=ImageSettings(env={"ODD": 'a "$HOME" \\'}, labels={"org.example": "$x"}, cmd=("python", "-V")),
    )
    return lockfile, kept


def test_docker_builds_an_image_with_the_locks_packages_patches_and_files(base: str, tmp_path: Path) -> None:
    version = python_version(base)
    lockfile, kept = lock(tmp_path / "made", version)
    export = export_dockerfile(lockfile, platform=PLATFORM, wheels=PurePath("wheels"))
    context = tmp_path / "context"
    for one in export.wheels:
        (context / one.path).parent.mkdir(parents=True, exist_ok=True)
        (context / one.path).write_bytes(kept[one.sha256])
    (context / "Dockerfile").write_text(export.text)
    tag = f"envcap-test-built:{uuid.uuid4().hex[:8]}"

    docker("build", "--network", "host", "--build-arg", f"BASE={base}", "--tag", tag, context)
    try:
        run = ("run", "--rm", "--network", "none", tag)
        assert docker(*run, "tool", "-c", "import alpha, more; print(alpha.VERSION, more.VERSION)") == "edited edited\n"
        assert docker(*run, "cat", f"/opt/env/{ODD}") == DATA.decode()
        assert docker(*run, "dpkg-query", "-W", "-f", "${Version}", "python3.11") == version
        assert docker(*run, "printenv", "ODD") == 'a "$HOME" \\\n'
        assert docker(*run) == "Python 3.11.2\n"
        assert docker("inspect", "--format", '{{index .Config.Labels "org.example"}}', tag) == "$x\n"
        assert "python3-pip" not in docker(*run, "dpkg-query", "-W", "-f", "${Package}\n")
    finally:
        docker("rmi", tag)
