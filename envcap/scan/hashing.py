"""Hashes an environment's files: two threads, in batches, each file opened once and read once.

hashlib releases the GIL while it hashes and os.read while it reads, so two threads keep two cores busy. Measured on
39,325 files with 1.84 GB: 2.5 s with one thread, 1.35 s with two.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from envcap.digest import CHUNK_SIZE
from envcap.elf_reader import MAGIC
from envcap.finding import Finding
from envcap.scan.files import Tree

_NOWHERE_ELSE: Mapping[str, str] = MappingProxyType({})
_THREADS = 2
_BATCH = 256
# O_NOFOLLOW: a file that became a symlink since the walk is not read through it. O_NONBLOCK: nor does one that
# became a FIFO hold the scan up.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class HashedFile:
    """The content of one file.

    Attributes:
        sha256: 64 hex digits.
        size: Bytes that were hashed.
        is_elf: Whether it begins with the ELF magic.
    """

    sha256: str
    size: int
    is_elf: bool


Hashes = tuple[dict[str, HashedFile], tuple[Finding, ...]]
"""Content by path, and a finding `file-unreadable` for each file that could not be read."""

HashTree = Callable[[Tree, Sequence[tuple[str, int]]], Hashes]
"""Gives the hashes of some regular files of a tree, named by path and size."""


def hash_tree(tree: Tree, files: Sequence[tuple[str, int]]) -> Hashes:
    """Hash files of a tree, every one from its bytes."""
    return hash_files(tree.prefix, files, sources=tree.sources)


def hash_files(
    prefix: str,
    files: Sequence[tuple[str, int]],
    *,
    sources: Mapping[str, str] = _NOWHERE_ELSE,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, HashedFile], tuple[Finding, ...]]:
    """Hash regular files.

    Args:
        prefix: Absolute path of the folder that the paths are relative to.
        files: Relative path and size as the walk saw it.
        sources: Where files lie that are not at their path, absolute.
        progress: Called in this thread with the number of files done so far, once a batch.

    Returns:
        The hashes by path, and a finding `file-unreadable` for each file that could not be read.
    """
    hashed: dict[str, HashedFile] = {}
    findings: list[Finding] = []
    done = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch, results in _map_batches(pool, prefix, files, sources):
            for (path, _), result in zip(batch, results, strict=True):
                if isinstance(result, HashedFile):
                    hashed[path] = result
                else:
                    message = f"The file can't be read: {result.strerror}"
                    findings.append(Finding(code="file-unreadable", message=message, path=path))
            done += len(batch)
            if progress is not None:
                progress(done)
    return hashed, tuple(findings)


_Batch = Sequence[tuple[str, int]]


def _map_batches(
    pool: ThreadPoolExecutor, prefix: str, files: _Batch, sources: Mapping[str, str]
) -> Iterator[tuple[_Batch, list[HashedFile | OSError]]]:
    batches = list(_batches(files))
    return zip(batches, pool.map(lambda batch: _hash_batch(prefix, batch, sources), batches), strict=True)


def _batches(files: Iterable[tuple[str, int]]) -> Iterator[_Batch]:
    iterator = iter(files)
    while batch := tuple(islice(iterator, _BATCH)):
        yield batch


def _hash_batch(prefix: str, batch: _Batch, sources: Mapping[str, str]) -> list[HashedFile | OSError]:
    buffer = bytearray(CHUNK_SIZE)
    results: list[HashedFile | OSError] = []
    for path, size in batch:
        try:
            descriptor = os.open(sources.get(path) or f"{prefix}/{path}", _FLAGS)
            try:
                results.append(_hash_open_file(descriptor, size, buffer))
            finally:
                os.close(descriptor)
        except OSError as error:
            results.append(error)
    return results


def _hash_open_file(descriptor: int, size: int, buffer: bytearray) -> HashedFile:
    """Hash a small file in one read: asking for a byte more than expected shows the end at once."""
    if size < CHUNK_SIZE:
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return HashedFile(hashlib.sha256(data).hexdigest(), size, data.startswith(MAGIC))
        os.lseek(descriptor, 0, os.SEEK_SET)  # changed since the walk
    return _hash_big(descriptor, buffer)


def _hash_big(descriptor: int, buffer: bytearray) -> HashedFile:
    sha256 = hashlib.sha256()
    view = memoryview(buffer)
    size = 0
    is_elf = False
    while count := os.readv(descriptor, [buffer]):
        if size == 0:
            is_elf = buffer.startswith(MAGIC)
        sha256.update(view[:count])
        size += count
    return HashedFile(sha256.hexdigest(), size, is_elf)
