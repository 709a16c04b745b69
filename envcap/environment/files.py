"""The files of a live environment."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """One file or symlink of a live environment, with its content's hash.

    Attributes:
        path: Relative to the prefix.
        mode: Permission bits as they are (0o7777 at most).
        size: Bytes; 0 for a symlink.
        sha256: 64 hex digits of the content; empty for a symlink, and for a file of nobody that is left out by its name
            alone and therefore not read (`envcap.scan.unowned`).
        target: A symlink's target as written, else empty.
        links: Hard link count; above 1 the file is shared with an installer's cache.
        source: Where the bytes lie, absolute, if not at `path`: the project folder of an editable install, or a
            folder of packages outside the environment that it sees too. Never written to a lock.
        python: Prefix of the Python that scripts beside it name, if not the environment's own: the base's. Never
            written to a lock.
    """

    path: str
    mode: int
    size: int
    sha256: str
    target: str = ""
    links: int = 1
    source: str = ""
    python: str = ""

    def location(self, prefix: Path) -> Path:
        """Tell where the bytes lie on this machine."""
        return Path(self.source) if self.source else prefix / self.path
