import dataclasses
import gzip
import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard

from envcap.entry import EntryKind
from envcap.errors import ArchiveError
from envcap.finding import Finding
from envcap.interpreter.standalone import compare_standalone, standalone_entries
from tests.interpreter.fakes import build_elf, build_python

SYSCONFIG = "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py"
LINKS = {"bin/python": "python3.11", "bin/python3": "python3.11", "lib/libpython3.11.a": "python3.11/config-3.11/x.a"}
RELOCATED = (
    b"# system configuration generated and used by the sysconfig module\n"
    b"build_time_vars = {\n 'CC': 'clang',\n 'prefix': '/opt/python',\n}\n"
)
FILES = {
    "bin/python3.11": build_elf(),
    "bin/pip3": b"#!/bin/sh\n",
    "bin/python3.11-config": b"#!/bin/sh\nprefix=/install\n",
    "lib/python3.11/os.py": b"# os\n",
    SYSCONFIG: b"build_time_vars = {'prefix': '/install', 'CC': 'clang'}\n",
    "lib/python3.11/site-packages/pip/__init__.py": b"",
    "lib/pkgconfig/python-3.11.pc": b"prefix=/install\n",
    "lib/tcl8.6/init.tcl": b"# tcl\n",
    "share/terminfo/x/xterm": b"term",
    "share/man/man1/python3.11.1": b"",
}


def archive(
    files: Mapping[str, bytes] = FILES, links: Mapping[str, str] = LINKS, *, suffix: str = ".gz", top: str = "python/"
) -> io.BytesIO:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, data in files.items():
            row = tarfile.TarInfo(top + path)
            row.size, row.mode, row.uid, row.mtime = len(data), 0o775 if path.startswith("bin/") else 0o664, 1000, 5
            tar.addfile(row, io.BytesIO(data))
        for path, target in links.items():
            row = tarfile.TarInfo(top + path)
            row.type, row.linkname, row.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(row)
    data = output.getvalue()
    if suffix == ".zst":
        return io.BytesIO(zstandard.compress(data))
    return io.BytesIO(gzip.compress(data, mtime=0))


def rows(source: io.BytesIO) -> list[tuple[str, str, int, bytes]]:
    with tempfile.TemporaryFile() as spool:
        return [
            (entry.path, entry.target, entry.mode, b"".join(entry.content.chunks()))
            for entry in standalone_entries(source, spool=spool)
        ]


def live(tmp_path: Path, changes: Mapping[str, bytes] | None = None) -> Path:
    prefix = tmp_path / "cpython-3.11.7-linux-x86_64-gnu"
    for path, data in {**FILES, **(changes or {})}.items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_bytes(data)
    return prefix


def compare(prefix: Path, source: io.BytesIO) -> tuple[Finding, ...]:
    stdlib = str(prefix / "lib/python3.11")
    facts = dataclasses.replace(
        build_python(prefix.parent / "facts"), base_prefix=prefix, paths={"stdlib": stdlib, "platstdlib": stdlib}
    )
    with tempfile.TemporaryFile() as spool:
        return compare_standalone(facts, source, spool=spool)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_an_archives_entries_lie_in_opt_python_relocated(suffix: str) -> None:
    assert rows(archive(suffix=suffix)) == [
        ("opt/python/bin/python", "python3.11", 0o777, b""),
        ("opt/python/bin/python-config", "python3.11-config", 0o777, b""),
        ("opt/python/bin/python3", "python3.11", 0o777, b""),
        ("opt/python/bin/python3-config", "python3.11-config", 0o777, b""),
        ("opt/python/bin/python3.11", "", 0o755, build_elf()),
        ("opt/python/bin/python3.11-config", "", 0o755, b"#!/bin/sh\nprefix=/opt/python\n"),
        ("opt/python/lib/pkgconfig/python-3.11.pc", "", 0o644, b"prefix=/opt/python\n"),
        (
            f"opt/python/{SYSCONFIG}",
            "",
            0o644,
            RELOCATED,
        ),
        ("opt/python/lib/python3.11/os.py", "", 0o644, b"# os\n"),
        ("opt/python/lib/python3.11/site-packages", "", 0o755, b""),
        ("opt/python/lib/tcl8.6/init.tcl", "", 0o644, b"# tcl\n"),
        ("opt/python/share/terminfo/x/xterm", "", 0o644, b"term"),
    ]


