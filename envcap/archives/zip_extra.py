"""Extra fields of a zip member: ZIP64 sizes, and names that would contradict the header.

Source: PKWARE APPNOTE 6.3.10, sections 4.5.3 (ZIP64) and 4.6.9 (Info-ZIP Unicode path).
"""

import struct

from envcap.errors import ArchiveError

_ZIP64 = 0x0001
_UNICODE_PATH = 0x7075
_MAXIMUM = 0xFFFFFFFF
_HINT = "don't use this archive; ask its publisher for a correct one"


def check_extra(extra: bytes, values: tuple[int, ...], stored_name: bytes, *, where: str) -> tuple[int, ...]:
    """Read the extra field, and replace values of 0xFFFFFFFF with their 64-bit ones.

    Args:
        extra: The whole extra field.
        values: The header's own values in the order that ZIP64 lists them: size, compressed size and, in a central
            header, offset.
        stored_name: The name in the header. Info-ZIP takes a Unicode path field over it.
        where: Archive and member, for the message.

    Raises:
        ArchiveError: A field is malformed, appears twice, or contradicts the header.
    """
    seen = set()
    position = 0
    while position < len(extra):
        if len(extra) - position < 4:  # noqa: PLR2004 - a field's tag and length
            raise ArchiveError(f"{where}: malformed extra field", hint=_HINT)
        tag, length = struct.unpack_from("<2H", extra, position)
        data = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if position > len(extra) or tag in seen:
            raise ArchiveError(f"{where}: malformed or repeated extra field {tag:#06x}", hint=_HINT)
        seen.add(tag)
        if tag == _ZIP64:
            values = _long_values(data, values, where)
        elif tag == _UNICODE_PATH and data[5:] != stored_name:
            raise ArchiveError(f"{where}: the Unicode path field names another file", hint=_HINT)
    return values


def _long_values(data: bytes, values: tuple[int, ...], where: str) -> tuple[int, ...]:
    wanted = values.count(_MAXIMUM)
    count, rest = divmod(len(data), 8)
    long = struct.unpack_from(f"<{count}Q", data)
    # Bazel writes the field though nothing needs it (protobuf's wheels do it); then it must only repeat the header.
    if rest or (count != wanted and (wanted or long != values[:count])):
        raise ArchiveError(f"{where}: ZIP64 field of {len(data)} bytes for {wanted} values", hint=_HINT)
    given = iter(long)
    return tuple(next(given) if value == _MAXIMUM else value for value in values)
