import dataclasses
import gzip
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.entry import Entry, EntryKind
from envcap.environment import InterpreterFacts
from envcap.errors import ArchiveError, ScanError
from envcap.interpreter.blob import captured_entries
from envcap.interpreter.capture import CapturedTree, capture_interpreter
from tests.interpreter.fakes import build_elf, build_python

SYSCONFIG = "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py"


def capture(facts: InterpreterFacts, home: str = "") -> tuple[CapturedTree, bytes]:
    output = io.BytesIO()
    return capture_interpreter(facts, output=output, home=home), output.getvalue()


def read(blob: bytes) -> dict[str, tuple[Entry, bytes]]:
    with tempfile.TemporaryFile() as spool:
        return {
            entry.path: (entry, b"".join(entry.content.chunks()))
            for entry in captured_entries(io.BytesIO(blob), spool=spool)
        }


def laptop(tmp_path: Path) -> InterpreterFacts:
    """A Python as pyenv would build it: shared, with its prefix all over."""
    prefix = tmp_path / "home/u/.pyenv/versions/3.11.7"
    variables = {"prefix": str(prefix), "abs_builddir": "/tmp/python-build.1/Python-3.11.7", "LIBDIR": f"{prefix}/lib"}
    elf = build_elf(needed=["libpython3.11.so.1.0"], runpath=f"{prefix}/lib", rodata=b"3.11.7\0")
    library = build_elf(rodata=f"\0{prefix}\0{prefix}/lib\0/tmp/python-build.1/Python-3.11.7\0".encode())
    facts = build_python(
        prefix,
        executable=elf,
        files={
            SYSCONFIG: f"build_time_vars = {variables!r}\n".encode(),
            "lib/libpython3.11.so.1.0": library,
            "lib/python3.11/site-packages/numpy/__init__.py": b"",
            "lib/python3.11/test/test_os.py": b"",
            "lib/python3.11/__pycache__/os.cpython-311.pyc": b"",
            "lib/pkgconfig/python-3.11.pc": f"prefix={prefix}\n".encode(),
            "bin/python3.11-config": f"#!/bin/sh\nprefix={prefix}\n".encode(),
            "bin/pip": b"#!/x\n",
        },
    )
    (prefix / "lib/libpython3.11.so").symlink_to("libpython3.11.so.1.0")
    (prefix / "bin/python").symlink_to("python3.11")
    return facts


def test_a_captured_tree_lies_in_opt_python_and_knows_no_laptop(tmp_path: Path) -> None:
    tree, blob = capture(laptop(tmp_path), home=str(tmp_path / "home/u"))
    found = read(blob)
    assert sorted(found) == [
        "opt",
        "opt/python",
        "opt/python/bin",
        "opt/python/bin/python",
        "opt/python/bin/python-config",
        "opt/python/bin/python3",
        "opt/python/bin/python3-config",
        "opt/python/bin/python3.11",
        "opt/python/bin/python3.11-config",
        "opt/python/lib",
        "opt/python/lib/libpython3.11.so",
        "opt/python/lib/libpython3.11.so.1.0",
        "opt/python/lib/pkgconfig",
        "opt/python/lib/pkgconfig/python-3.11.pc",
        "opt/python/lib/python3.11",
        f"opt/python/{SYSCONFIG}",
        "opt/python/lib/python3.11/lib-dynload",
        "opt/python/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "opt/python/lib/python3.11/os.py",
        "opt/python/lib/python3.11/site-packages",
    ]
    for path, (_, data) in found.items():
        assert str(tmp_path).encode() not in data, path
        assert b"/tmp/python-build" not in data, path
    assert tree.findings == ()


def test_the_capture_says_size_and_digest_of_its_blob(tmp_path: Path) -> None:
    tree, blob = capture(laptop(tmp_path))
    assert tree.digest == Digest.of(blob)
    assert tree.size == len(blob)
    assert tree.tar_size == len(gzip.decompress(blob))


def test_modes_and_links_are_the_recipes(tmp_path: Path) -> None:
    found = {path: entry for path, (entry, _) in read(capture(laptop(tmp_path))[1]).items()}
    assert found["opt/python/bin/python3.11"].mode == 0o755
    assert found["opt/python/lib/python3.11/os.py"].mode == 0o644
    assert found["opt/python/lib/python3.11/site-packages"].kind is EntryKind.DIRECTORY
    assert found["opt/python/bin/python3"].target == "python3.11"
    assert found["opt/python/lib/libpython3.11.so"].target == "libpython3.11.so.1.0"


