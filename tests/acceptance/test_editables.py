"""Editable installs of every common build backend: the image is the environment that worked.

The measurement behind the rule of `envcap.scan.editable`: what a wheel of the project holds, beside what is captured.
"""

import hashlib
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.scan import SubprocessRunner, scan_environment
from envcap.scan.editable import expand_editables
from tests.acceptance.environments import MACHINE, UV, Captured, Workshop, need_python
from tests.scan.env_builder import write

pytestmark = [pytest.mark.network, pytest.mark.slow]

BACKENDS = {
    "setuptools": "setuptools.build_meta",
    "hatchling": "hatchling.build",
    "flit_core": "flit_core.buildapi",
    "pdm-backend": "pdm.backend",
    "poetry-core": "poetry.core.masonry.api",
}
MESON = """project('mesoned', version: '0.3')
py = import('python').find_installation()
py.install_sources('mesoned/__init__.py', subdir: 'mesoned')
configure_file(input: 'made.py.in', output: 'made.py', configuration: {'A': '1'}, install: true,
               install_dir: py.get_install_dir() / 'mesoned')
"""
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


def name_of(backend: str, layout: str) -> str:
    return f"{backend.partition('-')[0].partition('_')[0]}{layout}"


NAMES = [name_of(backend, layout) for backend in BACKENDS for layout in ("src", "flat")]


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=MACHINE, capture_output=True, check=False, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make_project(folder: Path, backend: str, layout: str) -> Path:
    """A project with a package, a module below it, data that setuptools is not told of, and more beside it."""
    name = name_of(backend, layout)
    code = f"src/{name}" if layout == "src" else name
    write(
        folder / name,
        {
            "pyproject.toml": f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{BACKENDS[backend]}"\n'
            f'[project]\nname = "{name}"\nversion = "0.3"\ndescription = "x"\n'
            f'[project.scripts]\n{name} = "{name}:main"\n',
            "README.md": "# x\n",
            "tests/__init__.py": "",
            f"{code}/__init__.py": '"""Code."""\n\n\ndef main():\n    print("works")\n',
            f"{code}/sub/mod.py": "Y = 2\n",
            f"{code}/data.txt": "data\n",
        },
    )
    commit(folder / name)
    return folder / name


