"""Every error that envcap raises on purpose: one root, and leaves named after what went wrong.

A message says what, where, expected and found; `hint` is the next step, one line, no full stop.
Only the command line catches the root; it prints the message and the hint and exits with `exit_status`.
"""

from typing import ClassVar


class EnvcapError(Exception):
    """Root of all errors of envcap.

    Attributes:
        message: What failed, where, what was expected and what was found. Holds no secret.
        hint: The next step for the user, or an empty string.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EnvcapError):
    """The command line asks for something that makes no sense (exit status 2)."""

    exit_status: ClassVar[int] = 2


class DifferenceError(EnvcapError):
    """A difference was found where equality was asked for (exit status 3)."""

    exit_status: ClassVar[int] = 3


class DigestError(EnvcapError):
    """A digest is malformed, of a refused algorithm, or does not match its bytes."""


class ArchiveError(EnvcapError):
    """A zip, tar or ar archive is hostile, damaged or outside what the strict readers accept."""


class LockfileError(EnvcapError):
    """A lockfile can't be read, or holds what this version doesn't know."""


class ScanError(EnvcapError):
    """A prefix is not an environment, or its interpreter doesn't answer."""


class SecretError(EnvcapError):
    """A file that would be kept with a lock looks like a credential."""


class SourceError(EnvcapError):
    """An index, mirror or other source answers wrongly or not at all."""


class MissingArtifactError(SourceError):
    """No source has an artifact; the message lists the sources that were asked."""


class SystemPackageError(EnvcapError):
    """The OS packages that an environment needs can't be found or pinned."""


class StoreError(EnvcapError):
    """The content store can't be read or written."""


class DamagedObjectError(StoreError):
    """An object of the store does not hash to its name; it was set aside, so trying again makes it anew."""


class TrustError(EnvcapError):
    """A key, a policy or an attestation can't be read or is refused."""


class BuildError(EnvcapError):
    """A lock can't be turned into an image: colliding paths, too many layers, a missing file."""


class SinkError(EnvcapError):
    """An image can't be written to, loaded into or read from a destination."""


class RegistryError(EnvcapError):
    """A registry, or what was asked of one, is not what it should be; the message says which registry answered what."""
