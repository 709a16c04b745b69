"""What each installed distribution says of itself, seen through a whole scan of a hand-made environment."""

import json
from pathlib import Path

import pytest

from envcap.environment import DirectUrl, Distribution, EntryPoint, Environment
from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write


def only(environment: Environment) -> Distribution:
    (distribution,) = environment.distributions
    return distribution


def codes(environment: Environment) -> list[str]:
    return [one.code for one in environment.findings]


def test_distribution_tells_what_its_metadata_says(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    metadata = {
        "REQUESTED": "",
        "entry_points.txt": "[console_scripts]\nTool = pkg:main\n",
        "WHEEL": "Root-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n",
        "uv_build.json": "{}",
        "direct_url.json": json.dumps({"url": "https://u:p@example.org/a.whl", "archive_info": {}}),
    }
    info = add_dist(prefix, "My-Pkg", {"pkg/__init__.py": "x = 1\n"}, version="1.0+cu118", metadata=metadata)

    environment = scan(prefix)

    distribution = only(environment)
    assert distribution.name == "My-Pkg"
    assert distribution.version == "1.0+cu118"
    assert distribution.form == "wheel"
    assert distribution.directory == info
    assert distribution.installer == "pip"
    assert distribution.requested
    assert distribution.built_from_source
    assert distribution.tags == ("cp311-cp311-linux_x86_64",)
    assert not distribution.root_is_purelib
    assert distribution.entry_points == (EntryPoint(name="Tool", value="pkg:main"),)
    assert distribution.direct_url == DirectUrl(url="https://example.org/a.whl", kind="archive")
    assert codes(environment) == []


def test_files_are_the_recorded_ones_and_the_whole_metadata_folder(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = add_dist(prefix, "pkg", {"pkg/__init__.py": "x"}, rows=["../../../bin/tool,,", "pkg/gone.py,sha256=x,3"])
    write(prefix, {"bin/tool": "#!/bin/sh\n", f"{info}/licenses/LICENSE": "MIT", f"{SITE}/pkg/added.py": "y"})

    environment = scan(prefix)

    distribution = only(environment)
    assert [file.path for file in distribution.files] == [
        "bin/tool",
        f"{info}/INSTALLER",
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
        f"{info}/licenses/LICENSE",
        f"{SITE}/pkg/__init__.py",
    ]
    assert distribution.missing == (f"{SITE}/pkg/gone.py",)
    assert [file.path for file in environment.unowned] == [f"{SITE}/pkg/added.py"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_live_files_hash_to_what_the_record_says(tmp_path: Path, newline: str) -> None:
    prefix = make_env(tmp_path)
    info = add_dist(prefix, "pkg", {"pkg/__init__.py": "x", "pkg/data.bin": bytes(range(256))}, newline=newline)

    distribution = only(scan(prefix))

    live = {file.path: (file.sha256, file.size) for file in distribution.files}
    recorded = {row.path: (row.sha256, row.size) for row in distribution.record if row.path != f"{info}/RECORD"}
    assert recorded.items() <= live.items()
    assert len(recorded) == 5


def test_rows_via_lib64_own_the_files_in_lib(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", rows=["../../../lib64/python3.11/site-packages/pkg.py,,", f"{prefix}/lib64/x,,"])
    write(prefix, {f"{SITE}/pkg.py": "x", "lib/x": "x"})

    environment = scan(prefix)

    assert environment.unowned == ()
    assert {f"{SITE}/pkg.py", "lib/x"} < {file.path for file in only(environment).files}


def test_rows_that_leave_the_prefix_are_one_finding_without_their_paths(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = add_dist(prefix, "pkg", rows=["../../../../secret,,", "/etc/passwd,,"])

    environment = scan(prefix)

    (finding,) = environment.findings
    assert (finding.code, finding.path, finding.level) == ("record-escapes", f"{info}/RECORD", FindingLevel.WARNING)
    assert "secret" not in finding.message
    assert "passwd" not in finding.message


def test_bytecode_is_neither_owned_nor_missing(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    cached = "pkg/__pycache__/__init__.cpython-311.pyc"
    add_dist(prefix, "pkg", {"pkg/__init__.py": "x"}, rows=[f"{cached},,", "pkg/__pycache__/gone.cpython-311.pyc,,"])
    write(prefix, {f"{SITE}/{cached}": b"\0" * 16})

    environment = scan(prefix)

    assert only(environment).missing == ()
    assert not [file for file in only(environment).files if file.path.endswith(".pyc")]
    assert environment.ignored["bytecode"] == 1


def test_sourceless_module_is_a_real_file(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", {"pkg/__init__.pyc": b"\0" * 16}, rows=["pkg/other.pyc,,"])

    environment = scan(prefix)

    assert f"{SITE}/pkg/__init__.pyc" in {file.path for file in only(environment).files}
    assert only(environment).missing == (f"{SITE}/pkg/other.pyc",)


def test_missing_metadata_files_are_findings_and_the_distribution_stays(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / SITE / "pkg-1.0.dist-info").mkdir()

    environment = scan(prefix)

    assert (only(environment).name, only(environment).version) == ("pkg", "1.0")
    assert codes(environment) == ["metadata-missing", "record-missing", "wheel-missing"]


def test_damaged_metadata_is_a_finding_each(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    metadata: dict[str, bytes | str] = {
        "METADATA": b"Name: \xff\xfe\nVersion: ../..\n",
        "WHEEL": "Tag: nonsense\n",
        "RECORD": b"x" * 200_000,
        "direct_url.json": "{",
        "entry_points.txt": "[console_scripts]\n../x = a:b\n",
        "INSTALLER": "\x1b[2J\n",
    }
    add_dist(prefix, "pkg", metadata=metadata)

    environment = scan(prefix)

    assert only(environment).name == "pkg"
    assert only(environment).installer == ""
    assert codes(environment) == [
        "direct-url-invalid",
        "entry-point-invalid",
        "metadata-invalid",
        "metadata-undecodable",
        "record-unreadable",
        "wheel-invalid",
    ]


def test_huge_metadata_is_read_in_part(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", metadata={"METADATA": "Name: pkg\nVersion: 1.0\n\n" + "long " * 200_000})

    environment = scan(prefix)

    assert only(environment).version == "1.0"
    assert codes(environment) == ["metadata-huge"]


def test_metadata_of_another_name_than_its_folder_is_a_finding(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", metadata={"METADATA": "Name: other\nVersion: 1.0\n"})

    environment = scan(prefix)

    assert only(environment).name == "other"
    assert codes(environment) == ["metadata-disagrees"]


def test_editable_install_is_noted_without_its_path(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    direct_url = {"url": "file:///somebody/secret-place/project", "dir_info": {"editable": True}}
    pth = {"__editable__.project-1.0.pth": "/somebody/secret-place/project/src\n"}
    add_dist(prefix, "project", pth, metadata={"direct_url.json": json.dumps(direct_url)})

    environment = scan(prefix)

    (finding,) = environment.findings
    assert (finding.code, finding.level) == ("editable", FindingLevel.NOTE)
    assert "'project'" in finding.message
    assert "secret-place" not in finding.message
    assert f"{SITE}/__editable__.project-1.0.pth" in {file.path for file in only(environment).files}


def test_name_that_is_installed_twice_is_a_finding(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "My-Pkg", version="1.0")
    add_dist(prefix, "my.pkg", version="2.0")

    environment = scan(prefix)

    assert [one.version for one in environment.distributions] == ["1.0", "2.0"]
    assert codes(environment) == ["distribution-duplicate"] * 2


def test_metadata_folder_that_is_a_symlink_is_content_and_no_distribution(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    (prefix / SITE / "pkg-1.0.dist-info").symlink_to("/somewhere")

    environment = scan(prefix)

    assert environment.distributions == ()
    assert [file.target for file in environment.unowned] == ["/somewhere"]
    assert codes(environment) == ["symlink-escapes"]


def test_distribution_without_record_owns_the_modules_that_it_names(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    files: dict[str, bytes | str] = {
        "mod/a.py": "",
        "mod/sub/b.py": "",
        "other.py": "",
        "taken/x.py": "",
        "modern/c.py": "",
    }
    info = add_dist(prefix, "pkg", files, metadata={"top_level.txt": "mod\nother\ntaken\n../bad\n"})
    (prefix / info / "RECORD").unlink()
    add_dist(prefix, "second", {"taken/y.py": ""})

    environment = scan(prefix)

    owned = {file.path.removeprefix(f"{SITE}/") for file in environment.distributions[0].files}
    assert {"mod/a.py", "mod/sub/b.py", "other.py"} < owned
    assert [file.path for file in environment.unowned] == [f"{SITE}/modern/c.py", f"{SITE}/taken/x.py"]
