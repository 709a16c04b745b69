"""Many processes, one store: all succeed, one copy of each object, nobody sees a part of one."""

import resource
import subprocess
import sys
from pathlib import Path

from envcap.digest import Digest
from envcap.store import open_store
from envcap.store.actions import action_key
from envcap.store.care import check_store
from tests.store.child import blob_of

CHILD = Path(__file__).parent / "child.py"
ENVIRONMENT = {"PYTHONPATH": str(Path.cwd())}
PROCESSES, BLOBS = 16, 50


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(root), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def children_seconds() -> float:
    """Time that the processors spent on children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_16_processes_write_the_same_50_objects_and_results(tmp_path: Path) -> None:
    root = tmp_path / "store"  # which they also create at once
    digests = [Digest.of(blob_of(number)) for number in range(BLOBS)]
    began = children_seconds()
    writers = [start(root, "write-many", str(BLOBS)) for _ in range(PROCESSES)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()

    seen: list[Path] = []
    writing = True
    while writing:  # and once more when all has been written
        writing = any(writer.poll() is None for writer in writers)
        reader = open_store(root)  # a new one, so that everything is hashed again
        seen = [reader.blobs.verified(digest) for digest in digests if reader.blobs.has(digest)]
    results = [(writer.communicate(), writer.returncode) for writer in writers]

    assert results == [(("written\n", ""), 0)] * PROCESSES
    assert len(seen) == BLOBS
    assert children_seconds() - began < 60  # 4 s, most of them to start; a retry storm takes far longer
    store = open_store(root)
    report = check_store(store, now=0, progress=lambda done, total: None)
    assert report.clean
    assert (report.objects, report.actions, report.temporary) == (BLOBS, BLOBS, 0)
    assert list((root / "tmp").iterdir()) == []
    assert all(store.blobs.path(digest).lstat().st_nlink == 1 for digest in digests)
    assert store.actions.get(action_key("many", {"number": 7})) == {"number": 7}


def test_rebuilds_and_collections_at_once_all_end_well(tmp_path: Path) -> None:
    root = tmp_path / "store"
    builders = [start(root, "build") for _ in range(6)]
    collectors = [start(root, "collect") for _ in range(4)]
    built = [(builder.communicate(), builder.returncode) for builder in builders]
    collected = [(collector.communicate(), collector.returncode) for collector in collectors]

    assert built == [(("built\n", ""), 0)] * 6
    assert all(code == 0 or "is in use by another envcap" in said[1] for said, code in collected)
    assert check_store(open_store(root), now=0, progress=lambda done, total: None).clean
