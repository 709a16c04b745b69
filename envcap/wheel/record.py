"""RECORD, a wheel's own list of its files and their hashes. Source: PEP 376, PEP 427 and PEP 627."""

import base64
import binascii
import csv
import io

from envcap.errors import ArchiveError

_STANDARD = str.maketrans("-_", "+/")
_SHA256_SIZE = 32


def parse_record(data: bytes) -> dict[str, str]:
    """Read the sha256 of each path in a wheel's RECORD, as hex; rows without one are left out.

    Raises:
        ArchiveError: It is no CSV in UTF-8.
    """
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError("RECORD is no CSV in UTF-8") from error
    hashes = ((row[0], _hex(row[1])) for row in rows if len(row) > 1)
    return {path: sha256 for path, sha256 in hashes if sha256}


def base64_hash(sha256: str) -> str:
    """Write 64 hex digits as RECORD does: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()


def _hex(text: str) -> str:
    algorithm, _, value = text.partition("=")
    if algorithm != "sha256":
        return ""
    try:
        # Padded once more than needed at most: what follows a complete quantum is not looked at.
        found = binascii.a2b_base64(value.translate(_STANDARD) + "==")
    except ValueError:
        return ""
    return found.hex() if len(found) == _SHA256_SIZE else ""
