"""Patched files of an index's wheels: their originals are read in part, and a silent index fails nothing."""

from dataclasses import replace

from tests.flow import WHEELS, Flow, Wheel, install_wheel
from tests.secrets.samples import SECRETS
from tests.sources.index_server import Fault, Index, serve

MIXED = Wheel(
    name="mixed",
    version="1",
    files={
        **WHEELS[2].files,
        "mixed/text.py": b"VALUE = 1\n",
        "mixed/tests/server.key": SECRETS["pem"][0],
        "mixed/last.bin": WHEELS[2].files["gamma/blob.bin"],
    },
)


def indexed(flow: Flow, index: Index) -> Flow:
    """Move the wheels from a folder to an index."""
    for path in flow.wheels.iterdir():
        index.add(path.name.partition("-")[0], path.name, path.read_bytes())
    return replace(flow, settings={"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.simple})


def test_the_original_of_an_edited_file_is_read_without_the_rest(flow: Flow) -> None:
    (flow.wheels / MIXED.file).write_bytes(MIXED.build())
    install_wheel(flow, MIXED)
    (flow.site_packages / "mixed" / "text.py").write_bytes(b"VALUE = 2\n")
    with serve(Index()) as index:
        online = indexed(flow, index)
        first = online.snapshot()
        # The key in `mixed` is the index's own, so it is public already.
        assert first.status == 0, first.err
        assert "-VALUE = 1\n      +VALUE = 2\n" in first.out
        asked = len(index.requests)
        second = online.snapshot()
        # The patches come first, then an empty line and the table.
        assert second.out.partition("\n\n")[0] == first.out.partition("\n\n")[0]
        sizes = [
            request.headers["range"].removeprefix("bytes=")
            for request in index.requests[asked:]
            if "range" in request.headers
        ]
        read = sum(int(end) - int(start) + 1 for start, end in (size.split("-") for size in sizes))
        assert 0 < read < 300_000 < len(MIXED.build())
        index.always[f"/files/{MIXED.file}"] = Fault(status=404)
        gone = online.snapshot()
        assert gone.status == 0
        assert f"(the diff needs {MIXED.file}. Can't find {MIXED.file} " in gone.out
    silent = online.run("show", online.lock, "--patches")
    assert silent.status == 0
    assert f"(the diff needs {MIXED.file}. Can't find {MIXED.file} " in silent.out
    offline = online.snapshot("--offline")
    assert offline.status == 0, offline.err
    assert f"(the diff needs {MIXED.file}, which is not on this machine" in offline.out
