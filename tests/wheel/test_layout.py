"""Where a wheel's members go, and which of them are the installer's."""

import csv
import io
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.errors import ArchiveError
from envcap.wheel.layout import (
    INSTALLER_FILES,
    InstalledPath,
    Layout,
    dist_info_folder,
    install_path,
    is_bytecode,
    is_installer_file,
    layout_of,
    record_path,
)

LAYOUT = Layout(python="3.11")
SITE = "lib/python3.11/site-packages"


def place(member: str, dist_info: str = "Demo_Pkg-1.0.dist-info") -> InstalledPath:
    return install_path(member, layout=LAYOUT, dist_info=dist_info, archive="demo.whl")


@pytest.mark.parametrize(("version", "python"), [("3.11.7", "3.11"), ("3.8.20", "3.8"), ("3.14.0rc2", "3.14")])
def test_a_layout_follows_from_the_feature_version(version: str, python: str) -> None:
    layout = layout_of(version, "")
    assert layout.site_packages == f"lib/python{python}/site-packages"
    assert layout.headers == f"include/site/python{python}"


@pytest.mark.parametrize(
    ("soabi", "folder"),
    [
        ("cpython-313t-x86_64-linux-gnu", "lib/python3.13t/site-packages"),
        ("cpython-313td-x86_64-linux-gnu", "lib/python3.13t/site-packages"),
        ("cpython-313d-x86_64-linux-gnu", "lib/python3.13/site-packages"),
        ("cpython-313-x86_64-linux-gnu", "lib/python3.13/site-packages"),
        ("pypy313-pp73-x86_64-linux-gnu", "lib/python3.13/site-packages"),
    ],
)
def test_a_build_without_the_global_lock_has_folders_of_its_own(soabi: str, folder: str) -> None:
    layout = layout_of("3.13.1", soabi)

    assert layout.site_packages == folder
    assert layout.headers == "include/site/python3.13"  # pip's scheme knows no threads there


def test_without_python_there_is_no_folder_of_packages() -> None:
    assert layout_of("", "").site_packages == ""


@pytest.mark.parametrize(
    ("member", "path", "is_script"),
    [
        ("demo/a.py", f"{SITE}/demo/a.py", False),
        ("Demo_Pkg-1.0.dist-info/METADATA", f"{SITE}/Demo_Pkg-1.0.dist-info/METADATA", False),
        ("Demo_Pkg-1.0.data/purelib/a.py", f"{SITE}/a.py", False),
        ("Demo_Pkg-1.0.data/platlib/b.so", f"{SITE}/b.so", False),
        ("Demo_Pkg-1.0.data/scripts/tool", "bin/tool", True),
        ("Demo_Pkg-1.0.data/headers/x/y.h", "include/site/python3.11/Demo_Pkg/x/y.h", False),
        ("Demo_Pkg-1.0.data/data/share/man/a.1", "share/man/a.1", False),
        ("Demo_Pkg-1.0.data/data/bin/tool", "bin/tool", False),
        ("Demo_Pkg-1.0.data", f"{SITE}/Demo_Pkg-1.0.data", False),
        ("Demo_Pkg-1.0.dataset/a", f"{SITE}/Demo_Pkg-1.0.dataset/a", False),
        ("demo_pkg-1.0.data/scripts/tool", f"{SITE}/demo_pkg-1.0.data/scripts/tool", False),
        ("vendored-2.0.data/scripts/tool", f"{SITE}/vendored-2.0.data/scripts/tool", False),
    ],
)
def test_members_are_mapped_by_scheme(member: str, path: str, is_script: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert place(member) == InstalledPath(path=path, is_script=is_script)


@pytest.mark.parametrize("rest", ["include/a.h", "scripts", "data", "x", "stdlib/os.py", "Scripts/tool"])
def test_an_unknown_scheme_is_refused(rest: str) -> None:
    with pytest.raises(ArchiveError, match=r"demo\.whl: unexpected member .* \(expected purelib, platlib, scripts"):
        place(f"Demo_Pkg-1.0.data/{rest}")


def test_the_dist_info_folder_may_be_spelled_otherwise_than_the_project() -> None:
    names = ["demo/a.py", "Demo.Pkg-1.0.dist-info/METADATA", "Demo.Pkg-1.0.dist-info/RECORD"]
    assert dist_info_folder(names, project="demo-pkg", archive="demo.whl") == "Demo.Pkg-1.0.dist-info"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], "none"),
        (["demo.py"], "none"),
        (["x/demo-1.0.dist-info/METADATA"], "none"),
        (["demo-1.0.dist-info"], "none"),
        (["demo-1.0.dist-info/A", "demo-2.0.dist-info/A"], r"\['demo-1.0.dist-info', 'demo-2.0.dist-info'\]"),
    ],
)
def test_a_wheel_has_one_dist_info_folder_at_its_root(names: list[str], found: str) -> None:
    with pytest.raises(ArchiveError, match=rf"expected one `\.dist-info` folder, found {found}"):
        dist_info_folder(names, project="demo", archive="demo.whl")


