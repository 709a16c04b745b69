"""Distributions from before wheels."""

import zipfile
from pathlib import Path

import pytest

from envcap.environment import EntryPoint
from tests.scan.env_builder import SITE, make_env, scan, write
from tests.scan.test_distributions import codes, only

PKG_INFO = "Metadata-Version: 1.0\nName: Old-Pkg\nVersion: 0.1\n"


def test_egg_info_folder_owns_its_installed_files(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = f"{SITE}/Old_Pkg-0.1-py3.11.egg-info"
    listed = "../old/__init__.py\n../old/gone.py\n../../../../bin/old\nPKG-INFO\n"
    write(prefix, {f"{info}/PKG-INFO": PKG_INFO, f"{info}/installed-files.txt": listed})
    write(prefix, {f"{SITE}/old/__init__.py": "", "bin/old": "#!/x\n"})

    environment = scan(prefix)

    assert (only(environment).name, only(environment).version, only(environment).form) == ("Old-Pkg", "0.1", "egg-info")
    assert {f"{SITE}/old/__init__.py", "bin/old", f"{info}/PKG-INFO"} < {file.path for file in only(environment).files}
    assert only(environment).missing == (f"{SITE}/old/gone.py",)
    assert environment.unowned == ()


def test_egg_info_folder_without_a_list_owns_its_modules(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = f"{SITE}/old.egg-info"
    write(prefix, {f"{info}/PKG-INFO": PKG_INFO, f"{info}/top_level.txt": "old\n", f"{SITE}/old/__init__.py": ""})

    environment = scan(prefix)

    assert f"{SITE}/old/__init__.py" in {file.path for file in only(environment).files}
    assert "record-missing" in codes(environment)


def test_egg_info_file_is_its_own_metadata(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/Old_Pkg-0.1.egg-info": PKG_INFO, f"{SITE}/old.py": ""})

    environment = scan(prefix)

    assert (only(environment).name, only(environment).version) == ("Old-Pkg", "0.1")
    assert [file.path for file in only(environment).files] == [f"{SITE}/Old_Pkg-0.1.egg-info"]
    assert [file.path for file in environment.unowned] == [f"{SITE}/old.py"]
    assert codes(environment) == ["record-missing"]


def test_egg_folder_owns_all_that_is_in_it(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    egg = f"{SITE}/old-0.1-py3.11.egg"
    scripts = "[console_scripts]\nold = old:main\n"
    write(
        prefix, {f"{egg}/EGG-INFO/PKG-INFO": PKG_INFO, f"{egg}/EGG-INFO/entry_points.txt": scripts, f"{egg}/old.py": ""}
    )

    environment = scan(prefix)

    assert (only(environment).name, only(environment).form) == ("Old-Pkg", "egg")
    assert len(only(environment).files) == 3
    assert only(environment).entry_points == (EntryPoint(name="old", value="old:main"),)
    assert environment.unowned == ()


def test_zipped_egg_is_looked_into_without_being_unpacked(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    egg = prefix / SITE / "old-0.1-py3.11.egg"
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", PKG_INFO)
        archive.writestr("EGG-INFO/entry_points.txt", "[console_scripts]\nold = old:main\n")
        archive.writestr("../../evil.py", "")

    environment = scan(prefix)

    assert (only(environment).name, only(environment).version) == ("Old-Pkg", "0.1")
    assert only(environment).entry_points == (EntryPoint(name="old", value="old:main"),)
    assert [file.path for file in only(environment).files] == [f"{SITE}/old-0.1-py3.11.egg"]


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + b"\xff" * 18, b"PK\x03\x04" + bytes(100)])
def test_damaged_zipped_egg_is_a_finding(tmp_path: Path, data: bytes) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/old-0.1.egg": data})

    environment = scan(prefix)

    assert (only(environment).name, only(environment).version) == ("old", "0.1")
    assert codes(environment) == ["egg-unreadable", "metadata-invalid"]


def test_zipped_egg_with_a_bomb_for_metadata_is_read_in_part(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    with zipfile.ZipFile(prefix / SITE / "old-0.1.egg", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("EGG-INFO/PKG-INFO", PKG_INFO + "\n" + " " * 50_000_000)

    assert only(scan(prefix)).name == "Old-Pkg"


def test_egg_link_is_an_editable_install(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/old.egg-link": "/somebody/secret-place/my project\n."})

    environment = scan(prefix)

    direct_url = only(environment).direct_url
    assert direct_url is not None
    assert (direct_url.kind, direct_url.url) == ("editable", "file:///somebody/secret-place/my%20project")
    assert only(environment).form == "egg-link"
    assert codes(environment) == ["editable", "version-unknown"]
    assert not [one for one in environment.findings if "secret-place" in one.message]


def test_egg_link_to_nowhere_is_a_finding(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/old.egg-link": "../relative\n"})

    environment = scan(prefix)

    assert only(environment).direct_url is None
    assert codes(environment) == ["egg-link-invalid", "version-unknown"]
