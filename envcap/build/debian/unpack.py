"""Read a Debian package into entries, without `dpkg` and without running any of its scripts.

Everything in the package is kept, documentation too: a file that is missing from an image is harder to explain than
10 MB. Devices, FIFOs and sockets are refused by the strict reader. Setuid and setgid bits, owners and groups stay as
packaged. Merged /usr (Debian policy 10.1, fix-up F9): older packages still bring `/bin`, `/sbin` and `/lib`; their
files are moved to where the links would put them.
"""

import posixpath
import re
from collections.abc import Iterable
from typing import BinaryIO, Final

from envcap.archives.access import RandomAccess
from envcap.archives.ar import DebSection, open_section, read_deb
from envcap.archives.tar import TarMember, read_tar
from envcap.build.debian.merge import ALIASES, OPTIONAL_ALIASES
from envcap.build.debian.package import DebContents
from envcap.build.debian.tree import SMALL_FILE_LIMIT
from envcap.entry import Entry, EntryKind
from envcap.errors import ArchiveError

_ALIASED: Final = re.compile(rf"(?:{'|'.join((*ALIASES, *OPTIONAL_ALIASES))})(?=/|\Z)")
_FIELDS: Final = {
    # Debian policy 5.6.7, 5.6.12 and 5.6.8
    "Package": re.compile(r"[a-z0-9][a-z0-9+.-]+\Z"),
    "Version": re.compile(r"(?:[0-9]+:)?[0-9][A-Za-z0-9.+~-]*\Z"),
    "Architecture": re.compile(r"[a-z0-9][a-z0-9-]*\Z"),
}
_HINT = "don't use this package; lock it again from a trusted mirror"


def deb_entries(deb: RandomAccess, *, name: str, spool: BinaryIO) -> DebContents:
    """Read a package.

    Args:
        deb: The .deb file.
        name: Its file name, for messages.
        spool: Temporary file that takes the unpacked bytes; the entries read from it as long as it is open.

    Raises:
        ArchiveError: The package is damaged or hostile, or its control file isn't one.
    """
    archive = read_deb(deb, name=name)
    control = _control_files(_members(deb, archive.control, name, spool), name)
    if "control" not in control:
        raise ArchiveError(f"{name} holds no control file", hint=_HINT)
    fields = _fields(control["control"], name)
    members = _members(deb, archive.data, name, spool)
    return DebContents(
        fields=fields,
        control=control["control"],
        entries=tuple(package_entries(members, package=fields["Package"], name=name)),
        conffiles=tuple(line for line in _text(control.get("conffiles", b"")).split("\n") if line),
        md5sums=control.get("md5sums", b""),
        scripts={script: _text(control[script]) for script in ("preinst", "postinst") if script in control},
    )


def _members(deb: RandomAccess, section: DebSection, name: str, spool: BinaryIO) -> list[TarMember]:
    what = f"{name}: {section.member}"
    with open_section(deb, section, name=what) as stream:
        return read_tar(stream, name=what, spool=spool, compressed_size=section.size if section.suffix else None)


def package_entries(members: Iterable[TarMember], *, package: str, name: str) -> list[Entry]:
    """Turn the members of a data archive into entries, moved to merged /usr.

    Raises:
        ArchiveError: Two members meet at one path after the move, and are not the same.
    """
    entries: dict[str, Entry] = {}
    for member in members:
        entry = _entry(member, package)
        if entry is None:
            continue
        known = entries.setdefault(entry.path, entry)
        if known is not entry and not (known.kind is entry.kind is EntryKind.DIRECTORY):
            raise ArchiveError(f"{name}: two members come to lie at /{entry.path} in merged /usr", hint=_HINT)
    return list(entries.values())


def merged_path(path: str) -> str:
    """Move a path to merged /usr: `lib/x` becomes `usr/lib/x`."""
    return f"usr/{path}" if _ALIASED.match(path) else path


def _entry(member: TarMember, package: str) -> Entry | None:
    """Convert a member; None for what merged /usr makes pointless: the aliased directories, links to themselves."""
    is_alias = _ALIASED.fullmatch(member.path) is not None
    if is_alias and member.kind is EntryKind.DIRECTORY:
        return None
    # `lib -> usr/lib` as such (base-files of trixie) stays where it is.
    path = member.path if is_alias else merged_path(member.path)
    target = merged_path(member.target) if member.kind is EntryKind.HARDLINK else member.target
    if member.kind is EntryKind.SYMLINK and not is_alias and _is_compatibility_link(member, path):
        return None
    return Entry(
        path=path,
        kind=member.kind,
        mode=member.mode,
        content=member.content,
        target=target,
        uid=member.uid,
        gid=member.gid,
        owner=package,
    )


def _is_compatibility_link(member: TarMember, path: str) -> bool:
    """Tell whether a link like `/bin/x -> /usr/bin/x` would point to itself in merged /usr."""
    base = posixpath.dirname(f"/{member.path}")
    target = posixpath.normpath(posixpath.join(base, member.target)).lstrip("/")
    return target != member.path and merged_path(target) == path


def _control_files(members: Iterable[TarMember], name: str) -> dict[str, bytes]:
    files = {}
    for member in members:
        if member.kind is EntryKind.FILE:
            if member.size > SMALL_FILE_LIMIT:
                raise ArchiveError(
                    f"{name}: {member.path} has {member.size} bytes (expected at most {SMALL_FILE_LIMIT})",
                    hint=_HINT,
                )
            files[member.path] = b"".join(member.content.chunks())
    return files


def _fields(control: bytes, name: str) -> dict[str, str]:
    """Read the control file and check the fields that end up in paths and in the cache."""
    try:
        from debian.deb822 import Deb822  # noqa: PLC0415  # slow to load, needed only when a layer is made

        fields = {str(key): str(value) for key, value in Deb822(control.decode("utf-8")).items()}
    except (ValueError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{name}: can't read its control file: {error}", hint=_HINT) from error
    for field, pattern in _FIELDS.items():
        if not pattern.match(fields.get(field, "")):
            raise ArchiveError(
                f"{name}: unexpected {field} in its control file: {fields.get(field, '')[:100]!r}", hint=_HINT
            )
    return fields


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
