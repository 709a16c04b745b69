"""Pinned files, and where they came from: `artifacts` and `[[sources]]`."""

from dataclasses import dataclass

CAPTURED = "captured"
"""Source name of an artifact whose bytes lie beside the lock, in `blobs/sha256/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a source, pinned.

    Attributes:
        platform: `linux/amd64`, `linux/arm64`.
        source: Name of a `[[sources]]` row, of a default (`pypi`, `debian`), or `captured`.
        file: File name (`numpy-2.1.3-….whl`) or, for Debian, the pool path.
        size: Bytes.
        sha256: Hash of the file.
        url: Scrubbed URL of a direct-URL artifact, else empty.
    """

    platform: str
    source: str
    file: str
    size: int
    sha256: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where artifacts came from, by name.

    Attributes:
        name: Referred to by artifacts.
        kind: `simple-index`, `conda-channel`, `debian`, `python-build-standalone` or `local`.
        suite: Debian suite, else empty.
        release: Date of the suite's Release file as seconds since the epoch, else 0.
        signature: `verified` or `unchecked` for Debian, else empty.
        snapshot: Archive URL template with `@SNAPSHOTID@` from the Release file's `Snapshots` field, or empty.
        url: Scrubbed hint where the source is not a default, else empty.
    """

    name: str
    kind: str
    suite: str = ""
    release: int = 0
    signature: str = ""
    snapshot: str = ""
    url: str = ""