def test_the_order_of_the_archive_means_nothing() -> None:
    assert rows(archive(dict(reversed(FILES.items())))) == rows(archive())


def test_a_hard_link_becomes_a_file_of_its_own() -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as tar:
        for path in ("python/lib/python3.11/os.py", "python/share/man/x"):
            row = tarfile.TarInfo(path)
            row.size = 1
            tar.addfile(row, io.BytesIO(b"x"))
        row = tarfile.TarInfo("python/share/terminfo/x/xterm")
        row.type, row.linkname = tarfile.LNKTYPE, "python/share/man/x"
        tar.addfile(row)
    output.seek(0)
    with tempfile.TemporaryFile() as spool:
        found = {entry.path: entry for entry in standalone_entries(output, spool=spool)}
        entry = found["opt/python/share/terminfo/x/xterm"]
        assert entry.kind is EntryKind.FILE
        assert b"".join(entry.content.chunks()) == b"x"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (archive(top="other/"), "not an install_only archive"),
        (archive(links={"bin/x": "/etc/passwd"}), "leads to '/etc/passwd'"),
        (archive(links={"bin/x": "../../x"}), "leads to"),
        (archive({"README": b""}, {}), "no `lib/pythonX.Y/os.py`"),
        (archive({"lib/../../x": b""}, {}), "standalone Python"),
        (io.BytesIO(b"<html>404</html>"), "not an archive"),
        (io.BytesIO(archive().getvalue()[:-9]), "standalone Python"),
    ],
)
def test_what_is_no_sound_archive_of_a_python_is_refused(source: io.BytesIO, found: str) -> None:
    with pytest.raises(ArchiveError, match=found):
        rows(source)


def test_an_install_that_uv_made_is_proved(tmp_path: Path) -> None:
    prefix = live(
        tmp_path,
        {
            SYSCONFIG: b'build_time_vars = {\n    "CC": "cc",\n    "prefix": "/home/u/py"\n}\n',
            "lib/pkgconfig/python-3.11.pc": b"prefix=${pcfiledir}/../..\n",
            "lib/python3.11/EXTERNALLY-MANAGED": b"[externally-managed]\n",
            "lib/python3.11/__pycache__/os.cpython-311.pyc": b"x",
            "lib/python3.11/site-packages/numpy/__init__.py": b"x",
            "BUILD": b"20240107",
        },
    )
    assert compare(prefix, archive()) == ()


@pytest.mark.parametrize(
    ("path", "data", "what"),
    [
        ("lib/python3.11/os.py", b"# us\n", "This file has other bytes"),
        ("lib/python3.11/os.py", b"# os, edited\n", "This file has another size"),
        ("bin/python3.11", b"x", "This file has another size"),
        ("lib/python3.11/sitecustomize.py", b"x", "This file was added"),
        ("lib/tcl8.6/init.tcl", b"", "This file has another size"),
    ],
)
def test_a_changed_or_added_file_is_named(tmp_path: Path, path: str, data: bytes, what: str) -> None:
    (finding,) = compare(live(tmp_path, {path: data}), archive())
    assert (finding.code, finding.path) == ("standalone-differs", path)
    assert finding.message.startswith(what)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    prefix = live(tmp_path)
    (prefix / "lib/tcl8.6/init.tcl").unlink()
    (finding,) = compare(prefix, archive())
    assert finding.path == "lib/tcl8.6/init.tcl"
    assert "is missing" in finding.message


def test_another_build_gives_a_bounded_number_of_findings(tmp_path: Path) -> None:
    many = {f"lib/python3.11/m{number}.py": b"x" for number in range(50)}
    assert len(compare(live(tmp_path), archive({**FILES, **many}))) == 20
