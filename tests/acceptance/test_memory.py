"""Memory does not grow with what is packed: a wheel of two members of 400 MB, one stored and one deflated."""

import base64
import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random

import pytest

from tests.flow import ROOT, Flow, make_flow

pytestmark = pytest.mark.slow

MEMBER = 400_000_000
LIMIT = 300_000_000
CHUNK = 4_000_000

# A process of its own measures: a child of ours would count our own memory, which it has until it starts its program.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    flow = make_flow(tmp_path_factory.mktemp("huge") / "flow")
    _install(flow)
    yield flow
    subprocess.run(["rm", "-rf", str(flow.root)], check=True)  # some GB


def _content(kind: str) -> Iterator[bytes]:
    """Give 400 MB that differ from chunk to chunk: random bytes, or text that halves when deflated."""
    random = Random(kind)
    for _ in range(MEMBER // CHUNK):
        data = random.randbytes(CHUNK // 2)
        yield data * 2 if kind == "stored" else data.hex().encode()


def _install(flow: Flow) -> None:
    """Write the wheel, and lay it out as pip does, from one pass over its content."""
    info = "huge-1.0.dist-info"
    small = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    site, rows = flow.site_packages, io.StringIO()
    record = csv.writer(rows, lineterminator="\n")
    (site / "huge").mkdir()
    (site / info).mkdir()
    with zipfile.ZipFile(flow.wheels / "huge-1.0-py3-none-any.whl", "w", compresslevel=1) as archive:
        for kind, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            member, hashed = zipfile.ZipInfo(f"huge/{kind}.bin"), sha256()
            member.compress_type, member.external_attr = method, 0o100644 << 16
            with archive.open(member, "w") as packed, (site / member.filename).open("wb") as live:
                for data in _content(kind):
                    hashed.update(data)
                    packed.write(data)
                    live.write(data)
            record.writerow([member.filename, _row_hash(hashed.digest()), MEMBER])
        for name, data in small.items():
            archive.writestr(name, data)
            (site / name).write_bytes(data)
            record.writerow([name, _row_hash(sha256(data).digest()), len(data)])
        record.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(f"{info}/RECORD", rows.getvalue())
    (site / info / "INSTALLER").write_bytes(b"pip\n")
    record.writerow([f"{info}/INSTALLER", "", ""])
    (site / info / "RECORD").write_text(rows.getvalue())


def _row_hash(digest: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def peak(flow: Flow, *arguments: object) -> int:
    """Run envcap, which must succeed, and give the most memory that it held at a time, in bytes."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "envcap", *map(str, arguments)]
    environ = flow.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, capture_output=True, check=False, text=True)
    status, memory = done.stdout.split()
    assert status == "0", done.stderr
    return int(memory)


def test_neither_snapshot_nor_rebuild_nor_verify_needs_memory_for_a_large_wheel(
    huge: Flow, record_testsuite_property: Callable[[str, object], None]
) -> None:
    tar = huge.root / "image.oci.tar"
    peaks = {
        "snapshot": peak(huge, "snapshot", huge.prefix, "--name", "small", "--output", huge.locks),
        "rebuild": peak(huge, "rebuild", huge.lock, "--output", tar, "--jobs", "2"),
        "verify": peak(huge, "verify", huge.lock, tar),
        "rootfs": peak(huge, "rebuild", huge.lock, "--rootfs", huge.root / "files"),
        "fsck": peak(huge, "store", "fsck"),
    }
    assert tar.stat().st_size > MEMBER
    assert {name: memory for name, memory in peaks.items() if memory >= LIMIT} == {}, peaks
    for name, memory in peaks.items():
        record_testsuite_property(f"peak MB of {name}", memory // 1_000_000)