def commit(folder: Path) -> None:
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run(*GIT, "commit", "-qm", "one", cwd=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An environment of editable installs.

    Attributes:
        projects: Folder of all projects.
        captured: The environment and its lock.
    """

    projects: Path
    captured: Captured

    def expanded(self) -> Environment:
        return expand_editables(scan_environment(self.captured.prefix, run=SubprocessRunner(MACHINE)))


@pytest.fixture(scope="module")
def made(workshop: Workshop) -> Made:
    root = workshop.root / "editables"
    projects = [make_project(root, backend, layout) for backend in BACKENDS for layout in ("src", "flat")]
    mesoned = root / "mesoned"
    write(
        mesoned,
        {
            "pyproject.toml": '[build-system]\nrequires = ["meson-python"]\nbuild-backend = "mesonpy"\n'
            '[project]\nname = "mesoned"\nversion = "0.3"\n',
            "meson.build": MESON,
            "made.py.in": "A = @A@\n",
            "mesoned/__init__.py": "X = 1\n",
            ".gitignore": "build/\n",
        },
    )
    commit(mesoned)
    prefix = workshop.root / "envs/editables"
    run(UV, "venv", "--quiet", "--python", need_python("3.11"), prefix)
    install = [UV, "pip", "install", "--quiet", "--python", prefix]
    run(*install, *(word for project in projects for word in ("--editable", project)))
    run(*install, "meson-python", "ninja")
    run(*install, "--no-build-isolation", "--editable", mesoned)
    return Made(projects=root, captured=snapshot(workshop, prefix))


def snapshot(workshop: Workshop, prefix: Path, name: str = "editables") -> Captured:
    locks = workshop.root / "locks"
    answer = workshop.envcap("snapshot", prefix, "--name", name, "--output", locks, "--json").fine()
    return Captured(prefix=prefix, lock=locks / name, image_id=answer.json["image_id"])


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_holds_no_file_that_the_live_ones_lack_and_none_that_differs(
    name: str, made: Made, tmp_path: Path
) -> None:
    copy = tmp_path / name
    shutil.copytree(made.projects / name, copy)
    run(UV, "build", "--quiet", "--wheel", copy, "--out-dir", tmp_path / "wheel")
    with zipfile.ZipFile(next((tmp_path / "wheel").glob("*.whl"))) as archive:
        names = [row for row in archive.namelist() if not row.endswith("/") and ".dist-info/" not in row]
        wheel = {row: hashlib.sha256(archive.read(row)).hexdigest() for row in names}
    environment = made.expanded()
    (live,) = [row for row in environment.distributions if row.name == name]
    site = f"{environment.site_packages}/"
    captured = {file.path.removeprefix(site): file.sha256 for file in live.files if file.source}
    assert wheel.items() <= captured.items()
    undeclared = {f"{name}/data.txt"} if name.startswith("setuptools") else set()
    assert captured.keys() - wheel.keys() == undeclared


def test_live_files_and_captured_ones_give_one_image(made: Made, workshop: Workshop) -> None:
    rebuilt = workshop.envcap("rebuild", made.captured.lock, "--json").fine().json
    assert rebuilt["image_id"] == rebuilt["expected"] == made.captured.image_id


def test_a_project_that_is_built_anew_gives_the_same_lock(made: Made, workshop: Workshop) -> None:
    note = made.projects / "mesoned/note.txt"  # another project than the one that was built, with the same code
    note.write_text("x")
    try:
        again = snapshot(workshop, made.captured.prefix, "again")
    finally:
        note.unlink()
    assert again.image_id == made.captured.image_id
    assert {**again.read(), "name": ""} == {**made.captured.read(), "name": ""}


def test_the_projects_are_left_as_they_were(made: Made) -> None:
    for project in sorted(made.projects.iterdir()):
        assert [
            line for line in run("git", "status", "--short", cwd=project).splitlines() if "egg-info" not in line
        ] == []


def test_an_import_hook_that_is_not_known_is_replaced_by_what_its_project_builds(
    made: Made, workshop: Workshop, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    workshop.envcap("rebuild", made.captured.lock, "--rootfs", root).fine()
    site = root / "opt/env/lib/python3.11/site-packages"
    assert (site / "mesoned/__init__.py").read_text() == "X = 1\n"
    assert (site / "mesoned/made.py").read_text() == "A = 1\n"
    assert not list(site.glob("*mesoned*editable*"))
    assert (site / "setuptoolssrc/data.txt").read_text() == "data\n"


def test_no_build_leaves_it_out_and_says_so(made: Made, workshop: Workshop, tmp_path: Path) -> None:
    command = ("snapshot", made.captured.prefix, "--name", "unbuilt", "--output", tmp_path, "--no-build", "--json")
    warnings = workshop.envcap(*command).fine().json["warnings"]
    assert [row["message"] for row in warnings if row["code"] == "editable-lost"] == [
        "mesoned is editable and its code was not found: the image can't import it"
    ]


def test_commit_branch_and_uncommitted_files_are_in_the_lock_and_shown(
    made: Made, workshop: Workshop, tmp_path: Path
) -> None:
    project = made.projects / "hatchlingsrc"
    module = project / "src/hatchlingsrc/sub/mod.py"
    fresh = module.with_name("fresh.py")
    before = module.read_text()
    try:
        module.write_text("Y = 3\n")
        fresh.write_text("Z = 1\n")
        taken = snapshot(workshop, made.captured.prefix, "dirty")
    finally:
        module.write_text(before)
        fresh.unlink()
    (row,) = [row for row in taken.read()["packages"] if row["name"] == "hatchlingsrc"]
    head = run("git", "rev-parse", "HEAD", cwd=project).strip()
    assert (row["origin"], row["commit"], row["branch"], row["uncommitted"]) == ("editable", head, "main", 2)
    line = f"hatchlingsrc 0.3: editable, commit {head[:7]} on main, 2 files uncommitted"
    assert line in workshop.envcap("show", taken.lock).fine().out.splitlines()
    rebuilt = workshop.envcap("rebuild", taken.lock, "--json").fine().json
    assert rebuilt["image_id"] == taken.image_id != made.captured.image_id


def test_setup_py_develop_gives_one_image_without_a_trace_of_this_machine(workshop: Workshop, tmp_path: Path) -> None:
    project = tmp_path / "developed"
    write(
        project,
        {
            "setup.py": "from setuptools import setup\nsetup(name='developed', version='1.2', packages=['developed'],\n"
            "  package_dir={'': 'src'}, scripts=['bin/devtool'],\n"
            "  entry_points={'console_scripts': ['devcmd = developed:main']})\n",
            "src/developed/__init__.py": "def main():\n    print('works')\n",
            "src/developed/note.txt": "note\n",
            "bin/devtool": "#!/usr/bin/env python\nimport developed\ndeveloped.main()\n",
        },
    )
    prefix = tmp_path / "env"
    run(UV, "venv", "--quiet", "--python", need_python("3.11"), prefix)
    run(UV, "pip", "install", "--quiet", "--python", prefix, "setuptools<60")
    run(prefix / "bin/python", "setup.py", "--quiet", "develop", cwd=project)
    taken = snapshot(workshop, prefix, "developed")
    rebuilt = workshop.envcap("rebuild", taken.lock, "--json", "--rootfs", tmp_path / "root").fine().json
    assert rebuilt["image_id"] == taken.image_id
    environment = tmp_path / "root/opt/env"
    assert (environment / "bin/devtool").read_text() == (project / "bin/devtool").read_text()
    assert (environment / "bin/devcmd").read_text().startswith("#!/opt/env/bin/python\n")
    site = environment / "lib/python3.11/site-packages"
    assert (site / "developed/note.txt").read_text() == "note\n"
    assert (site / "developed.egg-info/entry_points.txt").is_file()
    assert not [
        path for path in environment.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()
    ]
