"""What an export gives: the text, and what the format could not say."""

from dataclasses import dataclass

from envcap.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWheel:
    """A captured wheel that an export refers to by its own name, or other kept bytes.

    Attributes:
        path: Where the export expects it, relative to its own folder.
        sha256: Names its bytes in the lock's `blobs/sha256/`.
    """

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A lock in another format.

    Attributes:
        text: The whole file; lines end with a line feed.
        findings: What the format can't say and what is therefore missing: warnings for the user.
        wheels: Captured wheels, and other kept bytes, that must be laid beside the file (copied or linked) before it
            can be installed from.
    """

    text: str
    findings: tuple[Finding, ...] = ()
    wheels: tuple[KeptWheel, ...] = ()