def test_the_sysconfig_data_names_the_image(tmp_path: Path) -> None:
    _, data = read(capture(laptop(tmp_path))[1])[f"opt/python/{SYSCONFIG}"]
    assert data == (
        b"# system configuration generated and used by the sysconfig module\n"
        b"build_time_vars = {\n 'LIBDIR': '/opt/python/lib',\n 'abs_builddir': '/build',\n"
        b" 'prefix': '/opt/python',\n}\n"
    )


def test_another_umask_order_time_and_bytecode_give_the_same_blob(tmp_path: Path) -> None:
    facts = laptop(tmp_path)
    _, blob = capture(facts)
    old = os.umask(0o077)
    try:
        # Copied in reverse order, so that the folder lists it in another; times and modes are those of now.
        again = tmp_path / "again"
        for file in sorted(facts.base_prefix.rglob("*"), reverse=True):
            target = again / file.relative_to(facts.base_prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.is_symlink():
                target.symlink_to(file.readlink())
            elif file.is_file():
                target.write_bytes(file.read_bytes())
                target.chmod(0o711 if file.stat().st_mode & 0o100 else 0o600)
                os.utime(target, (1, 1))
    finally:
        os.umask(old)
    shutil.rmtree(facts.base_prefix)
    again.rename(facts.base_prefix)
    cache = facts.base_prefix / "lib/python3.11/json/__pycache__"
    cache.mkdir(parents=True)
    (cache / "x.pyc").write_bytes(b"x")
    assert capture(facts)[1] == blob


def test_a_prefix_reached_through_a_link_gives_the_same_blob(tmp_path: Path) -> None:
    facts = laptop(tmp_path)
    _, blob = capture(facts)
    (tmp_path / "latest").symlink_to(facts.base_prefix)
    assert capture(dataclasses.replace(facts, base_prefix=tmp_path / "latest"))[1] == blob


def test_only_pythons_own_files_of_a_shared_prefix_are_taken(tmp_path: Path) -> None:
    facts = build_python(
        tmp_path / "usr",
        files={
            "bin/python3.10": b"another",
            "bin/ls": b"x",
            "lib/python3/dist-packages/apt.py": b"",
            "lib/python3.10/os.py": b"",
            "lib/libz.so.1": b"",
            "include/stdio.h": b"",
        },
    )
    (tmp_path / "usr/bin/python3").symlink_to("python3.10")
    found = read(capture(facts)[1])
    files = [path for path, (entry, _) in found.items() if entry.kind is EntryKind.FILE]
    assert files == [
        "opt/python/bin/python3.11",
        "opt/python/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
        "opt/python/lib/python3.11/os.py",
    ]
    assert found["opt/python/bin/python3"][0].target == "python3.11"


def test_a_link_out_of_the_tree_becomes_the_file_that_it_means(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "usr")
    (tmp_path / "custom.py").write_bytes(b"# /etc\n")
    (tmp_path / "usr/lib/python3.11/sitecustomize.py").symlink_to(tmp_path / "custom.py")
    entry, data = read(capture(facts)[1])["opt/python/lib/python3.11/sitecustomize.py"]
    assert entry.kind is EntryKind.FILE
    assert data == b"# /etc\n"


def test_a_dangling_link_is_left_out_and_named(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "usr")
    (tmp_path / "usr/lib/python3.11/x.py").symlink_to("/nowhere/x.py")
    tree, blob = capture(facts)
    assert [(finding.code, finding.path) for finding in tree.findings] == [("interpreter-link", "lib/python3.11/x.py")]
    assert "opt/python/lib/python3.11/x.py" not in read(blob)


def test_an_absolute_link_within_the_tree_becomes_relative(tmp_path: Path) -> None:
    facts = laptop(tmp_path)
    link = facts.base_prefix / "lib/libpython3.11.so"
    link.unlink()
    link.symlink_to(facts.base_prefix / "lib/libpython3.11.so.1.0")
    assert read(capture(facts)[1])["opt/python/lib/libpython3.11.so"][0].target == "libpython3.11.so.1.0"


def test_a_shared_library_that_would_not_be_found_is_linked_from_usr_local(tmp_path: Path) -> None:
    facts = build_python(
        tmp_path / "local",
        executable=build_elf(needed=["libpython3.11.so.1.0"]),
        files={"lib/libpython3.11.so.1.0": build_elf()},
    )
    entry, _ = read(capture(facts)[1])["usr/local/lib/libpython3.11.so.1.0"]
    assert entry.target == "../../../opt/python/lib/libpython3.11.so.1.0"


def test_a_loader_of_its_own_is_reported(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "brew", executable=build_elf(loader="/home/linuxbrew/.linuxbrew/lib/ld.so"))
    assert [finding.code for finding in capture(facts)[0].findings] == ["foreign-loader"]


def test_a_laptop_path_that_stays_is_reported_by_file(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", files={"lib/python3.11/pathlib.py": b"# see /home/u/notes\n"})
    (finding,) = capture(facts, home="/home/u")[0].findings
    assert (finding.code, finding.path) == ("laptop-path", "lib/python3.11/pathlib.py")
    assert "/home/u" not in finding.message


def test_a_prefix_without_a_library_is_refused(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py")
    (tmp_path / "py/lib/python3.11/os.py").unlink()
    with pytest.raises(ScanError, match=r"expected lib/python3.11/os\.py"):
        capture(facts)


def test_a_library_outside_the_prefix_is_refused(tmp_path: Path) -> None:
    facts = dataclasses.replace(build_python(tmp_path / "py"), paths={"stdlib": "/elsewhere/lib/python3.11"})
    with pytest.raises(ScanError, match="outside its prefix"):
        capture(facts)


def hostile(name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644, uid: int = 0) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        row = tarfile.TarInfo(name)
        row.type, row.linkname, row.mode, row.uid = kind, target, mode, uid
        tar.addfile(row)
    return gzip.compress(output.getvalue(), mtime=0)  # its bytes name the test


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        (hostile("etc/passwd"), "outside opt/python"),
        (hostile("usr/local/lib/libpython3.11.so.1.0"), "outside opt/python"),
        (hostile("opt/python-evil/x"), "outside opt/python"),
        (hostile("opt/python/../../etc/x"), "etc"),
        (hostile("opt/python/bin/su", mode=0o4755), "mode 4755"),
        (hostile("opt/python/x", mode=0o666), "mode 0666"),
        (hostile("opt/python/x", uid=1000), "owner 1000"),
        (hostile("opt/python/x", kind=tarfile.SYMTYPE, target="/etc/shadow", mode=0o777), "out of opt/python"),
        (hostile("opt/python/x", kind=tarfile.SYMTYPE, target="../env/x", mode=0o777), "out of opt/python"),
        (hostile("usr/local/lib/libpython3.so", kind=tarfile.SYMTYPE, target="../x", mode=0o777), "out of opt/python"),
        (hostile("usr/local/lib/libc.so.6", kind=tarfile.SYMTYPE, target="../x", mode=0o777), "outside opt/python"),
        (b"not gzip at all", "captured interpreter"),
        (hostile("opt/python/x")[:-20], "captured interpreter"),
    ],
)
def test_a_blob_that_no_capture_writes_is_refused(blob: bytes, found: str) -> None:
    with pytest.raises(ArchiveError, match=found):
        read(blob)


def test_a_link_that_leads_to_itself_is_left_out_and_named(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "usr")
    (tmp_path / "usr/lib/python3.11/x.py").symlink_to("x.py")
    (finding,) = capture(facts)[0].findings
    assert (finding.code, finding.path) == ("interpreter-link", "lib/python3.11/x.py")


def test_an_executable_of_another_name_is_taken_under_the_usual_one(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py", files={"bin/python": build_elf(rodata=b"me")})
    (tmp_path / "py/bin/python3.11").unlink()
    facts = dataclasses.replace(facts, executable=tmp_path / "py/bin/python")
    found = read(capture(facts)[1])
    assert found["opt/python/bin/python3.11"][1] == build_elf(rodata=b"me")
    assert found["opt/python/bin/python"][0].target == "python3.11"


def test_a_free_threaded_python_has_the_plain_name_too(tmp_path: Path) -> None:
    found = read(capture(build_python(tmp_path / "py", stdlib="lib/python3.13t"))[1])
    assert found["opt/python/bin/python3.13"][0].target == "python3.13t"
    assert found["opt/python/bin/python3"][0].target == "python3.13t"
    assert "opt/python/lib/python3.13t/site-packages" in found


def test_an_executable_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py")
    (tmp_path / "py/bin/python3.11").unlink()
    (finding,) = capture(facts)[0].findings
    assert (finding.code, finding.path) == ("file-unreadable", "bin/python3.11")


def test_a_prefix_that_is_gone_is_refused(tmp_path: Path) -> None:
    facts = build_python(tmp_path / "py")
    shutil.rmtree(tmp_path / "py")
    with pytest.raises(ScanError, match="no interpreter"):
        capture(facts)
