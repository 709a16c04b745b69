"""Reads the small text files of an environment, bounded, and notes what can't be read instead of failing."""

import os
from dataclasses import dataclass, field

from envcap.finding import Finding, FindingLevel
from envcap.scan.files import Tree

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(slots=True)
class TreeReader:
    """Reads files of a tree by relative path; findings gather in it.

    Attributes:
        tree: What the walk found; a file that it doesn't hold is never opened.
        findings: What could not be taken for granted so far, in the order met.
    """

    tree: Tree
    findings: list[Finding] = field(default_factory=list)

    def read(self, path: str, *, limit: int) -> bytes | None:
        """Return the first `limit` bytes of a regular file, or None if it is absent, a symlink or unreadable."""
        file = self.tree.files.get(path)
        if file is None or file.is_link:
            return None
        try:
            descriptor = os.open(self.tree.place(path), _FLAGS)
            with os.fdopen(descriptor, "rb") as opened:
                data = opened.read(limit + 1)
        except OSError as error:
            self.note("file-unreadable", f"The file can't be read: {error.strerror}", path)
            return None
        if len(data) > limit:
            self.note("metadata-huge", f"The file is larger than {limit} bytes: only its beginning is read", path)
        return data[:limit]

    def read_text(self, path: str, *, limit: int = 1 << 20) -> str | None:
        """Return a file's text like `read`; bytes that aren't UTF-8 are replaced, with a finding."""
        data = self.read(path, limit=limit)
        if data is None:
            return None
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            if len(data) < limit:  # a cut at the limit may split a character
                self.note("metadata-undecodable", "The file is not UTF-8: the odd bytes are replaced", path)
            return data.decode("utf-8", "replace")

    def note(self, code: str, message: str, path: str, level: FindingLevel = FindingLevel.WARNING) -> None:
        """Keep a finding."""
        self.findings.append(Finding(code=code, message=message, path=path, level=level))
