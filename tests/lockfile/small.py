"""One small lock, written by hand, that uses every table; `data/small.lock` is its text."""

from pathlib import Path

from envcap.lockfile.model import (
    Artifact,
    CapturedFile,
    Expected,
    ImageSettings,
    Interpreter,
    LockedEnvironment,
    Lockfile,
    Package,
    Patch,
    Source,
    SystemPackage,
)

SMALL_TEXT = Path(__file__).with_name("data").joinpath("small.lock").read_text(encoding="utf-8")


def sha(digit: str) -> str:
    return digit * 64


def artifact(file: str, digit: str, *, size: int, source: str = "pypi", platform: str = "linux/amd64") -> Artifact:
    return Artifact(platform=platform, source=source, file=file, size=size, sha256=sha(digit))


SMALL = Lockfile(
    name="small",
    recipe=1,
    environment=LockedEnvironment(
        kind="venv",
        newest_upload="2024-10-18T07:04:02Z",
        markers={"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": "3.11.7"},
    ),
    interpreter=Interpreter(
        implementation="cpython",
        version="3.11.7",
        build="main, Dec  4 2023, GCC 12.2.0",
        soabi="cpython-311-x86_64-linux-gnu",
        origin="captured",
        home="opt/python",
        artifacts=(artifact("python-3.11.7.tar.gz", "a", size=30_000_000, source="captured"),),
    ),
    sources=(
        Source(name="debian", kind="debian", suite="bookworm", release=1_752_312_615, signature="verified"),
        Source(name="wheels.example.org-cu118", kind="simple-index", url="https://wheels.example.org/cu118/simple"),
    ),
    packages=(
        Package(
            name="iniconfig",
            version="2.0.0",
            artifacts=(
                artifact("iniconfig-2.0.0-py3-none-any.whl", "b", size=5892),
                artifact("iniconfig-2.0.0-py3-none-any.whl", "b", size=5892, platform="linux/arm64"),
            ),
            patches=(
                Patch(path="bin/link", change="added", target="../x"),
                Patch(
                    path="lib/python3.11/site-packages/iniconfig/__init__.py", change="edited", sha256=sha("c"), size=10
                ),
                Patch(path="lib/python3.11/site-packages/iniconfig/py.typed", change="deleted"),
            ),
        ),
        Package(
            name="torch",
            version="2.1.0+cu118",
            requested=True,
            proof="tags",
            artifacts=(
                artifact(
                    "torch-2.1.0+cu118-cp311-cp311-linux_x86_64.whl",
                    "d",
                    size=2_300_000_000,
                    source="wheels.example.org-cu118",
                ),
            ),
        ),
    ),
    system=(
        SystemPackage(
            name="libstdc++6",
            version="12.2.0-14+deb12u1",
            architecture="amd64",
            platform="linux/amd64",
            source="debian",
            file="pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb",
            size=613_000,
            sha256=sha("e"),
            because=("dependency of libgl1", 'libstdc++.so.6 needed by "torch"'),
        ),
    ),
    captured=(CapturedFile(path="etc/tool.toml", sha256=sha("f"), size=3),),
    image=ImageSettings(
        epoch=1_700_000_000, env={"OMP_NUM_THREADS": "4", "A": "é"}, cmd=("python", "-c", "print('''a.b''')")
    ),
    expected=(Expected(platform="linux/amd64", image_id=f"sha256:{sha('1')}", diff_ids=(f"sha256:{sha('2')}",)),),
)
