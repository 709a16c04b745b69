"""Scanning a conda prefix: records of all tools, owners, and what is odd."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envcap.environment import CondaRecord, Environment
from envcap.finding import FindingLevel
from envcap.scan import SubprocessRunner, scan_environment
from tests.conda.channel import SITE, Channel, Member, Spec, install, make_channel, python_spec
from tests.flow import Flow

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def prefix(locked: Flow, tmp_path: Path) -> Path:
    """A copy of the environment, free to be changed: its files still name the place it came from."""
    shutil.copytree(locked.prefix, tmp_path / "env", symlinks=True)
    return tmp_path / "env"


def scan(prefix: Path) -> Environment:
    return scan_environment(prefix, run=SubprocessRunner(dict(os.environ)))


def record_of(environment: Environment, name: str) -> CondaRecord:
    return next(record for record in environment.conda if record.name == name)


def edit(prefix: Path, name: str, change: Edit) -> None:
    path = next((prefix / "conda-meta").glob(f"{name}-*.json"))
    table = json.loads(path.read_text())
    change(table)
    path.unlink()
    path.write_text(json.dumps(table))


def codes(environment: Environment) -> list[str]:
    return [finding.code for finding in environment.findings if finding.code.startswith(("conda", "file-clob"))]


def test_every_file_has_an_owner(locked: Flow) -> None:
    environment = scan(locked.prefix)

    assert [record.name for record in environment.conda] == ["fast", "hooked", "old", "python", "tool"]
    assert environment.unowned == ()
    assert environment.distributions == ()
    assert codes(environment) == []
    assert record_of(environment, "python").requested == ("python",)
    assert record_of(environment, "tool").depends == (f"python {SITE.split('/')[1].removeprefix('python')}.*",)


def test_a_copied_prefix_knows_where_it_came_from(locked: Flow, prefix: Path) -> None:
    assert scan(prefix).baked_prefixes == (str(prefix), str(locked.prefix))


def test_what_conda_itself_writes_is_read_alike(prefix: Path) -> None:
    before = record_of(scan(prefix), "tool")

    def as_conda(table: dict[str, Any]) -> None:
        table["requested_spec"] = "lab::tool=1.2"
        del table["requested_specs"]
        table["channel"] = f"{table['channel']}/noarch"
        table["package_tarball_full_path"] = "/home/ada/pkgs/tool-1.2-0.conda"
        table["noarch"] = "python"
        table["timestamp"] = 1700000000000
        table["track_features"] = ""
        for row in table["paths_data"]["paths"]:
            row.setdefault("sha256_in_prefix", row.get("sha256"))
            row["_path"] = (
                row["_path"].replace(SITE, "site-packages").replace("bin/tool-script", "python-scripts/tool-script")
            )
        table["paths_data"]["paths"].append({"_path": f"{SITE}/tool/__pycache__/x.pyc", "path_type": "pyc_file"})

    edit(prefix, "tool", as_conda)
    after = record_of(scan(prefix), "tool")

    assert after.requested == ("lab::tool=1.2",)
    assert (after.channel, after.file, after.files, after.sha256) == (
        (before.channel, before.file, before.files, before.sha256)
    )
    assert [row.path for row in after.paths] == [row.path for row in before.paths]
    assert (scan(prefix).distributions, scan(prefix).unowned) == ((), ())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda table: table.pop("name"), "conda-record-invalid"),
        (lambda table: table.update(subdir="../../etc"), "conda-record-invalid"),
        (lambda table: table.update(fn="../x.conda", url=""), "conda-record-invalid"),
        (lambda table: table["paths_data"]["paths"].append({"_path": "../../etc/passwd"}), "conda-record-odd"),
        (lambda table: table["paths_data"]["paths"].append(3), "conda-record-odd"),
        (lambda table: table["paths_data"]["paths"].append({"_path": "share/gone"}), "conda-files-missing"),
    ],
    ids=["no name", "subdir", "file name", "path outside", "no row", "file gone"],
)
def test_an_odd_record_is_one_finding(prefix: Path, change: Edit, code: str) -> None:
    edit(prefix, "fast", change)

    assert codes(scan(prefix)) == [code]


def test_a_truncated_record_is_one_finding_and_its_files_are_nobodys(prefix: Path) -> None:
    path = next((prefix / "conda-meta").glob("fast-*.json"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:200])

    environment = scan(prefix)

    assert codes(environment) == ["conda-record-unreadable"]
    assert "lib/libfast.so.1.2" in {file.path for file in environment.unowned}
    assert "fast" not in {record.name for record in environment.conda}


def test_keys_that_are_missing_are_no_fault(prefix: Path) -> None:
    def strip(table: dict[str, Any]) -> None:
        for key in set(table) - {"name", "version", "build", "subdir", "fn", "files"}:
            del table[key]

    edit(prefix, "fast", strip)
    record = record_of(scan(prefix), "fast")

    assert codes(scan(prefix)) == []
    assert (record.sha256, record.md5, record.size) == ("", "", -1)
    assert {row.path for row in record.paths} == {file.path for file in record.files}


def test_secrets_of_a_channel_and_of_specs_are_not_kept(prefix: Path) -> None:
    def leak(table: dict[str, Any]) -> None:
        table["url"] = "https://ada:pw@conda.example.org/t/tk-1/lab/linux-64/fast-3.0-h1_0.conda"
        table["requested_specs"] = ["https://ada:pw@conda.example.org/t/tk-1/lab::fast"]

    edit(prefix, "fast", leak)
    record = record_of(scan(prefix), "fast")

    assert (record.channel, record.channel_url) == ("lab", "https://conda.example.org/lab")
    assert record.requested == ("fast",)


def test_two_packages_of_one_path_have_one_winner(channel: Channel, tmp_path: Path) -> None:
    install(channel, tmp_path / "env", ["python", "twin-a", "twin-b"], cache=tmp_path / "cache")

    environment = scan(tmp_path / "env")

    live = (tmp_path / "env/share/twin.txt").read_bytes()
    winner, loser = ("twin-a", "twin-b") if live == b"a\n" else ("twin-b", "twin-a")
    assert record_of(environment, loser).lost == ("share/twin.txt",)
    assert "share/twin.txt" in {file.path for file in record_of(environment, winner).files}
    assert environment.unowned == ()
    assert [finding.message for finding in environment.findings if finding.code == "file-clobbered"] == [
        f"conda's {winner} wrote 1 file of conda's {loser} last: the image gets what is live"
    ]


def test_packages_that_share_a_file_of_the_same_bytes_overwrite_nothing(tmp_path: Path) -> None:
    share = {"share/LICENSE": Member(data=b"free\n")}
    specs = [Spec(name=name, version="1", files=share) for name in ("one", "other")]
    shared = make_channel(tmp_path / "lab", (python_spec(), *specs))
    install(shared, tmp_path / "env", ["python", "one", "other"], cache=tmp_path / "cache")

    environment = scan(tmp_path / "env")

    assert codes(environment) == []
    assert sorted(len(record_of(environment, name).lost) for name in ("one", "other")) == [0, 1]


@pytest.mark.parametrize(
    ("text", "message", "level"),
    [
        ("", "a file of conda's hook", FindingLevel.NOTE),
        ("\nimport os\n", "a file of conda's hook that was edited", FindingLevel.WARNING),
    ],
)
def test_code_at_start_that_a_package_of_conda_brings_has_an_owner(
    tmp_path: Path, text: str, message: str, level: FindingLevel
) -> None:
    """As setuptools' `distutils-precedence.pth`, which nearly every environment has."""
    files = {"site-packages/hook.pth": Member(data=b"import sys\n")}
    hook = Spec(name="hook", version="1", noarch="python", files=files, depends=("python",))
    lab = make_channel(tmp_path / "lab", (python_spec(), hook))
    install(lab, tmp_path / "env", ["python", "hook"], cache=tmp_path / "cache")
    path = tmp_path / "env" / SITE / "hook.pth"
    before = path.read_text()
    path.unlink()
    path.write_text(before + text)

    (found,) = [finding for finding in scan(tmp_path / "env").findings if finding.code == "startup-code"]

    assert (found.message, found.level) == (f"Python runs the code in hook.pth at every start, {message}", level)


def test_a_base_environments_cache_and_environments_are_not_entered(prefix: Path) -> None:
    for name in ("pkgs/x-1-0/info", "envs/other/conda-meta", "conda-bld"):
        (prefix / name).mkdir(parents=True)
        (prefix / name / "file").write_text("x")
    (prefix / ".condarc").write_text("channels: ['https://ada:pw@conda.example.org/lab']\n")

    environment = scan(prefix)

    assert environment.unowned == ()
    assert len(environment.conda) == 5
