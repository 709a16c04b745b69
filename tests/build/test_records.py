"""The environment's own layer: pyvenv.cfg, links, RECORDs, and paths that packages share."""

import csv
import io
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envcap.build.layer import FileHash
from envcap.build.records import check_shared_paths, environment_entries, record_text
from envcap.entry import Entry, EntryKind
from envcap.errors import BuildError
from envcap.plan import EnvironmentLayer
from envcap.wheel.layout import Layout
from envcap.wheel.record import parse_record
from tests.lock.wheels import SITE
from tests.lockfile.small import SMALL

LAYOUT = Layout(python="3.11")
LAYER = EnvironmentLayer(interpreter=SMALL.interpreter, layout=LAYOUT, system_site_packages=False)
INFO = f"{SITE}/demo-1.0.dist-info"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def file(path: str, owner: str = "demo", data: bytes = b"") -> FileHash:
    return FileHash(owner=owner, path=f"opt/env/{path}", sha256=sha256(data).hexdigest(), size=len(data))


def bodies(entries: list[Entry]) -> dict[str, bytes]:
    return {
        entry.path.removeprefix("opt/env/"): b"".join(entry.content.chunks())
        for entry in entries
        if entry.kind is EntryKind.FILE
    }


def test_an_environment_without_packages_is_a_config_and_four_links() -> None:
    entries = environment_entries(LAYER, [])
    assert [(entry.path, entry.kind.value, entry.target, entry.mode) for entry in entries] == [
        ("opt/env/pyvenv.cfg", "file", "", 0o644),
        ("opt/env/bin/python", "symlink", "/opt/python/bin/python3.11", 0o777),
        ("opt/env/bin/python3", "symlink", "python", 0o777),
        ("opt/env/bin/python3.11", "symlink", "python", 0o777),
        ("opt/env/lib64", "symlink", "lib", 0o777),
    ]
    assert bodies(entries)["pyvenv.cfg"] == (
        b"home = /opt/python/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n"
    )


def test_a_debian_interpreter_is_linked_where_it_is() -> None:
    debian = replace(SMALL.interpreter, origin="debian", home="usr")
    entries = environment_entries(replace(LAYER, interpreter=debian, system_site_packages=True), [])
    assert entries[1].target == "/usr/bin/python3.11"
    assert b"home = /usr/bin\ninclude-system-site-packages = true\n" in bodies(entries)["pyvenv.cfg"]


def test_each_package_has_a_record_in_its_dist_info_folder() -> None:
    files = [
        file(f"{INFO}/INSTALLER"),
        file(f"{SITE}/demo.py", data=b"abc"),
        file("bin/demo"),
        file(f"{SITE}/other-2.dist-info/INSTALLER", "other"),
        file(f"{SITE}/egg.py", "egg"),
        file(f"{SITE}/vendored/x-1.dist-info/INSTALLER", "egg"),
        file("share/y-1.dist-info/INSTALLER", "egg"),
    ]
    found = bodies(environment_entries(LAYER, files))
    assert sorted(found) == [f"{INFO}/RECORD", f"{SITE}/other-2.dist-info/RECORD", "pyvenv.cfg"]
    assert found[f"{INFO}/RECORD"] == (
        b"../../../bin/demo,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        b"demo-1.0.dist-info/INSTALLER,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        b"demo-1.0.dist-info/RECORD,,\n"
        b"demo.py,sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3\n"
    )


NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8),
    unique=True,
    max_size=6,
)


@given(NAMES)
def test_a_record_is_read_back_by_csv_and_by_the_scan(names: list[str]) -> None:
    files = [file(f"{SITE}/{name}", data=name.encode()) for name in names]
    text = record_text(files, dist_info=INFO, layout=LAYOUT)
    rows = list(csv.reader(io.StringIO(text.decode(), newline="")))
    paths = [row[0] for row in rows]
    assert paths == sorted([*names, "demo-1.0.dist-info/RECORD"])
    assert [path.encode() for path in paths] == sorted(path.encode() for path in paths)
    assert parse_record(text) == {name: sha256(name.encode()).hexdigest() for name in names}
    assert record_text(reversed(files), dist_info=INFO, layout=LAYOUT) == text


def test_equal_bytes_of_two_packages_are_fine_and_both_record_them() -> None:
    files = [
        file(f"{INFO}/INSTALLER"), file(f"{SITE}/ns/__init__.py"),
        file(f"{SITE}/b-1.dist-info/INSTALLER", "b"), file(f"{SITE}/ns/__init__.py", "b"),
    ]  # fmt: skip
    found = bodies(environment_entries(LAYER, files))
    for record in (f"{INFO}/RECORD", f"{SITE}/b-1.dist-info/RECORD"):
        assert b"ns/__init__.py,sha256=" in found[record]


def test_different_bytes_of_two_packages_are_refused_by_both_names() -> None:
    with pytest.raises(BuildError, match=r"one and two both bring 'opt/env/a', with different bytes") as caught:
        environment_entries(LAYER, [file("a", "one", b"1"), file("a", "two", b"2")])
    assert "new snapshot" in caught.value.hint


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_where_another_package_has_a_folder_is_refused(order: int) -> None:
    """In the upper layer it would hide everything below."""
    files = [file("bin", "evil"), file("bin/tool", "good")][::order]
    with pytest.raises(BuildError, match=r"evil brings the file 'opt/env/bin', but good has 'opt/env/bin/tool'"):
        check_shared_paths(files)
    check_shared_paths([file("bin2", "evil"), file("bin/tool", "good"), file("bin/a/b", "good")])
