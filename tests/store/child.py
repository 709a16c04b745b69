"""What the tests run in processes of their own: `python child.py STORE VERB [ARGUMENT...]`.

It prints one line, and a `StoreError` as one line on stderr with exit status 1, as the command line does.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from envcap.digest import Digest
from envcap.errors import EnvcapError
from envcap.store import Store, open_store
from envcap.store.actions import action_key
from envcap.store.care import check_store
from envcap.store.garbage import collect_garbage
from envcap.store.writer import BlobWriter

CONTENTS = (b"", b"small", b"large" * 300_000)
KEY = action_key("layer", {"recipe": 1})


def blob_of(number: int) -> bytes:
    """The bytes that every concurrent writer writes under this number."""
    return b"%d " % number * (1 + number * 97)


def main(arguments: list[str]) -> None:
    store, verb, *rest = arguments
    try:
        say(VERBS[verb](open_store(Path(store)), *rest))
    except EnvcapError as error:
        sys.stderr.write(f"{error.message} [{error.hint}]\n")
        sys.exit(1)


def say(line: str) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _build(store: Store) -> str:
    """What a rebuild does: make what is missing, remember the result, copy it out."""
    with store.in_use():
        digests = [Digest.of(content) for content in CONTENTS]
        for digest, content in zip(digests, CONTENTS, strict=True):

            def produce(writer: BlobWriter, content: bytes = content) -> None:
                writer.write(content)

            store.blobs.ensure(digest, produce, size=len(content), check=True)
        if store.recall(KEY) is None:
            store.actions.put(KEY, {"digest": str(digests[-1])}, blobs=digests)
        for digest in digests:
            store.blobs.open_verified(digest).close()
    return "built"


def _write_many(store: Store, count: str) -> str:
    sys.stdin.readline()  # the parent lets all writers go at once
    for number in range(int(count)):
        store.blobs.add_bytes(blob_of(number))
        store.actions.put(action_key("many", {"number": number}), {"number": number})
    return "written"


def _hang(store: Store) -> str:
    """Hold a half-written object until the parent kills us or closes our stdin."""
    with store.blobs.writer() as writer:
        writer.write(b"half")
        say("writing")
        sys.stdin.readline()
    return "let go"


def _hold(store: Store) -> str:
    """Hold the store in use until the parent closes our stdin."""
    with store.in_use():
        say("holding")
        sys.stdin.readline()
    return "let go"


def _collect(store: Store) -> str:
    report = collect_garbage(store, now=4e9, max_bytes=0)
    return f"removed {report.removed}"


def _check(store: Store) -> str:
    report = check_store(store, now=0, progress=lambda done, total: None)
    return "clean" if report.clean else "; ".join(f"{one.path}: {one.problem}" for one in report.findings)


VERBS: dict[str, Callable[..., str]] = {
    "build": _build,
    "write-many": _write_many,
    "hang": _hang,
    "hold": _hold,
    "collect": _collect,
    "check": _check,
}

if __name__ == "__main__":
    main(sys.argv[1:])
