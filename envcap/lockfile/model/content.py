"""Files whose bytes are kept with the lock: `patches` and `[[captured]]`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One file of a package that differs from its artifact in the live environment.

    Attributes:
        path: Relative to the environment's prefix.
        change: `edited`, `added` or `deleted`.
        sha256: Hash of the live bytes, kept in `blobs/sha256/`; empty for `deleted` and for a symlink.
        size: Bytes; 0 where there is no content.
        executable: Mode 0755 rather than 0644.
        target: Target of a symlink, else empty.
    """

    path: str
    change: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedFile:
    """A file that no package owns, kept with the lock.

    Attributes:
        path: Relative to the environment's prefix.
        sha256: Hash of its bytes; empty for a symlink.
        size: Bytes.
        executable: Mode 0755 rather than 0644.
        target: Target of a symlink, else empty.
        reason: Why it is here: `unowned`.
    """

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    target: str = ""
    reason: str = "unowned"
