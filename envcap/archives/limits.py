"""How large an archive may grow: the caps that turn decompression bombs into errors before they are written.

Source of the figures: notes/security.md, T10. Real wheels expand 1.3 to 5 times, real Debian packages up to 15 times;
200 times leaves room for both, and below 10 MB no expansion hurts.
"""

from dataclasses import dataclass

from envcap.errors import ArchiveError


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """Caps on one archive.

    Attributes:
        members: Most members. They are held in memory, about 400 bytes each; the largest real wheels have some 20,000.
        total: Most uncompressed bytes over all members.
        ratio: Most uncompressed bytes per compressed byte, once `ratio_floor` is passed.
        ratio_floor: Uncompressed bytes below which the ratio isn't looked at.
        directory: Most bytes of a zip's central directory, which is held in memory.
    """

    members: int = 250_000
    total: int = 64 << 30
    ratio: int = 200
    ratio_floor: int = 10_000_000
    directory: int = 64 << 20


DEFAULT_LIMITS = ArchiveLimits()


def check_expansion(total: int, compressed: int | None, *, archive: str, limits: ArchiveLimits) -> None:
    """Refuse an archive that expands to more than its caps.

    Args:
        total: Uncompressed bytes that the archive holds, or claims to hold.
        compressed: Bytes of the archive as it lies on disk; `None` if it isn't compressed.
        archive: The archive's name, for the message.
        limits: The caps.

    Raises:
        ArchiveError: It expands to too much, absolutely or by ratio.
    """
    if total > limits.total:
        raise ArchiveError(
            f"{archive}: expands to {total} bytes (expected at most {limits.total})",
            hint="this looks like a decompression bomb; don't use this archive",
        )
    if compressed is not None and total > limits.ratio_floor and total > limits.ratio * compressed:
        raise ArchiveError(
            f"{archive}: {compressed} bytes expand to {total}, "
            f"more than {limits.ratio} times (the cap above {limits.ratio_floor} bytes)",
            hint="this looks like a decompression bomb; don't use this archive",
        )


def check_count(count: int, *, archive: str, limits: ArchiveLimits) -> None:
    """Refuse an archive with too many members.

    Raises:
        ArchiveError: It has more than `limits.members`.
    """
    if count > limits.members:
        raise ArchiveError(
            f"{archive}: {count} members (expected at most {limits.members})",
            hint="this looks like a decompression bomb; don't use this archive",
        )
