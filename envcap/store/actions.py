"""What was computed before: from (recipe, inputs, parameters) to a small JSON result, in `actions/ab/<hex>`.

A record is two lines: the sha256 over the key and the second line, and the canonical JSON of the result with
the blobs it names. So a flipped bit, a cut file and a record under another's name are all seen, and cost no
more than computing again: a cache may forget, but never lie.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rfc8785

from envcap.digest import Digest
from envcap.errors import DigestError, StoreError
from envcap.store.faults import explain_fault, faults_explained
from envcap.store.objects import open_object
from envcap.store.scratch import ScratchFile

MAX_RECORD_SIZE: Final = 64 << 20
"""Bytes; the list of a package of 400,000 files takes as much. What is larger is not remembered, and not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """A remembered result.

    Attributes:
        value: The JSON object that was put.
        blobs: The objects that it speaks of; without one of them it is of no use.
    """

    value: dict[str, object]
    blobs: tuple[Digest, ...]


def action_key(kind: str, inputs: Mapping[str, object]) -> Digest:
    """Name an action by the hash of its canonical JSON (RFC 8785), so that equal inputs find each other.

    Args:
        kind: What is done: `wheel-layer`.
        inputs: All that the result depends on, as JSON; a digest or path as text.

    Raises:
        StoreError: The inputs are not JSON, or hold a number that JSON can't carry exactly.
    """
    content = {"inputs": dict(inputs), "kind": kind}
    try:
        text = rfc8785.dumps(content)  # type: ignore[arg-type] # its type for JSON is private
    except ValueError as error:
        raise StoreError(f"Unexpected input of the action {kind!r} (expected JSON): {error}") from error
    return Digest.of(text)


class ActionCache:
    """The remembered results of one store. Safe to share between threads and processes.

    Attributes:
        root: The store's folder, made by `open_store`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: Digest) -> Path:
        """Tell where a record is or would be."""
        return self.root / "actions" / key.hex[:2] / key.hex

    def get(self, key: Digest) -> dict[str, object] | None:
        """Recall a result, or None; a damaged record is removed. Its blobs may be gone: see `Store.recall`.

        Raises:
            StoreError: The store can't be read.
        """
        record = self.record(key)
        return None if record is None else record.value

    def record(self, key: Digest) -> ActionRecord | None:
        """Recall a result with the blobs it speaks of, or None; a damaged record is removed.

        Raises:
            StoreError: The store can't be read.
        """
        path = self.path(key)
        try:
            with open_object(path) as file:
                text = file.read(MAX_RECORD_SIZE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain_fault(error, "read", path) from error
        record = _parse_record(key, text)
        if record is None:
            self.remove(key)
        return record

    def put(self, key: Digest, value: Mapping[str, object], *, blobs: Iterable[Digest] = ()) -> None:
        """Remember a result, durably; it replaces an earlier one. One of more than `MAX_RECORD_SIZE` is forgotten.

        Args:
            key: From `action_key`.
            value: A JSON object.
            blobs: The objects it speaks of; they must be committed before, so that no crash leaves a
                record without them.

        Raises:
            StoreError: The disk is full or fails, or the value is not JSON.
        """
        body = {"blobs": sorted(str(blob) for blob in blobs), "value": value}
        try:
            line = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise StoreError(f"Unexpected result of the action {key} (expected JSON): {error}") from error
        text = b"%s\n%s\n" % (str(_checksum(key, line)).encode(), line)
        if len(text) > MAX_RECORD_SIZE:
            self.remove(key)
            return
        with ScratchFile(self.root / "tmp", need=len(text)) as scratch:
            scratch.write(text)
            scratch.publish(self.path(key))

    def mark_used(self, key: Digest) -> None:
        """Stamp a record as used now (its mtime), for the collector; only if it can."""
        with suppress(OSError):  # somebody else's store, or a read-only one: it can be read all the same
            os.utime(self.path(key), follow_symlinks=False)

    def remove(self, key: Digest) -> None:
        """Forget a result, if it is there.

        Raises:
            StoreError: It can't be removed.
        """
        path = self.path(key)
        with faults_explained("remove", path):
            path.unlink(missing_ok=True)


def _checksum(key: Digest, line: bytes) -> Digest:
    return Digest.of(b"%s\n%s" % (key.hex.encode(), line))


def _parse_record(key: Digest, text: bytes) -> ActionRecord | None:
    """Read a record; None if anything about it is not as `put` writes it."""
    checksum, _, line = text.partition(b"\n")
    if not line.endswith(b"\n") or checksum != str(_checksum(key, line[:-1])).encode():
        return None
    with suppress(ValueError, RecursionError, DigestError):
        match json.loads(line):
            case {"blobs": list(blobs), "value": dict(value), **rest} if not rest:
                return ActionRecord(value=value, blobs=tuple(Digest.parse(str(blob)) for blob in blobs))
    return None