def test_the_metadata_of_another_project_is_refused() -> None:
    with pytest.raises(ArchiveError, match=r"expected the metadata of 'demo', found 'evil-1\.0\.dist-info'"):
        dist_info_folder(["evil-1.0.dist-info/METADATA"], project="demo", archive="demo.whl")


@pytest.mark.parametrize("name", sorted(INSTALLER_FILES))
def test_installers_files_are_known_in_a_dist_info_folder_of_site_packages_only(name: str) -> None:
    assert is_installer_file(f"{SITE}/demo-1.0.dist-info/{name}")
    assert is_installer_file(f"lib/python3/dist-packages/demo-1.0.dist-info/{name}")
    assert not is_installer_file(f"{SITE}/demo/{name}")
    assert not is_installer_file(f"{SITE}/{name}")
    assert not is_installer_file(name)
    assert not is_installer_file(f"{SITE}/demo-1.0.dist-info/licenses/{name}")


@pytest.mark.parametrize("name", ["RECORD", "INSTALLER", "REQUESTED"])
def test_a_vendored_dist_info_folder_is_content(name: str) -> None:
    """As setuptools ships them."""
    assert not is_installer_file(f"{SITE}/setuptools/_vendor/wheel-0.45.dist-info/{name}")


@pytest.mark.parametrize("name", ["METADATA", "WHEEL", "entry_points.txt", "RECORD.jws", "record"])
def test_the_rest_of_a_dist_info_folder_is_content(name: str) -> None:
    assert not is_installer_file(f"{SITE}/demo-1.0.dist-info/{name}")


@pytest.mark.parametrize(
    ("path", "cached"),
    [
        ("a/__pycache__/b.cpython-311.pyc", True),
        ("__pycache__/b.pyo", True),
        ("a/__pycache__/b.nbi", False),
        ("a/b.pyc", False),
        ("a/my__pycache__/b.pyc", False),
        ("a/__pycache__", False),
    ],
)
def test_bytecode_is_what_lies_in_a_cache(path: str, cached: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_bytecode(path) is cached


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (f"{SITE}/demo/a.py", "demo/a.py"),
        ("bin/tool", "../../../bin/tool"),
        ("lib/python3.11/other", "../../../lib/python3.11/other"),
        ("share/man/a.1", "../../../share/man/a.1"),
    ],
)
def test_a_record_s_paths_start_at_site_packages(path: str, written: str) -> None:
    assert record_path(path, layout=LAYOUT) == written


@given(st.lists(st.sampled_from(["lib", "python3.11", "site-packages", "bin", "a", "é"]), min_size=1, max_size=6))
def test_a_record_s_path_leads_back(parts: list[str]) -> None:
    path = "/".join(parts)
    assert posixpath.normpath(f"{SITE}/{record_path(path, layout=LAYOUT)}") == path
    assert next(csv.reader(io.StringIO(path))) == [path]
