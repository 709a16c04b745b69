"""Whole scans: of environments that real installers made, and of broken ones."""

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcap.environment import Environment
from envcap.errors import ScanError
from envcap.scan import SubprocessRunner, find_prefix, scan_environment
from tests.scan.env_builder import SITE, ElfSpec, FakeRunner, add_dist, make_elf, make_env, make_wheel, scan, write

UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
QUIET = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_CONFIG": "1", "UV_OFFLINE": "1"}
RUN = SubprocessRunner(os.environ)

needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed")
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="pip is not installed")


def call(*argv: str | Path, cache: Path) -> None:
    environ = os.environ | QUIET | {"UV_CACHE_DIR": str(cache), "PIP_CACHE_DIR": str(cache)}
    subprocess.run(argv, check=True, capture_output=True, env=environ)


def make_wheels(folder: Path) -> list[Path]:
    folder.mkdir()
    scripts = "[console_scripts]\nalpha = alpha.cli:main\n[gui_scripts]\nalpha-gui = alpha.cli:main\n"
    data = {"alpha-1.0.data/data/share/alpha/a.txt": "a", "alpha-1.0.data/scripts/alpha.sh": "#!/bin/sh\n"}
    return [
        make_wheel(
            folder,
            "alpha",
            {"alpha/__init__.py": "", "alpha/cli.py": "def main(): ...\n", **data},
            entry_points=scripts,
        ),
        make_wheel(folder, "beta", {"beta.py": "x = 1\n"}),
    ]


def pip_environment(folder: Path) -> Path:
    wheels = make_wheels(folder / "wheels")
    call(sys.executable, "-m", "venv", "--without-pip", folder / "env", cache=folder)
    python = folder / "env/bin/python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", *wheels, cache=folder)
    return folder / "env"


def uv_environment(folder: Path, *options: str) -> Path:
    assert UV is not None
    make_wheels(folder / "wheels")
    call(UV, "venv", "-p", sys.executable, folder / "env", cache=folder / "cache")
    where = ("--no-index", "--find-links", folder / "wheels")
    call(UV, "pip", "install", "-p", folder / "env", *where, *options, "alpha", "beta", cache=folder / "cache")
    return folder / "env"


def entries(prefix: Path) -> int:
    """Count files, symlinks and all that is no folder under a prefix, by other means than the scan's."""
    count = 0
    for folder, folders, files in os.walk(os.fsencode(prefix)):
        count += len(files) + sum(Path(os.fsdecode(folder), os.fsdecode(name)).is_symlink() for name in folders)
    return count


def accounted(environment: Environment) -> int:
    kept = {file.path for one in environment.distributions for file in one.files}
    kept |= {file.path for file in environment.unowned}
    return len(kept) + sum(environment.ignored.values())


def check_real(environment: Environment) -> None:
    alpha, beta = environment.distributions
    assert (alpha.name, alpha.version, beta.name) == ("alpha", "1.0", "beta")
    assert [one.name for one in alpha.entry_points] == ["alpha", "alpha-gui"]
    assert alpha.missing == beta.missing == ()
    assert {"bin/alpha", "bin/alpha-gui", "bin/alpha.sh", "share/alpha/a.txt"} < {file.path for file in alpha.files}
    assert alpha.tags == ("py3-none-any",)
    assert environment.unowned == ()
    assert environment.elf.files >= 1
    assert "libc.so.6" in {need.soname for need in environment.elf.needs}
    assert accounted(environment) == entries(environment.prefix)


@needs_pip
def test_every_file_of_a_pip_environment_has_an_owner(tmp_path: Path) -> None:
    prefix = pip_environment(tmp_path)

    environment = scan_environment(prefix, run=RUN)

    check_real(environment)
    assert environment.findings == ()
    assert {one.installer for one in environment.distributions} == {"pip"}
    assert environment.ignored["bytecode"] == 3
    for one in environment.distributions:
        live = {file.path: file.sha256 for file in one.files}
        assert {row.path for row in one.record if row.sha256 and live[row.path] != row.sha256} == set()


