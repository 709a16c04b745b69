"""The rule of what belongs to an environment, file by file; and what is captured, left out and said."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.environment import Distribution, Environment, InstalledFile
from envcap.errors import UsageError
from envcap.finding import Finding, FindingLevel
from envcap.lock.unowned_capture import LockedUnowned, UnownedGroup, lock_unowned
from envcap.scan.unowned import CAPTURED, Kind, is_kept, is_left_out_by_name, kind_of, project_folders
from tests.lock.wheels import SITE, environment_of, put


def named(path: str, target: str = "") -> InstalledFile:
    return InstalledFile(path=path, mode=0o644, size=0, sha256="" if target else "0" * 64, target=target)


def kind(path: str, *others: str, target: str = "", imported: frozenset[str] = frozenset()) -> Kind:
    projects = project_folders([path, *others])
    return kind_of(named(path, target), prefix="/home/me/env", site_packages=SITE, projects=projects, imported=imported)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{SITE}/mine.py", Kind.MODULES),
        (f"{SITE}/pkg/weights.pt", Kind.MODULES),
        (f"{SITE}/pkg/table.csv", Kind.MODULES),
        ("bin/tool", Kind.SCRIPTS),
        ("share/jupyter/kernels/k/kernel.json", Kind.SUPPORT),
        ("share/nltk_data/corpora/words.zip", Kind.SUPPORT),
        ("etc/jupyter/config.json", Kind.SUPPORT),
        ("lib/libmine.so", Kind.SUPPORT),
        ("lib/python3.11/extra.py", Kind.SUPPORT),
        ("include/mine.h", Kind.SUPPORT),
        ("notes.txt", Kind.OTHER),
        ("requirements.txt", Kind.OTHER),
        ("bin", Kind.OTHER),
        ("opt/thing/run", Kind.OTHER),
        (".git/config", Kind.REPOSITORY),
        (f"{SITE}/pkg/.git/HEAD", Kind.REPOSITORY),
        (".cache/huggingface/hub/model.bin", Kind.CACHE),
        (f"{SITE}/.ipynb_checkpoints/a.ipynb", Kind.CACHE),
        (".env", Kind.PRIVATE),
        ("share/.ssh/id_ed25519", Kind.PRIVATE),
        ("notebooks/a.IPYNB", Kind.NOTEBOOK),
        ("a.ipynb", Kind.NOTEBOOK),
        ("notebooks/helper.py", Kind.NOTEBOOK),
        ("models/m.safetensors", Kind.MODEL),
        ("weights/readme", Kind.MODEL),
        ("net.pth", Kind.MODEL),
        ("data/patients.csv", Kind.DATA),
        ("Data/raw", Kind.DATA),
        ("table.parquet", Kind.DATA),
        ("data", Kind.OTHER),
    ],
)
def test_each_file_has_a_kind(path: str, expected: Kind) -> None:
    assert kind(path) is expected


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("lib/libcuda.so.1", "", Kind.DRIVER),
        ("lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", Kind.DRIVER),
        (f"{SITE}/triton/libnvidia-ml.so.550.54.15", "/home/me/lib/libnvidia-ml.so", Kind.DRIVER),
        # Made by the activation script of conda's cuda-compat, whose own files stay.
        ("lib/libcuda.so.1", "/home/me/env/cuda-compat/libcuda.so.1", Kind.DRIVER),
        ("lib/stubs/libcuda.so", "", Kind.SUPPORT),
        ("cuda-compat/libcuda.so.1", "", Kind.OTHER),
        ("lib/libcudart.so.13", "", Kind.SUPPORT),
        (".cache/libcudart.so.13", "", Kind.CACHE),
    ],
)
def test_a_library_of_a_driver_is_never_captured(path: str, target: str, expected: Kind) -> None:
    assert kind(path, target=target) is expected
    assert not is_kept(path, Kind.DRIVER, [path])


def test_a_project_inside_the_environment_is_somebodys_work() -> None:
    assert kind("src/app/main.py", "src/app/pyproject.toml") is Kind.PROJECT
    assert kind("src/app/sub/main.py", "src/app/.git/HEAD") is Kind.PROJECT
    assert kind("src/other/main.py", "src/app/setup.py") is Kind.OTHER
    assert kind("src/apple/main.py", "src/app/setup.py") is Kind.OTHER


def test_a_lock_that_was_written_into_the_environment_is_not_captured_by_the_next() -> None:
    assert kind("lockfiles/ml/envcap.lock") is Kind.PROJECT
    assert kind("lockfiles/ml/blobs/sha256/00", "lockfiles/ml/envcap.lock") is Kind.PROJECT
    assert kind("lockfiles/notes", "lockfiles/ml/envcap.lock") is Kind.OTHER
    assert kind("notes", "envcap.lock") is Kind.OTHER


def test_where_the_environment_is_the_projects_folder_its_own_folders_stay() -> None:
    for marker in ("pyproject.toml", "setup.cfg", ".git/HEAD", ".git"):
        assert kind("app/main.py", marker) is Kind.PROJECT
        assert kind("bin/tool", marker) is Kind.SCRIPTS
        assert kind(f"{SITE}/mine.py", marker) is Kind.MODULES
        assert kind("app/a.ipynb", marker) is Kind.NOTEBOOK


def test_a_folder_on_the_module_path_is_code_but_for_its_notebooks_and_data() -> None:
    on_path = frozenset({"proj/src"})
    assert kind("proj/src/a.py", "proj/setup.py", imported=on_path) is Kind.MODULES
    assert kind("proj/a.py", "proj/setup.py", imported=on_path) is Kind.PROJECT
    assert kind("proj/src/t.csv", "proj/setup.py", imported=on_path) is Kind.DATA
    assert kind("proj/src/.git/HEAD", imported=on_path) is Kind.REPOSITORY
    assert kind("a.py", "setup.py", imported=frozenset({""})) is Kind.MODULES


def test_a_projects_file_inside_a_package_makes_no_project() -> None:
    assert project_folders([f"{SITE}/pkg/setup.py", "share/x/.git/HEAD", "bin/setup.py"]) == frozenset()


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("share/a", "/home/alice/thing", Kind.LINK),
        ("share/a", "../../alice", Kind.LINK),
        ("share/a", "..", Kind.SUPPORT),
        ("bin/a", "/usr/bin/a", Kind.SCRIPTS),
        ("bin/a", "/usr/../home/alice/a", Kind.LINK),
        ("bin/a", "/home/me/env/share/a", Kind.SCRIPTS),
        ("bin/a", "/home/me/environment/a", Kind.LINK),
        ("bin/a", "tool", Kind.SCRIPTS),
    ],
)
def test_a_link_that_names_this_machine_is_left_out(path: str, target: str, expected: Kind) -> None:
    assert kind(path, target=target) is expected


def test_keeping_a_folder_does_not_bring_in_what_is_never_captured() -> None:
    assert is_kept("proj/a.py", Kind.PROJECT, ["proj"])
    assert is_kept("proj/a.py", Kind.PROJECT, ["proj/a.py"])
    assert not is_kept("project/a.py", Kind.PROJECT, ["proj"])
    assert not is_kept("proj/.git/config", Kind.REPOSITORY, ["proj"])
    assert is_kept("proj/.git/config", Kind.REPOSITORY, ["proj/.git"])
    assert not is_kept("proj/.env", Kind.PRIVATE, ["proj"])
    assert not is_kept("share/a", Kind.LINK, ["share"])


# What is captured


def environment(prefix: Path, *files: InstalledFile) -> Environment:
    return replace(environment_of(prefix), unowned=files)


def by_kind(found: LockedUnowned) -> dict[str, tuple[bool, int, int]]:
    return {group.what: (group.captured, group.count, group.size) for group in found.groups}


def test_files_are_captured_smallest_first_up_to_a_limit(tmp_path: Path) -> None:
    large, small = put(tmp_path, "a.bin", b"x" * 60), put(tmp_path, "z.sh", b"y" * 40, executable=True)
    link = InstalledFile(path="m", mode=0o777, size=0, sha256="", target="a.bin")
    found = lock_unowned(environment(tmp_path, large, link, small), limit=99)
    assert [(row.path, row.size, row.executable, row.target) for row in found.files] == [
        ("m", 0, False, "a.bin"),
        ("z.sh", 40, True, ""),
    ]
    assert [b"".join(content.chunks()) for _, content in found.kept] == [b"y" * 40]
    warnings = [row for row in found.findings if row.level is FindingLevel.WARNING]
    assert [(row.code, row.path) for row in warnings] == [("unowned-left-out", "a.bin")]
    assert found.groups == (
        UnownedGroup(what="elsewhere", captured=True, count=2, size=40),
        UnownedGroup(what="too large", captured=False, count=1, size=60),
    )
    assert len(lock_unowned(environment(tmp_path, large, small), limit=100).files) == 2


def test_the_largest_that_do_not_fit_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    files = [replace(named(f"f{number:02}"), size=1000 + number) for number in range(13)]
    found = lock_unowned(environment(tmp_path, *files), limit=0)
    assert [row.path for row in found.findings] == [f"f{number:02}" for number in range(12, 2, -1)] + [""]
    assert found.findings[-1].message == (
        "3 more files of nobody's (3.0 kB) are left out (raise `--max-unowned` to keep them)"
    )


def test_what_is_left_out_is_named_by_kind_number_and_size(tmp_path: Path) -> None:
    files = [put(tmp_path, f"nb/{name}.ipynb", b"{}") for name in "abcd"]
    found = lock_unowned(environment(tmp_path, *files, put(tmp_path, ".git/HEAD", b"ref")), limit=1000)
    assert found.files == ()
    assert by_kind(found) == {"of notebooks": (False, 4, 8), "of version control": (False, 1, 3)}
    assert found.findings == (
        Finding(
            code="unowned-left-out",
            message="Of no package and left out: 4 files of notebooks, 8 bytes: "
            "nb/a.ipynb, nb/b.ipynb, nb/c.ipynb and 1 more (`--keep nb` captures them)",
            path="nb/a.ipynb",
        ),
        Finding(
            code="unowned-left-out",
            message="Of no package and left out: 1 file of version control, 3 bytes: .git/HEAD",
            path=".git/HEAD",
        ),
    )


def test_what_the_user_keeps_is_captured_and_counts_against_the_limit(tmp_path: Path) -> None:
    files = [put(tmp_path, "data/a.csv", b"1"), put(tmp_path, "data/b.csv", b"22"), put(tmp_path, "c.csv", b"3")]
    live = environment(tmp_path, *files)
    assert [row.path for row in lock_unowned(live, limit=9, keep=["data"]).files] == ["data/a.csv", "data/b.csv"]
    assert [row.path for row in lock_unowned(live, limit=2, keep=["data"]).files] == ["data/a.csv"]


def test_keeping_what_is_not_there_is_a_mistake_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`--keep dat` names nothing"):
        lock_unowned(environment(tmp_path, put(tmp_path, "data/a.csv", b"1")), limit=9, keep=["dat"])


def test_an_unowned_script_names_the_image_s_interpreter(tmp_path: Path) -> None:
    file = put(tmp_path, "bin/own", f"#!{tmp_path}/bin/python\n".encode())
    found = lock_unowned(environment(tmp_path, file), limit=1000)
    data = b"#!/opt/env/bin/python\n"
    assert found.files[0].sha256 == found.kept[0][0] == hashlib.sha256(data).hexdigest()
    assert found.files[0].size == len(data)


def test_a_path_file_and_a_link_name_the_image_s_folders_and_nobody_s_home(tmp_path: Path) -> None:
    text = f"./a.egg\n{tmp_path}/lib/more\n/home/alice/project\nimport sys\n"
    file = put(tmp_path, f"{SITE}/easy-install.pth", text.encode())
    link = InstalledFile(path="bin/x", mode=0o777, size=0, sha256="", target=f"{tmp_path}/share/x")
    found = lock_unowned(environment(tmp_path, link, file), limit=1000)
    assert [row.target for row in found.files] == ["/opt/env/share/x", ""]
    ((sha256, content),) = found.kept
    data = b"".join(content.chunks())
    assert data == b"./a.egg\n/opt/env/lib/more\nimport sys\n"
    assert sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("line", ["{prefix}/proj", "../../../proj", "../../../proj/."])
def test_what_a_path_file_adds_to_the_module_path_is_captured(tmp_path: Path, line: str) -> None:
    files = [
        put(tmp_path, f"{SITE}/mine.pth", f"# here\n{line.format(prefix=tmp_path)}\n/else/where\n".encode()),
        put(tmp_path, "proj/pyproject.toml", b""),
        put(tmp_path, "proj/mine.py", b""),
        put(tmp_path, "other/setup.py", b""),
    ]
    found = lock_unowned(environment(tmp_path, *files), limit=1000)
    assert [row.path for row in found.files] == [f"{SITE}/mine.pth", "proj/mine.py", "proj/pyproject.toml"]


def test_the_code_of_an_editable_project_inside_the_environment_is_not_called_left_out(tmp_path: Path) -> None:
    code, setup = put(tmp_path, "proj/mine.py", b""), put(tmp_path, "proj/setup.py", b"")
    live = environment(tmp_path, code, setup)
    installed = InstalledFile(path=f"{SITE}/mine.py", mode=0o644, size=0, sha256="", source=str(tmp_path / code.path))
    editable = Distribution(name="mine", version="1", directory="x", files=(installed,))
    found = lock_unowned(replace(live, distributions=(editable,)), limit=1000)
    assert by_kind(found) == {"of projects": (False, 1, 0)}
    assert found.findings[0].path == "proj/setup.py"


def test_a_kernel_starts_the_image_s_interpreter(tmp_path: Path) -> None:
    text = f'{{"argv": ["{tmp_path}/bin/python", "-m", "ipykernel"], "display_name": "{tmp_path.name}"}}'
    file = put(tmp_path, "share/jupyter/kernels/mine/kernel.json", text.encode())
    ((_, content),) = lock_unowned(environment(tmp_path, file), limit=1000).kept
    assert b"".join(content.chunks()) == text.replace(f"{tmp_path}/", "/opt/env/").encode()


def test_what_was_left_unread_is_hashed_when_the_user_keeps_it(tmp_path: Path) -> None:
    unread = replace(put(tmp_path, "data/a.csv", b"1,2\n" * 1000), sha256="")
    found = lock_unowned(environment(tmp_path, unread), limit=9999, keep=["data/a.csv"])
    assert [row.sha256 for row in found.files] == [hashlib.sha256(b"1,2\n" * 1000).hexdigest()]


PARTS = st.sampled_from(
    ["bin", "lib", "share", "src", "data", ".git", ".cache", ".env", "a.py", "a.ipynb", "pyproject.toml", "x", "m.pt"]
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, max_size=12), st.lists(PATHS, max_size=2))
def test_every_file_is_captured_or_counted_as_left_out(paths: set[str], keep: list[str]) -> None:
    files = tuple(replace(named(path), size=len(path)) for path in sorted(paths))
    live = environment(Path("/nowhere"), *(replace(file, target="x", size=0) for file in files))
    usable = [one for one in keep if any(path == one or path.startswith(f"{one}/") for path in paths)]
    found = lock_unowned(live, limit=10**9, keep=usable)
    assert sum(group.count for group in found.groups) == len(paths)
    assert sum(group.count for group in found.groups if group.captured) == len(found.files)
    projects = project_folders(paths)
    for file in files:
        its_kind = kind_of(file, prefix="/nowhere", site_packages=SITE, projects=projects, imported=frozenset())
        captured = any(row.path == file.path for row in found.files)
        assert captured is (its_kind in CAPTURED or is_kept(file.path, its_kind, usable))


@given(PATHS, st.frozensets(PATHS | st.just(""), max_size=3), st.frozensets(PATHS | st.just(""), max_size=3))
def test_what_is_left_out_by_name_is_left_out_whatever_else_there_is(
    path: str, projects: frozenset[str], imported: frozenset[str]
) -> None:
    found = kind_of(named(path), prefix="/p", site_packages=SITE, projects=projects, imported=imported)
    if is_left_out_by_name(path, site_packages=SITE):
        assert found not in CAPTURED


def test_a_library_of_a_driver_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, "lib/libcuda.so.550.54.15", b"host")
    file = InstalledFile(path="lib/libcuda.so.550.54.15", mode=0o755, size=4, sha256="")
    found = lock_unowned(environment(tmp_path, file), limit=100)
    assert found.files == ()
    assert by_kind(found) == {"of an NVIDIA driver": (False, 1, 4)}
    assert [finding.message for finding in found.findings] == [
        "Of no package and left out: 1 file of an NVIDIA driver, 4 bytes: lib/libcuda.so.550.54.15"
    ]
