"""Which names an archive's members may carry, and which sets of names can live together.

A name is refused rather than repaired: two tools that repair differently see two different archives (CVE-2025-54368
in uv, CVE-2025-62518 in astral-tokio-tar). Names that begin with `.wh.` are deletions in an OCI layer (OCI image-spec,
layer.md, "Whiteouts"), so a member of that name would delete files of other layers.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from envcap.errors import ArchiveError

MAX_NAME = 4096
"""Most bytes of a path: PATH_MAX of Linux."""

MAX_COMPONENT = 255
"""Most bytes of one component: NAME_MAX of Linux file systems."""

# Names that need no closer look: printable ASCII without a backslash or a colon, no component `.`, `..` or `.wh.*`.
_PLAIN = re.compile(r"(?:(?!\.{1,2}(?:/|\Z)|\.wh\.)[ -.0-9;-\[\]-~]{1,255}(?:/(?!\Z)|\Z))+\Z")
_DRIVE = re.compile(r"[A-Za-z]:")
_HINT = "don't use this archive; ask its publisher for a correct one"


def check_member_name(name: str, *, archive: str, backslash: bool = False) -> str:
    """Check that a member's name is a plain relative path, and return it.

    Args:
        name: The name as stored, without a directory's trailing slash or a Debian archive's leading `./`.
        archive: The archive's name, for the message.
        backslash: Accept backslashes, which systemd's Debian packages use in unit names.

    Raises:
        ArchiveError: The name could reach outside the root, delete, or be read differently by another tool.
    """
    if _PLAIN.match(name) is not None and len(name) <= MAX_NAME:
        return name
    reason = _name_fault(name, backslash=backslash)
    if reason:
        raise ArchiveError(f"{archive}: member {show_name(name)} has {reason}", hint=_HINT)
    return name


def show_name(name: str) -> str:
    """Quote a hostile name for a message: control and other unprintable characters escaped, cut at 120."""
    return repr(name if len(name) <= 120 else name[:117] + "...")  # noqa: PLR2004 - said in the docstring


def check_text(text: str, *, what: str, archive: str) -> None:
    """Check that a path or link target is UTF-8, free of control characters and at most `MAX_NAME` bytes.

    Raises:
        ArchiveError: It isn't.
    """
    reason = _text_fault(text)
    if reason:
        raise ArchiveError(f"{archive}: {what} has {reason}", hint=_HINT)


def check_unique(
    names: Sequence[str], *, archive: str, same: Callable[[int, int], bool], portable: bool = True
) -> frozenset[int]:
    """Check that no two members claim one path with different content.

    Real archives hold repeated members now and then, and harmless twins (`README` and `readme` with equal bytes).
    What a name means must not depend on which of the two a tool takes, or on the file system it lands on; so two
    names may meet only where that makes no difference. Comparing content costs reads, so it is asked for only when
    two names do meet.

    Args:
        names: The checked names, in the archive's order.
        archive: The archive's name, for the message.
        same: Tells whether the members at two positions are interchangeable: same kind, mode and bytes.
        portable: Also look for names that meet on a file system that ignores case (casefold) or Unicode form (NFC).

    Returns:
        The positions of exact repetitions, to be dropped: an earlier member says the same.

    Raises:
        ArchiveError: Two members have equal names, or twin names, and different content.
    """
    if len({_fold(name) for name in names} if portable else set(names)) == len(names):
        return frozenset()
    repeated = set()
    first_exact: dict[str, int] = {}
    first_twin: dict[str, int] = {}
    for position, name in enumerate(names):
        earlier = first_exact.setdefault(name, position)
        if earlier != position:
            if not same(earlier, position):
                raise ArchiveError(f"{archive}: two members are named {show_name(name)}", hint=_HINT)
            repeated.add(position)
        twin = first_twin.setdefault(_fold(name) if portable else name, position)
        if names[twin] != name and not same(twin, position):
            raise ArchiveError(
                f"{archive}: members {show_name(names[twin])} and {show_name(name)} differ in content, "
                "but only in case or Unicode form by name",
                hint=_HINT,
            )
    return frozenset(repeated)


def check_parents(members: Iterable[tuple[str, bool]], *, archive: str) -> None:
    """Check that nothing lies below a member that isn't a directory.

    A file below an archive's own symlink would be written through the link (CVE-2021-32760, CVE-2026-42574).

    Args:
        members: The checked name of each member, and whether it is a directory.
        archive: The archive's name, for the message.

    Raises:
        ArchiveError: A file or link is also the parent of another member.
    """
    members = list(members)
    leaves = {name for name, is_directory in members if not is_directory}
    directories: set[str] = set()
    for name, _ in members:
        parent = name.rpartition("/")[0]
        while parent and parent not in directories:
            if parent in leaves:
                raise ArchiveError(
                    f"{archive}: member {show_name(name)} lies below {show_name(parent)}, which is not a directory",
                    hint=_HINT,
                )
            directories.add(parent)
            parent = parent.rpartition("/")[0]


def _fold(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _text_fault(text: str) -> str:
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return "bytes that are not UTF-8"
    if length > MAX_NAME:
        return f"{length} bytes (expected at most {MAX_NAME})"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "a control character"
    return ""


def _name_fault(name: str, *, backslash: bool) -> str:
    if not name:
        return "an empty name"
    if fault := _text_fault(name):
        return fault
    if name.startswith("/"):
        return "an absolute path"
    if _DRIVE.match(name):
        return "a drive letter"
    if "\\" in name and not backslash:
        return "a backslash"
    return next((fault for part in name.split("/") if (fault := _component_fault(part))), "")


def _component_fault(part: str) -> str:
    if part == "":
        return "an empty component"
    if part in {".", ".."}:
        return f"a `{part}` component"
    if part.startswith(".wh."):
        return "a `.wh.` component, which deletes files in an OCI layer"
    length = len(part.encode())
    if length > MAX_COMPONENT:
        return f"a component of {length} bytes (expected at most {MAX_COMPONENT})"
    return ""