@needs_uv
@pytest.mark.parametrize("mode", ["copy", "hardlink", "symlink"])
def test_every_file_of_a_uv_environment_has_an_owner(tmp_path: Path, mode: str) -> None:
    prefix = uv_environment(tmp_path, "--link-mode", mode)

    environment = scan_environment(find_prefix(prefix / "bin/python", {}).prefix, run=RUN)

    check_real(environment)
    assert [one.code for one in environment.findings] == ["linked-install"] * (mode == "symlink")
    assert {one.installer for one in environment.distributions} == {"uv"}
    assert all(one.requested for one in environment.distributions)
    links = {file.links for file in environment.distributions[1].files if file.path.endswith("beta.py")}
    assert links == {2 if mode == "hardlink" else 1}


@needs_uv
def test_uv_tells_which_wheels_it_built(tmp_path: Path) -> None:
    project = tmp_path / "project"
    wheel = make_wheel(tmp_path, "local", {"local.py": ""})
    backend = (
        "import shutil\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        f"    shutil.copy({str(wheel)!r}, folder)\n"
        f"    return {wheel.name!r}\n"
    )
    pyproject = (
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'local'\nversion = '1.0'\n"
    )
    write(project, {"backend.py": backend, "pyproject.toml": pyproject})
    assert UV is not None
    call(UV, "venv", "-p", sys.executable, tmp_path / "env", cache=tmp_path / "cache")
    call(UV, "pip", "install", "-p", tmp_path / "env", "--no-build-isolation", project, cache=tmp_path / "cache")

    (local,) = scan_environment(tmp_path / "env", run=RUN).distributions

    assert local.built_from_source
    assert local.direct_url is not None
    assert local.direct_url.kind == "directory"


@needs_pip
def test_scan_changes_nothing_and_says_the_same_again(tmp_path: Path) -> None:
    prefix = pip_environment(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in prefix.rglob("*")}

    first = scan_environment(prefix, run=RUN)

    assert scan_environment(prefix, run=RUN) == first
    assert {path: path.lstat().st_mtime_ns for path in prefix.rglob("*")} == before


def test_moved_environment_scans_alike_but_for_its_place(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", {"pkg.py": "x"})
    write(prefix, {"share/x": "x"})
    first = scan(prefix)
    (tmp_path / "moved").mkdir()
    moved = prefix.rename(tmp_path.resolve() / "moved/env")

    second = scan(moved)

    assert (second.distributions, second.unowned) == (first.distributions, first.unowned)
    assert (second.ignored, second.findings, second.elf) == (first.ignored, first.findings, first.elf)


def test_progress_tells_each_phase_to_its_end(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", {"pkg.py": "x"})
    told: list[tuple[str, int, int]] = []

    scan_environment(prefix, run=FakeRunner(prefix), progress=lambda *step: told.append(step))

    ended = [phase for phase, done, total in told if done == total]
    assert ended == ["probe", "walk", "metadata", "hash", "elf"]


def test_platlib_apart_from_purelib_is_read_too(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / "lib64").unlink()
    add_dist(prefix, "pure", {"pure.py": ""})
    shutil.copytree(prefix / "lib", prefix / "lib64")
    paths = {
        "purelib": str(prefix / SITE),
        "platlib": str(prefix / SITE.replace("lib/", "lib64/")),
        "stdlib": "/s",
        "scripts": "/s",
        "data": "/s",
    }

    environment = scan(prefix, paths=paths)

    # It is one distribution of one version, so it is one row; both folders' files are its own.
    (one,) = environment.distributions
    assert {file.path.partition("/")[0] for file in one.files} == {"lib", "lib64"}
    assert environment.site_packages == SITE


def test_site_packages_outside_the_prefix_is_an_error(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    paths = dict.fromkeys(("purelib", "platlib", "stdlib", "scripts", "data"), "/elsewhere")

    with pytest.raises(ScanError, match="expected a folder inside"):
        scan(prefix, paths=paths)


def test_file_that_vanishes_during_the_scan_is_counted(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {"share/file": "x"})

    def vanish(phase: str, done: int, total: int) -> None:
        # The walk has seen it, and no thread hashes yet.
        if phase == "walk" and done == total:
            (prefix / "share/file").unlink()

    environment = scan_environment(prefix, run=FakeRunner(prefix), progress=vanish)

    assert environment.unowned == ()
    assert environment.ignored["unreadable"] == 1
    assert [one.code for one in environment.findings] == ["file-unreadable"]


def test_two_findings_of_one_kind_come_in_order(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    for name in ("b", "a"):
        os.mkfifo(prefix / name)
    write(prefix, {f"{SITE}/x.pth": "import x\n"})

    findings = scan(prefix).findings

    assert [(one.code, one.path) for one in findings] == [
        ("file-special", "a"),
        ("file-special", "b"),
        ("startup-code", f"{SITE}/x.pth"),
    ]


def small_environment(folder: Path) -> Path:
    prefix = make_env(folder)
    elf = make_elf(ElfSpec(needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.17"]}))
    metadata: dict[str, bytes | str] = {
        "entry_points.txt": "[console_scripts]\na = a:main\n",
        "direct_url.json": '{"url": "https://example.org/a.whl", "archive_info": {}}',
        "top_level.txt": "a\n",
    }
    add_dist(prefix, "a", {"a/__init__.py": "x", "a/b.so": elf}, metadata=metadata, rows=["../../../bin/a,,"])
    add_dist(prefix, "shared", {"a/__init__.py": "x"})
    egg = {"EGG-INFO/PKG-INFO": "Name: egg\nVersion: 1\n", "egg.py": ""}
    write(prefix / SITE / "egg-1-py3.11.egg", egg)
    write(prefix, {"bin/a": "#!/x\nfrom a import main\nsys.exit(main())\n", f"{SITE}/x.pth": "import a\n"})
    write(
        prefix,
        {f"{SITE}/a/__pycache__/b.cpython-311.pyc": bytes(16), f"{SITE}/old.egg-info": "Name: old\nVersion: 1\n"},
    )
    return prefix


def damage(path: Path, how: str, data: bytes) -> None:
    """Damage a file in one of the ways that disks, people and attackers know."""
    if how == "prepend":
        path.write_bytes(data + path.read_bytes())
    elif how == "append":
        path.write_bytes(path.read_bytes() + data)
    elif how == "replace":
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: len(data)])
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
            (path / "inside").write_bytes(data)
        elif how == "fifo":
            os.mkfifo(path)
        elif how == "link":
            path.symlink_to("../../../../../etc" if len(data) % 2 else path.name)
        elif how == "rename":
            name = b"renamed" + data.replace(b"/", b"").replace(b"\0", b"")
            target = path.parent / os.fsdecode(name)
            # An earlier step may have made a folder, a FIFO or a link of that name.
            if not os.path.lexists(target):
                target.write_bytes(data)


HOWS = ["prepend", "append", "replace", "cut", "folder", "fifo", "link", "rename", "gone"]
DAMAGE = st.lists(
    st.tuples(st.integers(0, 1000), st.sampled_from(HOWS), st.binary(max_size=60)), min_size=1, max_size=6
)


@settings(max_examples=80, deadline=None)
@given(DAMAGE)
def test_random_damage_gives_an_environment_or_a_scan_error_and_loses_nothing(
    steps: list[tuple[int, str, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = small_environment(Path(folder))
        for number, how, data in steps:
            # The interpreter stays: it is this test's own, behind a symlink.
            paths = sorted(path for path in prefix.rglob("*") if stat.S_ISREG(path.lstat().st_mode))
            if paths:
                damage(paths[number % len(paths)], how, data)
        try:
            environment = scan(prefix)
        except ScanError:
            assert not (prefix / "pyvenv.cfg").is_file()
            return

        assert accounted(environment) == entries(prefix)
        for file in (*environment.unowned, *(file for one in environment.distributions for file in one.files)):
            if not file.target:
                assert hashlib.sha256((prefix / file.path).read_bytes()).hexdigest() == file.sha256
        assert scan(prefix) == environment
